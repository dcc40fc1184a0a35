"""Stages that stay silent: for sessions that only write down what they hear, and for replies in text."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from rejoinder.asr.recognizer import Transcript
from rejoinder.dialogue import DialogueState, Reply
from rejoinder.events import Samples, Understanding
from rejoinder.pipeline import Draft, Pipeline


@dataclass(frozen=True, slots=True)
class Silent:
    """A synthesizer without a voice."""

    sample_rate: int

    def synthesize(self, text: str) -> Iterator[Samples]:  # noqa: ARG002
        """No audio."""
        return iter(())


class ListeningPipeline(Pipeline):
    """Recognizes, and understands as far as turn taking needs it; answers nothing and runs no action."""

    __slots__ = ()

    def draft(self, transcript: Transcript, state: DialogueState) -> Draft:
        """The meaning, and an empty reply."""
        return Draft(transcript, self.understand(transcript.text, state), state, Reply(""))

    def apology(self, transcript: Transcript, state: DialogueState) -> Draft:
        """What failed is told by an event."""
        return Draft(transcript, Understanding(transcript.text), state, Reply(""))

    def free_answer(self, draft: Draft) -> None:
        """No language model is asked."""


def silent(pipeline: Pipeline) -> Pipeline:
    """The same stages, whose replies are text."""
    return replace(pipeline, synthesizer=Silent(pipeline.synthesizer.sample_rate))


def listening(pipeline: Pipeline) -> Pipeline:
    """The same stages, which only hear."""
    stages = {stage.name: getattr(pipeline, stage.name) for stage in fields(pipeline)}
    return silent(ListeningPipeline(**stages))


def apologizing(pipeline: Pipeline) -> Pipeline:
    """The same stages, for a session that begins with the answer to a turn without words."""
    replies = pipeline.domain.replies
    return replace(pipeline, domain=replace(pipeline.domain, replies=replace(replies, greeting=replies.not_understood)))
