"""When a spelled value at the end of the words may still grow."""

import pytest

from rejoinder.domain import Slot, SlotKind
from rejoinder.nlu.completion import may_grow
from rejoinder.nlu.slots import Span

SLOTS = {
    "letters": Slot("letters", SlotKind.CODE),
    "zip": Slot("zip", SlotKind.PHONE, lengths=(5,)),
    "size": Slot("size", SlotKind.CLOSED),
}


@pytest.mark.parametrize(
    ("values", "last", "grows"),
    [
        ({"letters": "MEL"}, [Span("letters", "MEL", 0, 3)], True),
        ({"letters": "15213"}, [Span("letters", "15213", 0, 5), Span("zip", "15213", 0, 5)], False),
        ({"letters": "152"}, [Span("letters", "152", 0, 3), Span("zip", "152", 0, 3, finished=False)], True),
        ({"size": "large"}, [Span("size", "large", 1, 2)], False),
        ({"size": "large"}, [Span("size", "large", 1, 2), Span("letters", "E", 1, 2)], False),
        ({}, [], False),
    ],
)
def test_more_may_come_after_letters_but_not_after_a_length_that_is_asked_for(
    values: dict[str, str], last: list[Span], grows: bool
) -> None:
    assert may_grow(values, last, SLOTS) is grows
