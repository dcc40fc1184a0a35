"""Whether values are meant or only sound alike."""

import pytest

from rejoinder.nlu.evidence import adds, answers, asks
from rejoinder.nlu.slots import Span

SURE = Span("size", "large", 0, 1)
WEAK = Span("shots", "single shot", 0, 1, cost=0.29)


@pytest.mark.parametrize(
    ("said", "asked"),
    [("what is that", True), ("do you have milk", True), ("how about tuesday", False), ("do not", False), ("", False)],
)
def test_questions_are_told_from_proposals(said: str, asked: bool) -> None:
    assert asks(said.split()) is asked


def test_a_sure_value_may_stand_beside_one_strange_word_when_asked_for() -> None:
    assert answers([SURE], "large thinks".split(), 1)
    assert not answers([SURE], "large is the moon".split(), 2)
    assert not answers([SURE], "is large the moon".split(), 1)


def test_a_value_that_only_sounds_alike_needs_all_words_explained() -> None:
    assert answers([WEAK], ["sing"], 0)
    assert not answers([WEAK], ["sing", "song"], 1)


def test_a_value_that_only_sounds_alike_adds_nothing_of_itself() -> None:
    assert not adds([WEAK], ["sing"], 0)
    assert adds([WEAK], ["with", "sing"], 0)
    assert not adds([WEAK], ["with", "sing", "song"], 1)


def test_nobody_adds_by_asking() -> None:
    assert not adds([SURE], "do you have large".split(), 0)
    assert adds([SURE], "large please".split(), 0)
