"""What is most doubtful comes first, and says why."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.serve.store.doubts import doubtful
from rejoinder.serve.store.turns import Correction, Kept, Turn, Verdict
from tests.serve.store.turns import turn

SURE: dict[str, Any] = {"confidence": 1.0, "text_confidence": 1.0, "source": "pattern", "failed": ()}


def kept(*turns: Turn) -> list[Kept]:
    return [Kept(number, one) for number, one in enumerate(turns, 1)]


def reasons(*turns: Turn) -> Sequence[str]:
    """Why the first turn is doubtful."""
    return next((doubt.reasons for doubt in doubtful(kept(*turns)) if doubt.kept.id == 1), ())


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        ({"source": "none", "confidence": 0.0}, "not understood"),
        ({"confidence": 0.4, "source": "classifier"}, "40% sure"),
        ({"text_confidence": 0.5}, "heard with 50%"),
        ({"interrupted": True}, "interrupted"),
        ({"cut_off": True}, "cut off at first"),
        ({"failed": ("recognition",)}, "failed: recognition"),
        ({"action_ok": False}, "the action failed"),
        ({"ended": "transfer"}, "handed to a person"),
    ],
)
def test_a_turn_tells_that_it_went_wrong(sign: dict[str, Any], reason: str) -> None:
    assert reasons(turn(**SURE)) == ()
    assert reasons(turn(**{**SURE, **sign})) == (reason,)


@pytest.mark.parametrize(
    ("following", "reason"),
    [
        ({"text": "when are you opened"}, "said again"),
        ({"text": "no I meant the pharmacy"}, "corrected by the caller"),
        ({"text": "that's wrong"}, "corrected by the caller"),
        ({"text": "a person please", "intent": "person", "source": "command"}, "asked for a person"),
        ({"text": "what", "intent": "repeat", "source": "command"}, "asked to repeat"),
    ],
)
def test_the_next_words_tell_it_too(following: dict[str, Any], reason: str) -> None:
    after = turn(n=2, **{**SURE, **following})
    assert reasons(turn(**SURE), after) == (reason,)
    assert reasons(turn(**SURE), turn("call_b", **{**SURE, **following})) == ()


def test_more_signs_make_more_doubt_and_what_was_looked_at_is_not_shown() -> None:
    some = [
        turn("a", **{**SURE, "interrupted": True}),
        turn("b", **{**SURE, "interrupted": True, "cut_off": True}),
        turn("c", **SURE),
    ]
    assert [doubt.kept.turn.call for doubt in doubtful(kept(*some))] == ["b", "a"]
    seen = [Kept(1, some[1], correction=Correction(verdict=Verdict.FINE, text=""))]
    assert doubtful(seen) == []


signs = st.fixed_dictionaries(
    {
        "confidence": st.floats(0, 1),
        "text_confidence": st.floats(0, 1),
        "source": st.sampled_from(["none", "classifier", "command", "slot", "knowledge"]),
        "interrupted": st.booleans(),
        "text": st.text(max_size=20),
    }
)


@given(st.lists(signs, max_size=6))
def test_any_turns_are_ordered_by_a_score_between_0_and_1(values: list[dict[str, Any]]) -> None:
    found = doubtful(kept(*(turn(n=n, **one) for n, one in enumerate(values, 1))))
    scores = [doubt.score for doubt in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
