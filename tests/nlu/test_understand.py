"""Understanding whole turns, with the real encoder and a small shop."""

import json
import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rejoinder.domain import Domain, Intent
from rejoinder.events import Completion
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.understand import CONFIRM, Understander
from tests.nlu.domains import shop

pytestmark = pytest.mark.model

TODAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def understander(encoder: Encoder) -> Understander:
    return Understander.fit(shop(), encoder, today=lambda: TODAY)


@pytest.mark.parametrize(
    ("said", "intent", "slots"),
    [
        (
            "Can I get a large dark roast latte with soymilk?",
            "order",
            {"size": "large", "roast": "dark roast", "drink": "latte", "milk": "soy milk"},
        ),
        ("I want a 20-ounce iced mocha", "order", {"size": "twenty ounce", "drink": "iced mocha"}),
        (
            "book a table for four people tomorrow at seven thirty pm",
            "book",
            {"guests": "4", "day": "2026-11-24", "hour": "19:30"},
        ),
        (
            "transfer two hundred dollars from checking to savings",
            "transfer",
            {"amount": "200.00", "source": "checking", "target": "savings"},
        ),
        ("what are your hours", "hours", {}),
        ("cancel my table", "cancelTable", {}),
    ],
)
def test_a_pattern_is_understood_exactly(
    understander: Understander, said: str, intent: str, slots: dict[str, str]
) -> None:
    understood = understander.understand(said)
    assert (understood.intent, understood.slots, understood.source) == (intent, slots, "pattern")
    assert understood.confidence > 0.9
    assert understood.completion is Completion.COMPLETE


def test_a_spelled_value_of_no_set_length_may_go_on(understander: Understander) -> None:
    understood = understander.understand("my member number is A B one two")
    assert (understood.intent, understood.slots, understood.source) == ("member", {"member": "AB12"}, "pattern")
    assert understood.completion is Completion.PLAUSIBLE


@pytest.mark.parametrize(
    ("said", "intent", "slots"),
    [
        ("could I maybe have some large latte", "order", {"size": "large", "drink": "latte"}),
        (
            "and a get a small expresso with almond milk",
            "order",
            {"size": "small", "drink": "espresso", "milk": "almond milk"},
        ),
        ("large flat white soy milk", "order", {"size": "large", "drink": "flat white", "milk": "soy milk"}),
        ("until what time are you open", "hours", {}),
        ("we need a table for six on friday", "book", {"guests": "6", "day": "2026-11-27"}),
    ],
)
def test_other_words_are_understood_by_meaning(
    understander: Understander, said: str, intent: str, slots: dict[str, str]
) -> None:
    understood = understander.understand(said)
    assert (understood.intent, understood.slots) == (intent, slots)
    assert understood.confidence > 0.5


@pytest.mark.parametrize(
    "said",
    [
        "what's the weather",
        "can I get a refund on my laptop",
        "I want to cry",
        "I want to go home now",
        "give me a hug",
        "I spilled coffee with milk on my laptop",
        "who won the game last night",
        "asdf gleep zork",
        "ich hätte gern ein Bier",
        "two",
        "?!",
        "",
    ],
)
def test_what_is_out_of_scope_gets_no_intent(understander: Understander, said: str) -> None:
    understood = understander.understand(said)
    assert (understood.intent, understood.source, understood.answer) == (None, "none", None)


def test_the_domain_may_name_what_is_out_of_scope(encoder: Encoder) -> None:
    said = "do you sell coffee beans by the pound"
    examples = ("do you sell coffee beans", "can I buy beans by the pound", "a pound of coffee beans to take home")
    understander = Understander.fit(replace(shop(), out_of_scope_examples=examples), encoder)
    assert understander.understand(said).intent is None


@pytest.mark.parametrize(
    ("said", "source"), [("do you have wifi", "about.md#Wifi"), ("can I park my car", "about.md#Parking")]
)
def test_a_question_that_no_intent_takes_goes_to_the_knowledge(
    understander: Understander, said: str, source: str
) -> None:
    understood = understander.understand(said)
    assert (understood.intent, understood.source, understood.answer_source) == (None, "knowledge", source)
    assert understood.answer


def test_a_question_with_a_slot_value_in_it_still_goes_to_the_knowledge(understander: Understander) -> None:
    understood = understander.understand("does the almond milk have nuts in it")
    assert understood.answer_source == "about.md#Allergies"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("um, could you repeat that please", "repeat"),
        ("cancel", "cancel"),
        ("can I talk to a person", "person"),
        ("thanks", "thanks"),
    ],
)
def test_commands_work_everywhere(understander: Understander, said: str, name: str) -> None:
    for context in ({}, {"intent": "order"}, {"intent": "order", "expecting": "drink"}):
        understood = understander.understand(said, **context)
        assert (understood.intent, understood.source) == (name, "command")


