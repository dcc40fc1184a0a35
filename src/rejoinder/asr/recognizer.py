"""What a recognizer is, and what it returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rejoinder.events import Samples


@dataclass(frozen=True, slots=True)
class Word:
    """One recognized word and how sure the recognizer is of it, in [0, 1]."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """One hypothesis of what was said.

    `tokens` are the decoder's own, without begin and end marks: handed back as `draft` they are verified in
    one decoder call. `alternatives` holds the other hypotheses, best first, when more than one was asked for.
    """

    text: str
    confidence: float = 0.0
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] = ()
    alternatives: tuple["Transcript", ...] = ()
    n_decoder_calls: int = 0


@dataclass(frozen=True, slots=True)
class BiasPhrase:
    """A word or phrase that callers are likely to say; `boost` scales the recognizer's own setting."""

    text: str
    boost: float = 1.0


class Bias(Protocol):
    """Phrases compiled for one recognizer: opaque to everyone else, immutable, shared between sessions."""


class Recognizer(Protocol):
    """Turns audio into words. Synchronous and safe to call from several threads at once."""

    def compile_bias(self, phrases: Sequence[BiasPhrase], *, sentences: Sequence[str] = ()) -> Bias:
        """Compile phrases once, for many calls to `transcribe`.

        `sentences` are some that callers are likely to say: they save time, and never change the result.
        """
        ...

    def transcribe(
        self, samples: Samples, *, bias: Bias | None = None, draft: Transcript | None = None, n_best: int = 1
    ) -> Transcript:
        """Recognize `samples`, float32 of shape (n_samples,) at `audio.SAMPLE_RATE`.

        `draft` is an earlier transcript of the beginning of the same audio; it saves time, never changes the result.
        """
        ...


def n_stable_words(previous: str, current: str) -> int:
    """How many leading words two successive hypotheses share: those are stable.

    Local agreement between two hypotheses, from Liu et al. 2020, "Low-latency sequence-to-sequence speech
    recognition and translation by partial hypothesis selection".
    """
    n_stable = 0
    for one, other in zip(previous.split(), current.split(), strict=False):
        if one.casefold().strip(".,?!") != other.casefold().strip(".,?!"):
            break
        n_stable += 1
    return n_stable
