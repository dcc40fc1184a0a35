"""Lost conversations: kept for a while, so many of them, and taken up once."""

from dataclasses import dataclass

from rejoinder.dialogue import DialogueState
from rejoinder.serve.page.conversations import KEPT_S, Lost, PageConversation


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_conversation_is_resumed_once_where_it_stood() -> None:
    lost = Lost()
    conversation = PageConversation(state=DialogueState(intent="order", n_turns=2), n_turns=2)
    lost.keep(conversation)
    assert lost.take("another token") is None
    assert lost.take(conversation.token) is conversation
    assert lost.take(conversation.token) is None


def test_it_is_forgotten_after_a_while() -> None:
    clock = Clock()
    lost = Lost(clock=clock)
    early, late = PageConversation(), PageConversation()
    lost.keep(early)
    clock.now_s = KEPT_S / 2
    lost.keep(late)
    clock.now_s = KEPT_S + 1
    assert lost.take(early.token) is None
    assert lost.take(late.token) is late


def test_the_one_lost_longest_ago_makes_room() -> None:
    lost = Lost(n_most=2)
    first, second, third = PageConversation(), PageConversation(), PageConversation()
    for conversation in (first, second, third):
        lost.keep(conversation)
    assert lost.take(first.token) is None
    assert lost.take(second.token) is second
    assert lost.take(third.token) is third


def test_tokens_cannot_be_guessed() -> None:
    tokens = {PageConversation().token for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 32 for token in tokens)