def test_an_intent_of_the_domain_is_not_taken_for_a_command(understander: Understander) -> None:
    assert understander.understand("please cancel my booking").intent == "cancelTable"
    assert understander.understand("cancel").completion is Completion.PLAUSIBLE  # it may become "cancel my booking"


@pytest.mark.parametrize(
    ("said", "expecting", "intent", "slots"),
    [
        ("latte", "drink", "order", {"drink": "latte"}),
        ("the large one", "size", "order", {"size": "large"}),
        ("uh, a medium please", "size", "order", {"size": "medium"}),
        ("two", "guests", "book", {"guests": "2"}),
        ("to", "guests", "book", {"guests": "2"}),
        ("for two", "guests", "book", {"guests": "2"}),
        ("two fifty", "amount", "transfer", {"amount": "2.50"}),
        ("savings", "target", "transfer", {"target": "savings"}),
        ("next friday at eight pm", "day", "book", {"day": "2026-12-04", "hour": "20:00"}),
        ("A B one two", "member", "member", {"member": "AB12"}),
    ],
)
def test_the_value_alone_answers_what_was_asked(
    understander: Understander, said: str, expecting: str, intent: str, slots: dict[str, str]
) -> None:
    understood = understander.understand(said, expecting=expecting, intent=intent)
    assert (understood.slots, understood.source) == (slots, "slot")
    assert understood.intent == intent


def test_another_intent_may_come_while_a_slot_is_asked_for(understander: Understander) -> None:
    understood = understander.understand("what are your opening hours", expecting="size", intent="order")
    assert understood.intent == "hours"


@pytest.mark.parametrize(
    ("said", "slots"),
    [
        ("no, make it large", {"size": "large"}),
        ("and with soy milk", {"milk": "soy milk"}),
        ("actually a mocha instead", {"drink": "mocha"}),
    ],
)
def test_corrections_and_additions_change_the_intent_in_progress(
    understander: Understander, said: str, slots: dict[str, str]
) -> None:
    for expecting in (None, CONFIRM):
        understood = understander.understand(said, intent="order", expecting=expecting)
        assert (understood.intent, understood.slots, understood.source) == ("order", slots, "slot")


@pytest.mark.parametrize(
    ("said", "answer"), [("yes please", "yes"), ("I would", "yes"), ("nope", "no"), ("that's wrong", "no")]
)
def test_a_question_for_a_yes_gets_it(understander: Understander, said: str, answer: str) -> None:
    understood = understander.understand(said, expecting=CONFIRM, intent="order")
    assert (understood.intent, understood.slots, understood.source) == (answer, {CONFIRM: answer}, "command")


def test_a_yes_may_add_something(understander: Understander) -> None:
    understood = understander.understand("yes, and with soy milk", expecting=CONFIRM, intent="order")
    assert understood.slots == {CONFIRM: "yes", "milk": "soy milk"}


@pytest.mark.parametrize(
    ("said", "completion"),
    [
        ("can I get a", Completion.INCOMPLETE),
        ("can I get a large", Completion.INCOMPLETE),
        ("can I get a large latte", Completion.COMPLETE),
        ("can I get a large latte with", Completion.INCOMPLETE),
        ("can I get a large latte with a little bit", Completion.INCOMPLETE),
        ("can I get a large latte, um", Completion.INCOMPLETE),
        ("book a table for", Completion.INCOMPLETE),
        ("I want to reserve a table", Completion.PLAUSIBLE),
        ("what's the weather", Completion.PLAUSIBLE),
        ("um", Completion.INCOMPLETE),
        ("", Completion.PLAUSIBLE),
    ],
)
def test_completion_says_whether_more_is_to_come(understander: Understander, said: str, completion: Completion) -> None:
    assert understander.understand(said).completion is completion


@pytest.mark.parametrize(
    ("said", "expecting", "completion"),
    [
        ("four one two two six eight", "phone", Completion.INCOMPLETE),
        ("four one two two six eight five thousand", "phone", Completion.COMPLETE),
        ("A B one", "member", Completion.PLAUSIBLE),
        ("large", "size", Completion.COMPLETE),
    ],
)
def test_completion_of_an_answer_follows_its_kind(
    understander: Understander, said: str, expecting: str, completion: Completion
) -> None:
    assert understander.understand(said, expecting=expecting, intent="book").completion is completion


def test_an_unfinished_value_fills_no_slot(understander: Understander) -> None:
    assert "phone" not in understander.understand("four one two", expecting="phone", intent="book").slots


@pytest.mark.parametrize(
    "said",
    [
        "sing me a song",
        "what is the weather tomorrow",
        "where do I go to see my credit score",
        "check what is on my calendar for tuesday",
        "is it possible for a hotel to be booked from the tenth to the fifteenth",
        "how large is the moon",
        "do you have soy milk",
    ],
)
def test_what_only_sounds_like_a_value_changes_nothing(understander: Understander, said: str) -> None:
    for context in ({}, {"expecting": "drink"}, {"expecting": "day"}, {"expecting": CONFIRM}):
        for intent in ("order", "book"):
            understood = understander.understand(said, intent=intent, **context)
            assert understood.source != "slot"
            assert CONFIRM not in understood.slots


