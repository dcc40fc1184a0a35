"""What came of a turn, read off events, and what is said of it."""

from datetime import date

import numpy as np
import pytest

from rejoinder.domain import Slot, SlotKind
from rejoinder.evaluate.checks import Outcome, canonical, check
from rejoinder.evaluate.conversation import Expected
from rejoinder.evaluate.records import Check
from rejoinder.events import (
    ActionRun,
    Event,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    SessionEnded,
    TurnEnded,
    Understanding,
    Understood,
)
from tests.fakes import order_domain

MONDAY = date(2026, 11, 23)


def turn_ended(text: str, at_s: float, *, continues: bool = False) -> TurnEnded:
    return TurnEnded(text, 0.9, at_s - 0.3, at_s, continues=continues)


def reply(text: str, at_s: float, decision_s: float = 0.02) -> list[Event]:
    audio = ReplyAudio(np.zeros(160, np.float32), 16_000, at_s, decision_s)
    return [ReplyStarted(text, at_s), audio, ReplyDone(interrupted=False, at_s=at_s)]


def understood(source: str = "pattern", intent: str | None = "order", **slots: str) -> Understood:
    return Understood(Understanding("", intent, 0.9, slots, source), 1.0)


def test_a_plain_turn() -> None:
    events: list[Event] = [turn_ended("a latte", 2.0), understood(drink="latte"), ActionRun("order", True, 0.1, 2.0)]
    outcome = Outcome.of([*events, *reply("Done.", 2.0)], speech_end_s=1.6)
    assert (outcome.heard, outcome.reply, outcome.actions) == ("a latte", "Done.", {"order": True})
    assert outcome.took_ms == pytest.approx(420)
    assert not outcome.interrupted
    assert outcome.ends is None


def test_a_turn_that_was_cut_off_counts_once_and_with_its_last_reply() -> None:
    first: list[Event] = [turn_ended("when are you", 1.0), understood(intent="hours"), *reply("From seven.", 1.0)]
    rest: list[Event] = [ReplyDone(interrupted=True, at_s=1.2), turn_ended("when are you open", 2.0, continues=True)]
    outcome = Outcome.of([*first, *rest, understood(intent="hours"), *reply("From eight.", 2.0)], speech_end_s=1.7)
    assert (outcome.heard, outcome.reply) == ("when are you open", "From eight.")
    assert outcome.took_ms == pytest.approx(320)
    assert not outcome.interrupted  # the reply before this turn was not


def test_the_reply_before_was_interrupted() -> None:
    stopped = ReplyDone(interrupted=True, at_s=1.2)
    assert Outcome.of([stopped, turn_ended("a latte", 2.0), *reply("Done.", 2.0)]).interrupted


def test_several_replies_and_the_end_of_the_call() -> None:
    events: list[Event] = [*reply("Are you there?", 10.0), *reply("Hello?", 20.0), SessionEnded("idle", 30.0)]
    outcome = Outcome.of(events)
    assert (outcome.reply, outcome.ends, outcome.took_ms) == ("Are you there? Hello?", "idle", None)


def test_a_reply_that_is_thought_of_bit_by_bit() -> None:
    events: list[Event] = [ReplyStarted("Well,", 1.0, "pages.md#Parking"), ReplyContinued("there is.", 1.2)]
    outcome = Outcome.of(events)
    assert (outcome.reply, outcome.source) == ("Well, there is.", "pages.md#Parking")


OUTCOME = Outcome(
    "a large latte",
    Understanding("", "order", 0.9, {"drink": "latte", "size": "large", "confirm": "yes"}, "pattern"),
    ("Your order number is 12.",),
    actions={"order": True},
    took_ms=412.4,
)
NOTHING = Outcome()


