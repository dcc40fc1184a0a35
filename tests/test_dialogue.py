"""What is said in each situation."""

from dataclasses import replace

import pytest

from rejoinder.dialogue import (
    CONFIRM,
    MOST_FAILURES,
    DialogueState,
    Reply,
    after_action,
    expectation,
    greet,
    idle,
    respond,
)
from rejoinder.domain import Intent, IntentSlot, Replies
from rejoinder.events import Understanding
from tests.conversation import CAFE, KNOWLEDGE, NONSENSE, ORDER, SILENCE, Call, broken, command, price, said, slot

# -- asking for what is missing ---------------------------------------------------------------------------------------


def test_missing_slots_are_asked_for_in_order_then_confirmed_then_done() -> None:
    call = Call()
    assert call.hear(said("I'd like to order", "order")) == "What would you like?"
    assert expectation(call.state) == ("drink", "order")
    assert call.hear(slot(drink="latte")) == "How large should the latte be?"
    assert expectation(call.state) == ("size", "order")
    assert call.hear(slot(size="large")) == "A large latte for $5, right?"
    assert expectation(call.state) == (CONFIRM, "order")
    assert call.actions == []
    assert call.hear(command("yes")) == "Thanks, number 12."
    assert call.actions == [{"drink": "latte", "size": "large", "price": "$5"}]
    assert expectation(call.state) == (None, "order")


def test_a_question_may_be_answered_with_several_slots_in_any_order() -> None:
    call = Call()
    assert call.hear(said("a drink", "order"), slot(size="large", milk="oat milk")) == "Which drink?"
    assert call.hear(slot(drink="mocha")) == "A large mocha with oat milk for $5, right?"


@pytest.mark.parametrize("source", ["slot", "pattern", "classifier"])
def test_the_answer_may_come_as_slot_or_as_the_same_intent(source: str) -> None:
    call = Call()
    call.hear(said("a latte", "order", drink="latte"))
    assert call.hear(said("a small one please", "order", source, size="small")) == "A small latte for $3, right?"


def test_an_answer_may_change_another_slot_too() -> None:
    call = Call()
    assert call.hear(said("a latte", "order", drink="latte"), slot("no a mocha", drink="mocha")) == (
        "How large should the mocha be?"
    )


def test_values_of_other_intents_are_left_out() -> None:
    call = Call()
    call.hear(said("a latte", "order", drink="latte", phone="5551234"))
    assert call.state.slots == {"drink": "latte"}


def test_asks_again_in_other_words_and_hands_over_after_three_failures() -> None:
    call = Call()
    assert call.hear(said("a latte", "order", drink="latte")) == "What size?"
    assert call.hear(NONSENSE) == "Sorry, I didn't get that. How large should the latte be?"
    assert call.hear(SILENCE) == "Sorry, I didn't get that. What size?"
    assert call.state.slots == {"drink": "latte"}
    call.hear(command("no"))
    assert (call.reply.text, call.reply.ends) == ("I'll put you through to a person.", "transfer")
    assert call.reply.slots == {"drink": "latte"}
    assert expectation(call.state) == (None, None)


@pytest.mark.parametrize(
    "useless", [said("a drink", "order"), slot(drink="latte"), said("a latte", "order", drink="latte")]
)
def test_an_answer_that_brings_nothing_new_counts_as_a_failure(useless: Understanding) -> None:
    call = Call()
    call.hear(said("a latte", "order", drink="latte"))
    assert call.hear(useless).startswith("Sorry")
    call.hear(*[useless] * (MOST_FAILURES - 1))
    assert call.reply.ends == "transfer"


def test_a_good_answer_forgets_the_failures() -> None:
    call = Call()
    call.hear(said("order", "order"), NONSENSE, NONSENSE, slot(drink="latte"), NONSENSE, NONSENSE)
    assert call.reply.ends is None
    assert expectation(call.state) == ("size", "order")


def test_yes_and_no_fill_a_slot_of_their_kind() -> None:
    call = Call()
    call.hear(said("reserve", "reserve", phone="5551234567"))
    assert expectation(call.state) == ("gift", "reserve")
    assert call.hear(command("no")) == "I have 555-123-4567, gift: no. Right?"


def test_open_kinds_are_written_to_be_read() -> None:
    call = Call()
    call.hear(said("reserve", "reserve", phone="5551234567", gift="yes", code="gmef39", budget="2.50"))
    assert call.reply.text == "I have 555-123-4567, code GMEF39, at most $2.50, gift: yes. Right?"
    assert call.reply.slots["phone"] == "5551234567"


