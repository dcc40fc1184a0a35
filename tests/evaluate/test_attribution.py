"""The stage that lost a turn."""

from dataclasses import replace
from typing import Any

import pytest

from rejoinder.evaluate.attribution import attribute, lost_by_stage, lost_in
from rejoinder.evaluate.records import Check, Meaning, PlayedTurn, Stage, Turn

RIGHT, WRONG = Meaning("order", {"drink": "latte"}), Meaning("order", {"drink": "mocha"})

TURN = Turn(
    system="base",
    condition="clean",
    utterance="1",
    duration_s=2.0,
    said=None,
    heard="a lottery",
    confidence=0.9,
    meant=RIGHT,
    understood=WRONG,
    heard_until_s=1.5,
    decided_s=1.7,
    n_turns=1,
)
FINE = replace(TURN, condition="phone", heard="A latte.", understood=RIGHT)


def lost(turn: Turn, *others: Turn) -> Stage | None:
    first, *_ = attribute([turn, *others])
    assert replace(first, lost=None) == turn
    return first.lost


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({"understood": RIGHT}, None),
        ({"understood": RIGHT, "said": "a latte", "of_reference": WRONG}, None),
        ({"meant": None}, None),
        ({"meant": None, "said": "a latte"}, None),
        ({"understood": None, "heard": "", "n_turns": 0}, Stage.TURNS),
        ({"understood": None, "said": "a latte", "of_reference": RIGHT}, Stage.TURNS),
        ({"of_whole": RIGHT, "whole": "a latte"}, Stage.TURNS),
        ({"of_whole": RIGHT, "said": "a latte", "of_reference": WRONG}, Stage.TURNS),
        ({"of_whole": WRONG, "whole": "a lottery"}, Stage.UNKNOWN),
        ({"said": "a latte", "of_reference": RIGHT}, Stage.RECOGNITION),
        ({"said": "a latte", "of_reference": WRONG}, Stage.UNDERSTANDING),
        ({"said": "a latte"}, Stage.UNKNOWN),  # the understanding of the words was not measured
        ({"said": "A lottery!", "of_reference": RIGHT}, Stage.UNDERSTANDING),
        ({"said": "A lottery!", "of_reference": RIGHT, "n_turns": 2}, Stage.TURNS),
        ({}, Stage.UNKNOWN),
    ],
)
def test_a_turn_by_itself(changes: dict[str, Any], stage: Stage | None) -> None:
    assert lost(replace(TURN, **changes)) is stage


class TestWithoutWords:
    @pytest.mark.parametrize("other", [FINE, replace(FINE, condition="clean", system="deep")])
    def test_other_words_were_understood(self, other: Turn) -> None:
        assert lost(TURN, other) is Stage.RECOGNITION

    def test_the_same_words_were_understood(self) -> None:
        other = replace(FINE, heard="a lottery")
        assert lost(TURN, other, FINE) is Stage.UNDERSTANDING
        assert lost(replace(TURN, n_turns=2), other, FINE) is Stage.TURNS

    def test_other_words_were_understood_in_one_piece(self) -> None:
        other = replace(TURN, condition="phone", heard="a", whole="a latte", of_whole=RIGHT)
        assert lost(TURN, other) is Stage.RECOGNITION

    def test_another_recording_says_nothing(self) -> None:
        assert lost(TURN, replace(FINE, utterance="2")) is Stage.UNKNOWN

    def test_another_failure_says_nothing(self) -> None:
        assert lost(TURN, replace(FINE, understood=WRONG)) is Stage.UNKNOWN


def test_words_said_count_more_than_other_hearings() -> None:
    known = replace(TURN, said="a latte", of_reference=WRONG)
    assert lost(known, FINE) is Stage.UNDERSTANDING


def test_a_stage_is_set_anew() -> None:
    assert lost(replace(TURN, understood=RIGHT)) is None
    (turn,) = attribute([replace(TURN, understood=RIGHT, lost=Stage.UNKNOWN)])
    assert turn.lost is None


def test_counts() -> None:
    turns = attribute([TURN, FINE, replace(TURN, utterance="2"), replace(TURN, utterance="3", understood=None)])
    assert lost_by_stage(turns) == {"turn taking": 1, "recognition": 1, "unknown": 1}
    assert list(lost_by_stage(turns)) == ["turn taking", "recognition", "unknown"]
    assert attribute([]) == ()


@pytest.mark.parametrize(
    ("caller", "heard", "failed", "stage"),
    [
        ("a latte", "A latte.", (), None),
        ("a latte", "A lottery.", ("intent", "says"), Stage.RECOGNITION),
        ("a latte", "A latte.", ("slots",), Stage.UNDERSTANDING),
        ("a latte", "A latte.", ("says", "action"), Stage.DIALOGUE),
        ("a latte", "", ("intent", "says"), Stage.TURNS),
        ("wait", "Wait.", ("interrupted",), Stage.TURNS),
        ("a latte", "A latte.", ("within_ms",), Stage.TURNS),
        ("(1.flac)", "A lottery.", ("intent",), Stage.UNKNOWN),
        ("(1.flac)", "A latte.", ("says",), Stage.DIALOGUE),
    ],
)
def test_turns_of_conversations(caller: str, heard: str, failed: tuple[str, ...], stage: Stage | None) -> None:
    checks = (Check("ends", "no", "no", True), *(Check(what, "this", "that", False) for what in failed))
    assert lost_in(PlayedTurn(caller, heard, "", checks)) is stage