@pytest.mark.parametrize(
    ("expected", "outcome", "got", "ok"),
    [
        (Expected(intent="order"), OUTCOME, "order", True),
        (Expected(intent="hours"), OUTCOME, "order", False),
        (Expected(intent="none"), OUTCOME, "order", False),
        (Expected(intent="none"), Outcome(understanding=Understanding("")), "none", True),
        (Expected(intent="none"), NOTHING, "nothing understood", False),
        (Expected(intent="knowledge"), Outcome(understanding=Understanding("", source="knowledge")), "knowledge", True),
        (Expected(slots={"drink": "latte", "size": "large"}), OUTCOME, "drink: latte, size: large", True),
        (Expected(slots={"drink": "latte"}), OUTCOME, "drink: latte, size: large", False),
        (Expected(slots={}), OUTCOME, "drink: latte, size: large", False),
        (Expected(slots={}), NOTHING, "none", True),
        (Expected(says=("number is",)), OUTCOME, "Your order number is 12.", True),
        (Expected(says=("none",)), OUTCOME, "Your order number is 12.", False),
        (Expected(says=("none",)), NOTHING, "(nothing)", True),
        (Expected(says=("/is 1.$/",)), OUTCOME, "Your order number is 12.", False),
        (Expected(not_says=("13",)), OUTCOME, "Your order number is 12.", True),
        (Expected(not_says=("12",)), OUTCOME, "Your order number is 12.", False),
        (Expected(source="Parking"), Outcome(source="pages.md#Parking"), "pages.md#Parking", True),
        (Expected(source="Parking"), OUTCOME, "none", False),
        (Expected(action="order"), OUTCOME, "order", True),
        (Expected(action="order"), Outcome(actions={"order": False}), "order, which failed", False),
        (Expected(action="fails"), Outcome(actions={"order": False}), "order, which failed", True),
        (Expected(action="fails"), OUTCOME, "order", False),
        (Expected(action="none"), OUTCOME, "order", False),
        (Expected(action="none"), NOTHING, "none", True),
        (Expected(interrupted=True), OUTCOME, "no", False),
        (Expected(interrupted=False), OUTCOME, "no", True),
        (Expected(ends="transfer"), Outcome(ends="transfer"), "transfer", True),
        (Expected(ends="none"), Outcome(ends="transfer"), "transfer", False),
        (Expected(within_ms=500), OUTCOME, "412 ms", True),
        (Expected(within_ms=400), OUTCOME, "412 ms", False),
        (Expected(within_ms=400), NOTHING, "no answer", False),
    ],
)
def test_each_expectation(expected: Expected, outcome: Outcome, got: str, ok: bool) -> None:
    (one,) = check(expected, outcome, order_domain(), today=MONDAY)
    assert (one.got, one.ok) == (got, ok)


def test_every_text_is_a_check_of_its_own() -> None:
    checks = check(Expected(says=("order", "13"), not_says=("sorry",)), OUTCOME, order_domain(), today=MONDAY)
    assert [(one.what, one.expected, one.ok) for one in checks] == [
        ("says", "order", True),
        ("says", "13", False),
        ("not_says", "sorry", True),
    ]
    assert isinstance(checks[0], Check)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SlotKind.DATE, "tomorrow", "2026-11-24"),
        (SlotKind.DATE, "on friday", "2026-11-27"),
        (SlotKind.DATE, "2026-11-30", "2026-11-30"),
        (SlotKind.TIME, "half past two in the afternoon", "14:30"),
        (SlotKind.TIME, "14:30", "14:30"),
        (SlotKind.MONEY, "two dollars and fifty cents", "2.50"),
        (SlotKind.CODE, "a seven k", "A7K"),
        (SlotKind.CODE, "A7K", "A7K"),
        (SlotKind.PHONE, "5551234567", "5551234567"),
        (SlotKind.CLOSED, "latte", "latte"),
        (SlotKind.NUMBER, "nonsense", "nonsense"),
    ],
)
def test_values_in_the_words_of_their_owner(kind: SlotKind, text: str, value: str) -> None:
    assert canonical(Slot("it", kind), text, MONDAY) == value