# -- confirmation and corrections -------------------------------------------------------------------------------------


def test_no_keeps_the_slots_for_a_change() -> None:
    call = Call()
    assert call.hear(ORDER, command("no")) == "All right. What would you like to change?"
    assert expectation(call.state) == (None, "order")
    assert call.hear(slot(milk="oat milk")) == "A large latte with oat milk for $5, right?"


@pytest.mark.parametrize(
    "correction",
    [
        command("no", size="small"),
        command("yes", size="small"),
        slot("yes but small", size="small", confirm="yes"),
        slot("make it small", size="small"),
        said("actually small", "order", "classifier", size="small"),
        said("no a small latte", "order", drink="latte", size="small"),
        said("I said a small one", "order", size="small"),
    ],
)
def test_a_correction_is_confirmed_again(correction: Understanding) -> None:
    call = Call()
    call.hear(replace(ORDER, slots={**ORDER.slots, "milk": "oat milk"}))
    assert call.hear(correction) == "A small latte with oat milk for $3, right?"
    assert call.actions == []
    assert call.hear(command("yes")) == "Thanks, number 12."
    assert call.actions[0]["size"] == "small"


@pytest.mark.parametrize("yes", [command("yes", size="large"), slot("yes, a large one", size="large", confirm="yes")])
def test_a_yes_with_the_same_values_confirms(yes: Understanding) -> None:
    call = Call()
    assert call.hear(ORDER, yes) == "Thanks, number 12."


def test_an_empty_value_takes_a_slot_away() -> None:
    call = Call()
    call.hear(replace(ORDER, slots={**ORDER.slots, "milk": "milk"}))
    assert call.hear(slot("no milk", milk="")) == "A large latte for $5, right?"


def test_a_whole_new_order_replaces_the_old_one() -> None:
    call = Call()
    call.hear(replace(ORDER, slots={**ORDER.slots, "milk": "milk"}))
    assert call.hear(said("a small mocha", "order", drink="mocha", size="small")) == "A small mocha for $3, right?"


def test_another_full_intent_replaces_the_frame() -> None:
    call = Call()
    assert call.hear(ORDER, said("reserve a table", "reserve")) == "Your number?"
    assert call.state.slots == {}


def test_what_is_said_after_a_no_is_a_change_however_whole_it_is() -> None:
    call = Call()
    call.hear(replace(ORDER, slots={**ORDER.slots, "milk": "milk"}), command("no"))
    changed = said("a small mocha", "order", drink="mocha", size="small")
    assert call.hear(changed) == "A small mocha with milk for $3, right?"


@pytest.mark.parametrize("answer", [command("no"), command("yes")])
def test_after_a_declined_confirmation_it_is_asked_again(answer: Understanding) -> None:
    call = Call()
    assert call.hear(ORDER, command("no"), answer) == "A large latte for $5, right?"
    assert call.actions == []


def test_a_finished_order_is_changed_with_what_its_action_returned() -> None:
    call = Call()
    call.hear(ORDER, command("yes"))
    assert call.hear(slot("make it small", size="small")) == "A small latte for $3, right?"
    call.hear(command("yes"))
    assert call.actions[1] == {"drink": "latte", "size": "small", "price": "$3", "number": "12"}


@pytest.mark.parametrize(
    ("words", "follows"),
    [
        (slot("with oat milk", milk="oat milk"), "A large latte with oat milk for $5, right?"),
        (said("add oat milk", "order", milk="oat milk"), "A large latte with oat milk for $5, right?"),
        (said("actually a mocha", "order", drink="mocha"), "A large mocha for $5, right?"),
        (command("no", size="small"), "A small latte for $3, right?"),
        (said("another latte", "order", drink="latte"), "How large should the latte be?"),
        (said("and a small tea", "order", drink="tea", size="small"), "A small tea for $3, right?"),
    ],
)
def test_a_finished_order_is_changed_or_another_begins(words: Understanding, follows: str) -> None:
    call = Call()
    assert call.hear(ORDER, command("yes"), SILENCE, words) == follows
    assert ("number" in call.state.slots) == ("another" not in words.text and "tea" not in words.text)


def test_a_correction_may_come_while_the_action_runs() -> None:
    call = Call()
    call.hear(ORDER)
    running, order = respond(CAFE, call.state, command("yes"), compute=price)
    corrected, reply = respond(CAFE, running, slot(size="small"), compute=price)
    assert reply.text == "A small latte for $3, right?"
    after, done = after_action(CAFE, corrected, order, {"number": "7"})
    assert done.text == "Thanks, number 7."
    assert expectation(after) == (CONFIRM, "order")


