"""Questions from the command line and what came of them: as JSON for programs, as a few lines for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.errors import AudioError, RejoinderError

if TYPE_CHECKING:
    from rejoinder.assistant import Assistant, Conversation, SpokenReply

AUDIO_ENDINGS = (".wav", ".flac", ".ogg")
"""File endings that a spoken reply can be written as."""


@dataclass(frozen=True, slots=True)
class Question:
    """A typed question, or the recording of a spoken one."""

    text: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: a reply, an error, or both when only writing the reply failed."""

    question: Question
    reply: "SpokenReply | None" = None
    written: Path | None = None
    """Where the spoken reply is."""
    error: str | None = None


def answer_all(
    assistant: "Assistant", questions: Sequence[Question], *, out: Path | None = None, together: bool = False
) -> Iterator[Answer]:
    """Answer each question as it comes, each as a conversation of its own or all `together` as one.

    What goes wrong with one is reported in its answer, and the others go on.
    """
    targets = reply_paths(questions, out) if out else [None] * len(questions)
    conversation = assistant.conversation()
    for question, target in zip(questions, targets, strict=True):
        yield _answer(conversation if together else assistant.conversation(), question, target)


def _answer(conversation: "Conversation", question: Question, target: Path | None) -> Answer:
    try:
        reply = conversation.hear(question.file) if question.file is not None else conversation.ask(question.text or "")
    except RejoinderError as error:
        return Answer(question, error=str(error))
    if target is None:
        return Answer(question, reply)
    try:
        reply.save(target)
    except AudioError as error:
        return Answer(question, reply, error=str(error))
    return Answer(question, reply, target)


def reply_paths(questions: Sequence[Question], out: Path) -> list[Path]:
    """Where each spoken reply goes: never two in one file, and never over a recording that lies in the same folder."""
    if out.suffix in AUDIO_ENDINGS:
        return [out] * len(questions)
    names: list[str] = []
    for n, question in enumerate(questions, 1):
        stem = f"{Path(question.file).stem}-reply" if question.file is not None else f"reply-{n}"
        while f"{stem}.wav" in names:
            stem += f"-{n}"
        names.append(f"{stem}.wav")
    return [out / name for name in names]


def make_folder(out: Path) -> None:
    """Make the folder that the replies go to; raises `AudioError` when it cannot be."""
    folder = out.parent if out.suffix in AUDIO_ENDINGS else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"--out {out}: cannot make this folder ({error.strerror}); choose another") from error


def as_record(answer: Answer) -> Mapping[str, Any]:
    """The answer as a JSON object.

    `source` says who decided what was meant ("pattern", "classifier", …); for an answer from the knowledge it is its
    file and heading. `slots` maps names to canonical values. `error` is there only when something went wrong.
    """
    record: dict[str, Any] = {"file": answer.question.file}
    if answer.question.file is None:
        record["question"] = answer.question.text
    if answer.reply is not None:
        understanding = answer.reply.understanding
        record |= {
            "transcript": answer.reply.transcript,
            "intent": understanding.intent,
            "slots": dict(understanding.slots),
            "confidence": round(float(understanding.confidence), 4),
            "source": answer.reply.source or understanding.source,
            "reply": answer.reply.text,
            "timings_ms": dict(answer.reply.timings_ms),
        }
    if answer.written is not None:
        record["audio"] = str(answer.written)
    if answer.error is not None:
        record["error"] = answer.error
    return record


def as_text(answer: Answer, *, title: str | None = None, brief: bool = False) -> str:
    """The answer as a few aligned lines under a title, by default the file's name; empty when there is no answer.

    `brief` leaves out the timings and where the reply was written.
    """
    if answer.reply is None:
        return ""
    reply = answer.reply
    lines = {
        "asked" if answer.question.file is None else "heard": reply.transcript or "(nothing)",
        "meant": meaning(reply),
        "says": click.style(reply.text, bold=True),
    }
    if not brief:
        lines["took"] = ", ".join(f"{stage.replace('_', ' ')} {ms:.0f} ms" for stage, ms in reply.timings_ms.items())
        if answer.written is not None:
            lines["wrote"] = str(answer.written)
    shown = [f"{click.style(f'{name:>8}', dim=True)}  {text}" for name, text in lines.items()]
    heading = title or answer.question.file
    return "\n".join([heading, *shown] if heading else shown)


def meaning(reply: "SpokenReply") -> str:
    """What a turn was taken to mean, on one line."""
    understanding = reply.understanding
    if understanding.intent is None:
        return reply.source or understanding.source
    slots = "".join(f"  {name}={value}" for name, value in understanding.slots.items())
    return f"{understanding.intent}{slots}  ({understanding.source}, {understanding.confidence:.2f})"
