"""Stages that run in microseconds and do real work on fake speech: each word is a tone level of its own.

`speak("a large latte")` makes audio, `FakeRecognizer` reads it back, `FakeVad` hears where it is. So the session's
timing, drafts, interruptions and failures are tested on the audio clock, without models.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rejoinder.asr.recognizer import Bias, BiasPhrase, Transcript
from rejoinder.audio import SAMPLE_RATE
from rejoinder.domain import Action, Domain, Intent, IntentSlot, Replies, Slot, SlotKind
from rejoinder.errors import ActionError
from rejoinder.events import Completion, Samples, Understanding
from rejoinder.pipeline import Pipeline
from rejoinder.vad import CHUNK_SAMPLES

WORD_CHUNKS = 6  # 192 ms a word
_VOWEL = np.cos(np.arange(CHUNK_SAMPLES) * 2 * np.pi / 128).astype(np.float32)  # 125 Hz; a chunk begins at its level
_VOCABULARY: dict[str, int] = {}


def _level(word: str) -> float:
    return 0.1 + 0.001 * _VOCABULARY.setdefault(word, len(_VOCABULARY))


def silence(seconds: float) -> Samples:
    """So many seconds, in whole chunks."""
    return np.zeros(round(seconds * SAMPLE_RATE / CHUNK_SAMPLES) * CHUNK_SAMPLES, np.float32)


def speak(text: str, *, word_chunks: int = WORD_CHUNKS) -> Samples:
    """Fake speech, float32 of shape (n_words * word_chunks * CHUNK_SAMPLES,); "..." is half a second of silence."""
    pieces = [silence(0.5) if word == "..." else _level(word) * np.tile(_VOWEL, word_chunks) for word in text.split()]
    return np.concatenate(pieces) if pieces else silence(0)


class FakeVad:
    """Loud is speech."""

    def __call__(self, chunk: Samples) -> float:
        return 0.95 if float(np.abs(chunk).max()) > 0.05 else 0.02

    async def with_others(self, chunk: Samples) -> float:
        return self(chunk)


@dataclass
class FakeBias(Bias):
    phrases: tuple[BiasPhrase, ...] = ()


@dataclass
class FakeRecognizer:
    """Reads fake speech back. `delay_s` and `fail` make it slow and broken."""

    delay_s: float = 0.0
    fail: Callable[[Samples], bool] = lambda samples: False
    biases: list[Bias | None] = field(default_factory=list)

    def compile_bias(self, phrases: Sequence[BiasPhrase], *, sentences: Sequence[str] = ()) -> Bias:
        return FakeBias(tuple(phrases))

    def transcribe(
        self, samples: Samples, *, bias: Bias | None = None, draft: Transcript | None = None, n_best: int = 1
    ) -> Transcript:
        time.sleep(self.delay_s)
        if self.fail(samples):
            raise RuntimeError("the words that were said")
        self.biases.append(bias)
        levels = {round(_level(word), 4): word for word in _VOCABULARY}
        words: list[str] = []
        run, n_run = 0.0, 0
        for level in np.append(np.round(samples[::CHUNK_SAMPLES].astype(float), 4), 0.0):
            if level == run:
                n_run += 1
                continue
            if run in levels:
                words += [levels[run]] * max(1, round(n_run / WORD_CHUNKS))
            run, n_run = level, 1
        return Transcript(" ".join(words), confidence=0.9)


@dataclass
class FakeUnderstander:
    """Understands what it was told of; anything else is out of scope."""

    meanings: Mapping[str, Understanding]
    delay_s: float = 0.0

    def understand(self, text: str, *, expecting: str | None = None, intent: str | None = None) -> Understanding:
        time.sleep(self.delay_s)
        return self.meanings.get(text, Understanding(text))


@dataclass
class FakeSynthesizer:
    """Three tenths of a second of tone for each word, a clause at each comma."""

    sample_rate: int = 24_000
    delay_s: float = 0.0
    fail: bool = False
    spoken: list[str] = field(default_factory=list)

    def synthesize(self, text: str) -> Iterator[Samples]:
        for clause in text.split(","):
            time.sleep(self.delay_s)
            if self.fail:
                raise RuntimeError("no voice")
            self.spoken.append(clause)
            yield np.full(len(clause.split()) * self.sample_rate * 3 // 10, 0.1, np.float32)


@dataclass
class FakeActions:
    """Records what ran, and on which thread."""

    ran: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)
    fail: bool = False
    delay_s: float = 0.0

    def compute(self, name: str, slots: Mapping[str, str]) -> Mapping[str, str]:
        return {"price": "$4.00"}

    def run(self, action: Action, slots: Mapping[str, str]) -> Mapping[str, str]:
        time.sleep(self.delay_s)
        if self.fail:
            raise ActionError("broken")
        self.ran.append((action.name, dict(slots)))
        self.threads.append(threading.current_thread().name)
        return {"number": "12"}


def order_domain() -> Domain:
    """A cafe in miniature: an order with a required drink, confirmed, placed by an action."""
    drink = Slot("drink", SlotKind.CLOSED)
    order = Intent(
        "order",
        patterns=("a {drink}",),
        slots=(IntentSlot("drink", required=True, ask=("Which drink?",)), IntentSlot("size")),
        confirm=("[{size} ]{drink}, shall I order it?",),
        replies=("Your order number is {number}.",),
        action=Action("place_order", call="actions:place_order"),
    )
    hours = Intent("hours", examples=("when are you open",), replies=("From seven to six, every day of the week.",))
    return Domain(
        "cafe",
        Path(),
        slots={"drink": drink, "size": Slot("size", SlotKind.CLOSED)},
        intents={"order": order, "hours": hours},
        replies=Replies(out_of_scope=("I can't help with that.",)),
    )


def meanings() -> dict[str, Understanding]:
    """What `FakeUnderstander` knows of the cafe in miniature."""

    def order(text: str, completion: Completion = Completion.COMPLETE, **slots: str) -> tuple[str, Understanding]:
        return text, Understanding(text, "order", 0.95, slots, "pattern", completion)

    return dict(
        [
            order("a latte", drink="latte"),
            order("a large latte", drink="latte", size="large"),
            order("a large", Completion.INCOMPLETE, size="large"),
            order("a", Completion.INCOMPLETE),
            ("when are you open", Understanding("when are you open", "hours", 0.9, {}, "pattern", Completion.COMPLETE)),
            ("yes", Understanding("yes", "yes", 1.0, {}, "command", Completion.COMPLETE)),
        ]
    )


def fake_pipeline(
    *,
    recognizer: FakeRecognizer | None = None,
    understander: FakeUnderstander | None = None,
    synthesizer: FakeSynthesizer | None = None,
    actions: FakeActions | None = None,
    domain: Domain | None = None,
) -> Pipeline:
    """The stages of one domain, all fake but the dialogue."""
    return Pipeline(
        domain or order_domain(),
        recognizer or FakeRecognizer(),
        understander or FakeUnderstander(meanings()),  # type: ignore[arg-type]
        synthesizer or FakeSynthesizer(),
        actions or FakeActions(),  # type: ignore[arg-type]
    )
