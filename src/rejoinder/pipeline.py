"""The stages of one turn, each as one synchronous call: what a session drafts and an assistant answers with."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rejoinder.asr.recognizer import Bias, Recognizer, Transcript
from rejoinder.dialogue import DialogueState, Reply, after_action, expectation, respond
from rejoinder.domain import Domain
from rejoinder.errors import ActionError
from rejoinder.events import Completion, Samples, Understanding
from rejoinder.text import ClauseStream
from rejoinder.tts.synthesizer import Synthesizer

if TYPE_CHECKING:
    from rejoinder.actions import ActionRunner
    from rejoinder.asr.correction import Corrector
    from rejoinder.nlu.llm import LlmAnswerer
    from rejoinder.nlu.understand import Understander

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """The answer to some words, worked out but not given: nothing has been sent, and nothing has a side effect."""

    transcript: Transcript
    understanding: Understanding
    state: DialogueState
    """Where the conversation stands once this draft is committed."""
    reply: Reply
    took_s: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock seconds by stage: "recognize", "understand", "respond"."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """The beginning of a drafted reply's audio."""

    first: Samples
    rest: Iterator[Samples]
    """What follows, clause by clause, made when it is asked for."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A domain and its models, shared by all sessions. Every method may be called from several threads at once."""

    domain: Domain
    recognizer: Recognizer
    understander: "Understander"
    synthesizer: Synthesizer
    actions: "ActionRunner"
    bias: Bias | None = None
    corrector: "Corrector | None" = None
    llm: "LlmAnswerer | None" = None

    def recognize(self, samples: Samples, *, bias: Bias | None = None, earlier: Transcript | None = None) -> Transcript:
        """Audio to words: biased decoding, then correction against the lexicon.

        `samples` is float32 of shape (n_samples,) at `audio.SAMPLE_RATE`. `bias` replaces the domain's own.
        `earlier`, a transcript of the beginning of the same audio, saves time.
        """
        heard = self.recognizer.transcribe(samples, bias=bias or self.bias, draft=earlier)
        return self.corrector.correct(heard) if self.corrector else heard

    def understand(self, text: str, state: DialogueState) -> Understanding:
        """Words to meaning, in the light of what the assistant has just asked."""
        expecting, intent = expectation(state)
        return self.understander.understand(text, expecting=expecting, intent=intent)

    def draft(self, transcript: Transcript, state: DialogueState) -> Draft:
        """Work out the reply to a transcript, without giving it."""
        started = time.perf_counter()
        understanding = self.understand(transcript.text, state)
        understood = time.perf_counter()
        state, reply = respond(self.domain, state, understanding, compute=self.actions.compute)
        took_s = {"understand": understood - started, "respond": time.perf_counter() - understood}
        return Draft(transcript, understanding, state, reply, took_s)

    def look_ahead(
        self,
        samples: Samples,
        state: DialogueState,
        *,
        bias: Bias | None,
        earlier: Transcript,
        only_if: Completion | None,
        unless: str | None,
    ) -> Iterator[Transcript | Draft | Spoken]:
        """All that can be done ahead for what a caller has said so far: each stage's result when it is asked for.

        Ends after the words when they are not complete as `only_if` says; after the draft when it says `unless`, which
        is spoken already, or nothing. `bias` and `earlier` as in `recognize`.
        """
        transcript = self.recognize(samples, bias=bias, earlier=earlier)
        yield transcript
        draft = self.draft(transcript, state)
        if only_if not in (None, draft.understanding.completion):
            return
        yield draft
        if draft.reply.text and draft.reply.text != unless:
            pieces = self.synthesize(draft.reply.text)
            if (first := next(pieces, None)) is not None:
                yield Spoken(first, pieces)

    def finish(self, draft: Draft) -> tuple[Draft, bool]:
        """Run the action of a committed draft, if it has one, and render what is then said.

        Returns the finished draft and whether the action succeeded.
        """
        if draft.reply.action is None:
            return draft, True
        started = time.perf_counter()
        try:
            result: Mapping[str, str] | None = self.actions.run(draft.reply.action, draft.reply.slots)
        except ActionError as error:
            logger.warning("action %s: %s", draft.reply.action.name, error)  # its message quotes no slot
            result = None
        state, reply = after_action(self.domain, draft.state, draft.reply, result)
        took_s = {**draft.took_s, "action": time.perf_counter() - started}
        return replace(draft, state=state, reply=reply, took_s=took_s), result is not None

    def failed(self, draft: Draft) -> Draft:
        """What is said when the action of a committed draft did not come to an end."""
        state, reply = after_action(self.domain, draft.state, draft.reply, None)
        return replace(draft, state=state, reply=reply)

    def is_settled(self, draft: Draft) -> bool:
        """Whether the draft's words are those that will be said: no action has yet to run, no model to be asked."""
        asks = self.llm is not None and draft.understanding.source == "none"
        return draft.reply.action is None and not asks

    def apology(self, transcript: Transcript, state: DialogueState) -> Draft:
        """What is said when a stage failed: the conversation stays where it stood."""
        reply = Reply(self.domain.replies.not_understood[0])
        return Draft(transcript, Understanding(transcript.text), state, reply)

    def free_answer(self, draft: Draft) -> Iterator[str] | None:
        """What the optional language model says where the domain has no answer, clause by clause.

        None when the domain's own reply stands: there is no model, it said nothing in time, or a question is open.
        """
        understanding = draft.understanding
        if self.llm is None or understanding.source != "none" or not understanding.text or draft.state.intent:
            return None
        pieces = self.llm.answer(understanding.text, passages=self.domain.passages)
        return None if pieces is None else _clauses(pieces)

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Words to audio at `synthesizer.sample_rate`, clause by clause."""
        return self.synthesizer.synthesize(text)


def _clauses(pieces: Iterator[str]) -> Iterator[str]:
    """Each clause of a text that arrives in pieces, as soon as it is whole."""
    stream = ClauseStream()
    for piece in pieces:
        yield from stream.push(piece)
    yield from stream.flush()
