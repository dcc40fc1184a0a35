"""What to say next: `(state, understanding) -> (state, reply)`, pure.

Drafts call it as often as they like; only the session, after the turn is over, keeps the new state and runs the action.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rejoinder.domain import Action


@dataclass(frozen=True, slots=True)
class Reply:
    """What the assistant says to one turn.

    `action`, when there is one, runs after commit with `slots` as its arguments. Its result may fill more of the
    template, so what is then said is rendered afterwards, by `after_action`, and `text` is empty until then.
    """

    text: str
    action: Action | None = None
    slots: Mapping[str, str] = field(default_factory=dict)
    intent: str | None = None
    source: str | None = None
    """Where the answer stands, when it comes from the knowledge."""
    ends: str | None = None
    """"hangup" or "transfer" when the call is over after this."""


@dataclass(frozen=True, slots=True)
class DialogueState:
    """Where a conversation stands."""

    intent: str | None = None
    """The intent that is being filled or confirmed."""
    slots: Mapping[str, str] = field(default_factory=dict)
    expecting: str | None = None
    """The slot that was just asked for."""
    confirming: bool = False
    """Whether the last reply asked for a yes."""
    last_reply: str = ""
    n_turns: int = 0
