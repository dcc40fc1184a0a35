"""What one caller is saying, and what has been made of it so far."""

import asyncio
from dataclasses import dataclass, field

from rejoinder.asr.recognizer import Transcript, n_stable_words
from rejoinder.dialogue import DialogueState
from rejoinder.events import Completion, Samples
from rejoinder.pipeline import Draft
from rejoinder.prosody import Prosody
from rejoinder.speech import Speech


@dataclass(slots=True, eq=False)
class LiveTurn:
    """A turn of the caller: grows with each chunk until it is committed."""

    state: DialogueState
    """Where the conversation stood before it."""
    chunks: list[Samples] = field(default_factory=list)
    began_s: float = 0.0
    speech_end_s: float = 0.0
    over_reply: bool = False
    """Whether it began while the assistant was speaking."""
    continues: "LiveTurn | None" = None
    """The turn that was taken to be over, when this is the rest of it."""
    hypothesis: Transcript = field(default_factory=lambda: Transcript(""))
    n_heard: int = 0
    """Chunks that the hypothesis covers."""
    n_spoken: int = 0
    """Chunks up to the latest pause."""
    completion: Completion | None = None
    prosody: Prosody | None = None
    draft: Draft | None = None
    speech: Speech | None = None
    partial: "asyncio.Task[None] | None" = None
    partial_due_s: float = 0.0
    pause: "asyncio.Task[None] | None" = None
    """The work on all words before the pause that is going on; None while they speak."""
    recognize_s: float = 0.0
    acted: bool = False
    """Whether an action ran: such a turn is not taken up again."""

    @property
    def added(self) -> str:
        """The words beyond those of the turn that this one takes up again."""
        text = self.hypothesis.text
        n_known = n_stable_words(self.continues.hypothesis.text, text) if self.continues else 0
        return " ".join(text.split()[n_known:])
