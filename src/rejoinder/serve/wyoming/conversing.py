"""Typed turns of conversations that go on over several connections, as Home Assistant has them."""

import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from rejoinder.dialogue import DialogueState
from rejoinder.events import ReplyContinued, ReplyDone, ReplyStarted, SessionEnded
from rejoinder.serve.calls import Call
from rejoinder.serve.realtime.listening import silent
from rejoinder.session import SessionOptions

N_KEPT = 1_000
"""Conversations that are remembered; the one that rested longest is forgotten first."""

KEPT_S = 600.0
"""How long a conversation that rests is remembered."""

LONGEST_NAME = 100
"""Characters of a conversation's name; one with a longer name is not remembered."""


class Conversations:
    """Where each conversation stands, by the name that the client gave it; in memory only."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: OrderedDict[str, tuple[float, DialogueState]] = OrderedDict()

    def state(self, name: str) -> DialogueState:
        """Where it stands; a new one stands at the beginning."""
        kept_s, state = self._states.get(name, (-math.inf, DialogueState()))
        return state if self._clock() - kept_s < KEPT_S else DialogueState()

    def keep(self, name: str, state: DialogueState) -> None:
        """Remember where it stands now."""
        if len(name) > LONGEST_NAME:
            return
        self._states[name] = (self._clock(), state)
        self._states.move_to_end(name)
        if len(self._states) > N_KEPT:
            self._states.popitem(last=False)


@dataclass(frozen=True, slots=True)
class TypedReply:
    """The answer to one typed turn."""

    text: str
    understood: bool
    """Whether it is an answer, and not only an apology."""
    state: DialogueState
    """Where the conversation stands after it."""


async def answer(call: Call, state: DialogueState, text: str) -> TypedReply:
    """Answer a turn that is not empty, and do what it asks for."""
    options = SessionOptions(idle_s=math.inf, n_idle_prompts=sys.maxsize)
    session = call.session(options=options, state=state, pipeline=silent(call.assistant.pipeline))
    said: list[str] = []
    async with session:
        session.submit_text(text)
        async for event in session.events():
            match event:
                case ReplyStarted(clause) | ReplyContinued(clause):
                    said.append(clause)
                case ReplyDone() | SessionEnded():
                    break
    replies, reply = call.assistant.domain.replies, " ".join(said)
    apologies = {apology.casefold() for apology in (*replies.out_of_scope, *replies.not_understood)}
    return TypedReply(reply, reply.casefold() not in apologies, session.state)