@pytest.mark.parametrize(
    ("said", "slots"),
    [
        ("no milk please", {"milk": ""}),
        ("hold the soy milk", {"milk": ""}),
        ("no, not small, large", {"size": "large"}),
        ("not a latte but a mocha", {"drink": "mocha"}),
        ("no medium", {"size": "medium"}),
    ],
)
def test_a_refused_value_is_taken_away(understander: Understander, said: str, slots: dict[str, str]) -> None:
    for expecting in (None, CONFIRM):
        understood = understander.understand(said, intent="order", expecting=expecting)
        assert (understood.slots, understood.source) == (slots, "slot")


@pytest.mark.parametrize(
    "said", ["a latte without milk", "can I get a latte with no milk", "I want a latte, hold the milk"]
)
def test_a_first_order_has_no_slot_for_what_is_refused(understander: Understander, said: str) -> None:
    understood = understander.understand(said)
    assert (understood.intent, understood.slots) == ("order", {"drink": "latte"})


def test_a_yes_may_take_something_away(understander: Understander) -> None:
    understood = understander.understand("yes, but no milk", expecting=CONFIRM, intent="order")
    assert understood.slots == {CONFIRM: "yes", "milk": ""}


@pytest.mark.data
def test_foreign_sentences_hardly_ever_fill_a_slot(understander: Understander) -> None:
    file = Path(os.environ.get("REJOINDER_DATA", "../shared/data")) / "clinc150" / "data_full.json"
    if not file.is_file():
        pytest.skip(f"needs {file}")
    said = [text for text, _ in json.loads(file.read_text())["oos_val"]]
    for expecting in (None, "drink", CONFIRM):
        understood = [understander.understand(text, expecting=expecting, intent="order") for text in said]
        assert sum(bool(one.slots) for one in understood) <= 0.02 * len(said)


@pytest.mark.parametrize(
    "text", ["word " * 5_000, "latte zorble " * 2_000, "😀" * 500, "\x00\x1b\x7f", "?!" * 900, "7" * 3_000]
)
def test_an_endless_or_odd_text_is_understood_like_any_other(understander: Understander, text: str) -> None:
    for expecting in (None, CONFIRM, "phone"):
        understood = understander.understand(text, expecting=expecting, intent="order")
        assert understood.text == text


_WORDS = st.sampled_from(
    "a no not without milk latte large with and yes two twenty zorble the out take \U0001f600 \x07".split(" ")
)


@given(
    st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=12).map(" ".join)),
    st.sampled_from([None, CONFIRM, "size", "day", "nonsense"]),
    st.sampled_from([None, "order", "x"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_understood_without_an_error(
    understander: Understander, text: str, expecting: str | None, intent: str | None
) -> None:
    understood = understander.understand(text, expecting=expecting, intent=intent)
    assert understood.text == text
    assert 0 <= understood.confidence <= 1


def test_what_was_fitted_is_kept_and_made_anew_when_the_domain_changes(encoder: Encoder, tmp_path: Path) -> None:
    small = replace(shop(), intents={"hours": shop().intents["hours"]}, passages=())
    Understander.fit(small, encoder, cache=tmp_path)
    kept = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(kept) == 1
    again = Understander.fit(small, encoder, cache=tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == kept
    assert again.understand("when do you open").intent == "hours"
    changed = replace(small, intents={"hours": replace(small.intents["hours"], examples=("is it open today",))})
    Understander.fit(changed, encoder, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_cache_is_made_anew(encoder: Encoder, tmp_path: Path) -> None:
    small = replace(shop(), intents={"hours": shop().intents["hours"]}, passages=())
    Understander.fit(small, encoder, cache=tmp_path)
    kept = next(tmp_path.iterdir())
    for damage in (b"", b"PK\x03\x04 damaged", kept.read_bytes()[:200]):
        kept.write_bytes(damage)
        assert Understander.fit(small, encoder, cache=tmp_path).understand("when do you open").intent == "hours"
    with np.load(kept, allow_pickle=False) as archive:
        partial = {name: archive[name] for name in archive.files if name != "weights"}
    with kept.open("wb") as file:
        np.savez(file, allow_pickle=False, **partial)
    assert Understander.fit(small, encoder, cache=tmp_path).understand("when do you open").intent == "hours"


@pytest.mark.parametrize("intents", [{}, {"empty": Intent("empty")}])
def test_a_domain_that_understands_nothing_says_so(encoder: Encoder, intents: dict[str, Intent]) -> None:
    understander = Understander.fit(Domain("bare", Path(), intents=intents), encoder)
    assert understander.understand("a large latte").source == "none"
    assert understander.understand("goodbye").intent == "goodbye"
