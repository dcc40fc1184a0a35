"""What came of a turn, read off the session's events, against what its conversation expects. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from re import fullmatch

from rejoinder.domain import Domain, Slot, SlotKind
from rejoinder.evaluate.conversation import FAILS, KNOWLEDGE, NONE, Expected, contains
from rejoinder.evaluate.records import Check
from rejoinder.events import (
    ActionRun,
    Event,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    SessionEnded,
    TurnEnded,
    Understanding,
    Understood,
)
from rejoinder.nlu.values import find_values
from rejoinder.text import normalize


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one turn."""

    heard: str = ""
    understanding: Understanding | None = None
    """Of the last words, where the session ended more than one turn."""
    replies: tuple[str, ...] = ()
    """Those that the caller heard to their end, or still hears."""
    source: str | None = None
    """Where the last reply stands in the knowledge."""
    actions: Mapping[str, bool] = field(default_factory=dict)
    """Those that ran, with whether they succeeded."""
    interrupted: bool = False
    """Whether the reply to the turn before stopped."""
    ends: str | None = None
    """How the call ended, if it did."""
    took_ms: float | None = None
    """From the last of the caller's speech to the first of the reply; None where there was none of either."""

    @property
    def reply(self) -> str:
        """All that was said."""
        return " ".join(self.replies)

    @classmethod
    def of(cls, events: Sequence[Event], *, speech_end_s: float | None = None) -> "Outcome":
        """From the events of one turn; `speech_end_s` is where its speech ends on the session's clock."""
        heard: list[str] = []
        replies: list[list[str]] = []
        actions: dict[str, bool] = {}
        understanding = source = ends = ended = took_ms = None
        interrupted = False
        for event in events:
            match event:
                case TurnEnded(text=text):
                    if event.continues and heard:
                        heard.pop()
                    heard.append(text)
                    ended = event
                case Understood():
                    understanding = event.understanding
                case ActionRun(name=name, ok=ok):
                    actions[name] = ok
                case ReplyStarted(text=text):
                    replies.append([text])
                    source = event.source
                case ReplyContinued(text=text) if replies:
                    replies[-1].append(text)
                case ReplyAudio(decision_s=float(decision_s)) if ended is not None and speech_end_s is not None:
                    took_ms = 1000 * (max(0.0, ended.at_s - speech_end_s) + decision_s)
                case ReplyDone(interrupted=True) if replies:
                    replies.pop()  # cut off by the rest of the turn itself
                case ReplyDone(interrupted=True):
                    interrupted = True
                case SessionEnded(reason=reason):
                    ends = reason
        spoken = tuple(" ".join(reply) for reply in replies)
        return cls(" ".join(heard), understanding, spoken, source, actions, interrupted, ends, took_ms)


def check(expected: Expected, outcome: Outcome, domain: Domain, *, today: date) -> tuple[Check, ...]:
    """Every expectation of a turn, met or not; `today` dates "tomorrow"."""
    understood = _of_meaning(expected, outcome.understanding, domain, today)
    return (*understood, *_of_reply(expected, outcome), *_of_call(expected, outcome))


def _of_meaning(
    expected: Expected, understanding: Understanding | None, domain: Domain, today: date
) -> Iterator[Check]:
    """What was understood."""
    if expected.intent is not None:
        intent = _intent(understanding)
        yield Check("intent", expected.intent, intent, intent == expected.intent)
    if expected.slots is not None:
        wanted = {name: canonical(domain.slots.get(name), text, today) for name, text in expected.slots.items()}
        found = understanding.slots if understanding else {}
        slots = {name: value for name, value in found.items() if name in domain.slots}  # a "yes" is no slot of theirs
        yield Check("slots", _listed(wanted), _listed(slots), slots == wanted)


def _of_reply(expected: Expected, outcome: Outcome) -> Iterator[Check]:
    """What was said; each text is a check of its own."""
    reply = outcome.reply or "(nothing)"
    for text in expected.says:
        yield Check("says", text, reply, not outcome.reply if text == NONE else contains(outcome.reply, text))
    for text in expected.not_says:
        yield Check("not_says", text, reply, not contains(outcome.reply, text))
    if expected.source is not None:
        source = outcome.source or NONE
        yield Check("source", expected.source, source, expected.source in source)


def _of_call(expected: Expected, outcome: Outcome) -> Iterator[Check]:
    """What was done, and when."""
    if expected.action is not None:
        yield Check("action", expected.action, *_action(expected.action, outcome.actions))
    if expected.interrupted is not None:
        wanted, got = _yes_or_no(expected.interrupted), _yes_or_no(outcome.interrupted)
        yield Check("interrupted", wanted, got, got == wanted)
    if expected.ends is not None:
        ends = outcome.ends or NONE
        yield Check("ends", expected.ends, ends, ends == expected.ends)
    if expected.within_ms is not None:
        took_ms = outcome.took_ms
        took = "no answer" if took_ms is None else f"{took_ms:.0f} ms"
        yield Check(
            "within_ms", f"{expected.within_ms:g} ms", took, took_ms is not None and took_ms <= expected.within_ms
        )


def canonical(slot: Slot | None, text: str, today: date) -> str:
    """The value that an owner means: "tomorrow" is a date, and "2026-11-30" is one already."""
    if slot is None or slot.kind is SlotKind.CLOSED or fullmatch(r"[A-Z0-9.:-]+", text):
        return text
    words = normalize(text).split()
    whole = (found.value for found in find_values(slot, words, today=today, expected=True) if found.end == len(words))
    return next(whole, text)


def _intent(understanding: Understanding | None) -> str:
    """The intent as conversations name it."""
    if understanding is None:
        return "nothing understood"
    return understanding.intent or (KNOWLEDGE if understanding.source == "knowledge" else NONE)


def _action(wanted: str, ran: Mapping[str, bool]) -> tuple[str, bool]:
    """What ran, and whether it is what was wanted."""
    got = ", ".join(name if ok else f"{name}, which failed" for name, ok in ran.items()) or NONE
    if wanted == NONE:
        return got, not ran
    return got, False in ran.values() if wanted == FAILS else ran.get(wanted, False)


def _listed(slots: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in sorted(slots.items())) or NONE


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"
