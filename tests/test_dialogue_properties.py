"""What holds in every conversation, and in every domain that ships."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.actions import ActionRunner
from rejoinder.dialogue import CONFIRM, Compute, DialogueState, after_action, expectation, greet, idle, respond
from rejoinder.domain import Domain, SlotKind
from rejoinder.domain.templates import names
from rejoinder.events import Understanding
from tests.conversation import CAFE, KNOWLEDGE, NONSENSE, ORDER, SILENCE, Call, broken, command, price, said, slot

NAMES = st.sampled_from([*CAFE.intents, "unknown"])
VALUES = st.dictionaries(
    st.sampled_from([*CAFE.slots, CONFIRM, "unknown"]),
    st.sampled_from(["", "latte", "large", "5551234", "yes", "no"]),
    max_size=3,
)
COMMANDS = st.sampled_from(["yes", "yes", "no", "repeat", "cancel", "person", "goodbye", "thanks", "help", "unknown"])
UNDERSTANDINGS = st.one_of(
    st.builds(
        said,
        st.sampled_from(["", "x", "no x"]),
        st.none() | NAMES,
        st.sampled_from(["pattern", "classifier", "slot", "none", "llm", "?"]),
    ).flatmap(lambda turn: VALUES.map(lambda slots: replace(turn, slots=slots))),
    st.builds(lambda name, slots: command(name, **slots), COMMANDS, st.just({}) | VALUES),
    st.sampled_from([KNOWLEDGE, NONSENSE, SILENCE, ORDER]),
)
RESULTS = st.none() | st.dictionaries(st.sampled_from(["number", "echo", "size"]), st.just("1"))


@settings(max_examples=150)
@given(st.lists(st.tuples(UNDERSTANDINGS, RESULTS, st.sampled_from([price, broken])), max_size=12))
def test_any_conversation_is_pure_and_acts_only_on_a_yes(
    turns: list[tuple[Understanding, Mapping[str, str] | None, Compute]],
) -> None:
    state, _ = greet(CAFE, DialogueState())
    for understanding, result, compute in turns:
        before = deepcopy((state, understanding))
        after, reply = respond(CAFE, state, understanding, compute=compute)
        assert (state, understanding) == before
        assert respond(CAFE, state, understanding, compute=compute) == (after, reply)
        assert bool(reply.text) != (reply.action is not None)
        assert after.n_turns == state.n_turns + 1
        assert not (after.expecting and after.confirming)
        assert after.intent is not None or not (after.expecting or after.confirming or after.question)
        if reply.action is not None and reply.intent == "order":
            assert state.confirming
            assert state.intent == "order"
            assert understanding.intent == "yes" or understanding.slots.get(CONFIRM) == "yes"
            assert {name: reply.slots[name] for name in state.slots} == dict(state.slots)
        if understanding.source == "none":
            assert after.intent is None or (after.intent, after.slots) == (state.intent, state.slots)
        state = after
        if reply.action is not None:
            state, reply = after_action(CAFE, state, reply, result)
            assert reply.action is None
            assert reply.text
        assert idle(CAFE, state)[1].text


@given(st.permutations([("drink", "latte"), ("size", "large"), ("milk", "oat milk")]), st.integers(1, 3))
def test_slots_in_any_order_and_grouping_make_the_same_order(slots: list[tuple[str, str]], n_first: int) -> None:
    call = Call()
    call.hear(said("…", "order", **dict(slots[:n_first])))
    for name, value in slots[n_first:]:
        call.hear(slot(**{name: value}))
    assert call.reply.text == "A large latte with oat milk for $5, right?"


EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[1] / "examples").glob("*/domain.yaml"))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_every_intent_of_an_example_comes_to_an_end(folder: Path) -> None:
    """Each question is asked and answered; a slot gets the first value that it may have."""
    domain = Domain.load(folder)
    actions = ActionRunner.load(domain)
    for intent in domain.intents.values():
        returned = {name: "12" for template in intent.replies for name in names(template)}
        call = Call(domain, compute=actions.compute, result=returned)
        call.hear(said("…", intent.name))
        while (expected := expectation(call.state)[0]) not in (None, CONFIRM):
            assert call.reply.text
            asked = domain.slots[str(expected)]
            value = asked.choices[0].value if asked.choices else SAMPLES[asked.kind]
            call.hear(slot(intent=intent.name, **{asked.name: value}))
        if intent.confirm:
            assert expectation(call.state) == (CONFIRM, intent.name)
            assert call.reply.text
            call.hear(command("yes"))
        assert call.reply.text
        assert call.reply.ends == intent.ends
        assert len(call.actions) == (intent.action is not None)
        assert not any(mark in call.reply.text for mark in "{}[]")


SAMPLES = {
    SlotKind.NUMBER: "3",
    SlotKind.DATE: "2026-11-30",
    SlotKind.TIME: "14:30",
    SlotKind.MONEY: "2.50",
    SlotKind.PHONE: "5551234567",
    SlotKind.CODE: "123456",
    SlotKind.YES_NO: "yes",
}
