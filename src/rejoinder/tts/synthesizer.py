"""What a synthesizer is."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from rejoinder.audio import SAMPLE_RATE, resample
from rejoinder.events import Samples


class Synthesizer(Protocol):
    """Turns words into audio. Synchronous and safe to call from several threads at once."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of what `synthesize` yields."""
        ...

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Yield the audio of `text`, clause by clause, each as soon as it is there.

        `text` is as a person would write it: numbers, money and codes are expanded and terms pronounced inside.
        """
        ...


def spoken(synthesizer: Synthesizer, text: str) -> Samples:
    """All of a text as a recognizer takes it: float32 of shape (n_samples,) at `audio.SAMPLE_RATE`."""
    samples = np.concatenate([np.zeros(0, np.float32), *synthesizer.synthesize(text)])
    return resample(samples, synthesizer.sample_rate, SAMPLE_RATE)