# -- side questions ---------------------------------------------------------------------------------------------------


def test_a_side_question_is_answered_and_the_question_comes_back() -> None:
    call = Call()
    call.hear(said("a latte", "order", drink="latte"))
    assert call.hear(said("are you open", "hours")) == "From seven on. So, how large should the latte be?"
    assert call.hear(KNOWLEDGE) == "Yes, it is free. So, what size?"
    assert call.reply.source == "knowledge/house.md#Wifi"
    assert call.hear(slot(size="large")) == "A large latte for $5, right?"
    assert call.hear(said("are you open", "hours")).endswith("So, a large latte for $5, right?")
    assert call.hear(command("yes")) == "Thanks, number 12."


def test_a_side_question_takes_what_it_needs_from_the_frame() -> None:
    call = Call()
    call.hear(said("a latte", "order", drink="latte"))
    assert call.hear(said("how much is it", "price")).startswith("A latte is $3. So, ")
    assert call.hear(said("how much is a mocha", "price", drink="mocha")).startswith("A mocha is $3. So, ")
    assert call.state.slots == {"drink": "latte"}


def test_a_side_question_that_lacks_a_slot_becomes_the_frame() -> None:
    call = Call()
    assert call.hear(said("reserve", "reserve"), said("how much is it", "price")) == "The price of what?"
    assert call.hear(slot(intent="price", drink="mocha")) == "A mocha is $3."


def test_a_finished_question_may_be_varied() -> None:
    call = Call()
    assert call.hear(said("how much is a latte", "price", drink="latte")) == "A latte is $3."
    assert call.hear(slot("and a mocha", "price", drink="mocha")) == "A mocha is $3."
    assert call.hear(slot("and large", "price", size="large")) == "A large mocha is $5."


def test_knowledge_alone_is_spoken_with_its_source() -> None:
    call = Call()
    assert call.hear(KNOWLEDGE) == "Yes, it is free."
    assert call.reply == Reply("Yes, it is free.", source="knowledge/house.md#Wifi")


# -- commands ---------------------------------------------------------------------------------------------------------


def test_repeat_says_the_last_reply_again() -> None:
    call = Call()
    assert call.hear(command("repeat")) == "I haven't said anything yet."
    question = call.hear(said("a latte", "order", drink="latte"))
    assert call.hear(command("repeat"), command("repeat")) == question
    assert call.hear(slot(size="small")) == "A small latte for $3, right?"
    thanks = call.hear(command("yes"))
    assert call.hear(command("repeat")) == thanks
    assert len(call.actions) == 1


def test_cancel_drops_the_frame() -> None:
    call = Call()
    assert call.hear(ORDER, command("cancel")) == "All right, cancelled. What else can I do?"
    assert expectation(call.state) == (None, None)
    assert call.hear(command("yes")) == "Sorry, I didn't catch that. Could you say it again?"
    assert call.actions == []


def test_nothing_is_cancelled_that_is_done() -> None:
    call = Call()
    assert call.hear(ORDER, command("yes"), command("cancel")).startswith("There is nothing left to cancel.")


@pytest.mark.parametrize("before", [(), (ORDER,), (said("a latte", "order", drink="latte"),)])
@pytest.mark.parametrize(
    ("name", "text", "ends"),
    [("person", "I'll put you through to a person.", "transfer"), ("goodbye", "Goodbye.", "hangup")],
)
def test_the_call_ends_at_any_point(before: tuple[Understanding, ...], name: str, text: str, ends: str) -> None:
    call = Call()
    call.hear(*before, command(name))
    assert (call.reply.text, call.reply.ends) == (text, ends)


def test_thanks_and_help_come_back_to_the_question() -> None:
    call = Call()
    assert call.hear(command("thanks")) == "You're welcome."
    call.hear(said("a latte", "order", drink="latte"))
    assert call.hear(command("thanks")) == "You're welcome. So, what size?"
    assert call.hear(command("help")).endswith(" So, how large should the latte be?")


@pytest.mark.parametrize("answer", [command("yes"), command("no"), command("dance"), SILENCE])
def test_an_answer_to_no_question_is_not_understood(answer: Understanding) -> None:
    call = Call()
    assert call.hear(answer) == "Sorry, I didn't catch that. Could you say it again?"
    assert call.hear(said("are you open", "hours"), answer).startswith("Sorry, I didn't catch that.")


