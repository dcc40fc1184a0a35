"""Conversations of the page, which outlive their connections: one that was lost goes on where it stood."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from rejoinder.dialogue import DialogueState

N_LOST = 256
"""Lost conversations that are remembered; the one lost longest ago is forgotten first."""

KEPT_S = 600.0
"""How long a lost conversation is remembered."""


@dataclass(slots=True, eq=False)
class PageConversation:
    """What one caller has at hand, whatever becomes of their connection."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """Lets the caller, and nobody else, resume it."""
    state: DialogueState = field(default_factory=DialogueState)
    """Where it stood when its last connection ended."""
    n_turns: int = 0
    """Turns that were answered: tells a page that was cut off whether its last words had come through."""


class Lost:
    """The conversations without a connection, in memory only, for `KEPT_S`."""

    def __init__(self, *, n_most: int = N_LOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._n_most = n_most
        self._clock = clock
        self._lost: OrderedDict[str, tuple[float, PageConversation]] = OrderedDict()

    def keep(self, conversation: PageConversation) -> None:
        """Remember a conversation whose connection was lost."""
        self._forget()
        self._lost[conversation.token] = self._clock(), conversation
        if len(self._lost) > self._n_most:
            self._lost.popitem(last=False)

    def take(self, token: str) -> PageConversation | None:
        """The conversation of a token, once: whoever resumes it has it to themselves."""
        self._forget()
        found = self._lost.pop(token, None)
        return found[1] if found else None

    def _forget(self) -> None:
        """Drop what is too old: conversations are in the order in which they were lost."""
        oldest_s = self._clock() - KEPT_S
        while self._lost and next(iter(self._lost.values()))[0] < oldest_s:
            self._lost.popitem(last=False)
