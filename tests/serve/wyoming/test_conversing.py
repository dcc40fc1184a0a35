"""Tests of remembering conversations that go on over several connections."""

from rejoinder.dialogue import DialogueState
from rejoinder.serve.wyoming.conversing import KEPT_S, LONGEST_NAME, N_KEPT, Conversations

ASKED = DialogueState(intent="order")


def test_a_conversation_is_found_again_until_it_rested_too_long() -> None:
    now_s = 100.0
    conversations = Conversations(clock=lambda: now_s)
    assert conversations.state("one") == DialogueState()
    conversations.keep("one", ASKED)
    now_s += KEPT_S - 1
    assert conversations.state("one") is ASKED
    assert conversations.state("another") == DialogueState()
    now_s += 2
    assert conversations.state("one") == DialogueState()


def test_not_more_are_remembered_than_there_is_room_for() -> None:
    conversations = Conversations()
    for n in range(N_KEPT + 1):
        conversations.keep(str(n), ASKED)
    assert conversations.state("0") == DialogueState()
    assert conversations.state("1") is ASKED
    conversations.keep("x" * (LONGEST_NAME + 1), ASKED)
    assert conversations.state("x" * (LONGEST_NAME + 1)) == DialogueState()
    assert conversations.state("1") is ASKED