# -- out of scope -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [NONSENSE, said("x", "unknownIntent"), said("x", "order", "none", drink="latte")])
def test_out_of_scope_has_its_own_reply_and_touches_nothing(words: Understanding) -> None:
    call = Call()
    assert call.hear(*[words] * 5) == "Sorry, I can't help with that."
    assert replace(call.state, n_turns=0, last_reply="") == DialogueState()
    call.hear(ORDER)
    before = call.state
    assert call.hear(words) == "Sorry, I didn't get that. A large latte for $5, right?"
    assert (call.state.intent, call.state.slots, call.state.confirming) == ("order", before.slots, True)
    assert call.hear(command("yes")) == "Thanks, number 12."


def test_out_of_scope_after_a_declined_confirmation() -> None:
    call = Call()
    assert call.hear(ORDER, command("no"), NONSENSE) == "Sorry, I can't help with that."
    assert call.hear(slot(size="small")) == "A small latte for $3, right?"


# -- actions and computed values --------------------------------------------------------------------------------------


def test_the_result_of_an_action_fills_the_reply() -> None:
    call = Call(result={"number": "3", "minutes": "5"})
    assert call.hear(ORDER, command("yes")) == "Thanks, number 3, ready in 5 minutes."
    assert call.reply.slots["minutes"] == "5"


def test_an_action_without_confirmation_runs_at_once() -> None:
    call = Call(result={"echo": "ding"})
    assert call.hear(said("ring", "bell")) == "Ring, ding."
    assert call.actions == [{}]


def test_a_failed_action_is_said() -> None:
    call = Call(result=None)
    assert call.hear(ORDER, command("yes")) == "The till does not answer."
    assert call.reply.action is None
    assert call.hear(command("repeat")) == "The till does not answer."


def test_a_failed_action_ends_no_call_but_for_a_person() -> None:
    for ends, then in (("hangup", None), ("transfer", "transfer")):
        domain = replace(CAFE, intents={"bell": replace(CAFE.intents["bell"], ends=ends)})
        call = Call(domain, result=None)
        assert call.hear(said("ring", "bell")) == "Sorry, that did not work just now."
        assert call.reply.ends == then
        call = Call(domain, result={"echo": "ding"})
        call.hear(said("ring", "bell"))
        assert call.reply.ends == ends


def test_failing_computation_is_said_and_may_be_tried_again() -> None:
    call = Call(compute=broken)
    assert call.hear(ORDER) == "The till does not answer."
    assert call.actions == []
    call.compute = price
    assert call.hear(command("yes")) == "A large latte for $5, right?"
    call.compute = broken
    assert call.hear(command("yes")) == "The till does not answer."
    assert call.actions == []


def test_a_failing_computation_of_a_side_question_leaves_the_frame() -> None:
    call = Call(compute=broken)
    call.hear(said("a latte", "order", drink="latte"))
    assert call.hear(said("how much", "price")).startswith("Sorry, that did not work just now. So, ")
    assert expectation(call.state) == ("size", "order")


def test_an_intent_may_end_the_call() -> None:
    call = Call()
    call.hear(said("this is cold", "complain"))
    assert (call.reply.text, call.reply.ends) == ("Let me get the boss.", "transfer")
    call.hear(said("bye", "leave"))
    assert (call.reply.text, call.reply.ends) == ("Goodbye.", "hangup")


# -- greeting, silence, variants --------------------------------------------------------------------------------------


def test_greeting_can_be_repeated() -> None:
    state, reply = greet(CAFE, DialogueState())
    assert reply.text == "Hello, how can I help?"
    assert Call(state=state).hear(command("repeat")) == reply.text


def test_silence_brings_the_question_back() -> None:
    call = Call()
    assert idle(CAFE, call.state) == (call.state, Reply("Are you still there?"))
    call.hear(said("a latte", "order", drink="latte"))
    state, reply = idle(CAFE, call.state)
    assert reply.text == "Are you still there? What size?"
    assert state == call.state


def test_variants_take_turns_and_skip_those_with_a_gap() -> None:
    domain = replace(
        CAFE,
        intents={"hours": Intent("hours", slots=(IntentSlot("size"),), replies=("One.", "Two {size}.", "Three."))},
        replies=Replies(out_of_scope=("No.", "Sorry.")),
    )
    call = Call(domain)
    assert [call.hear(said("open", "hours")) for _ in range(3)] == ["One.", "Three.", "One."]
    assert [call.hear(NONSENSE) for _ in range(3)] == ["Sorry.", "No.", "Sorry."]
