"""Voices that are quick and say what they were asked, for tests."""

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from rejoinder.events import Samples
from rejoinder.tts.lexicon import Lexicon


@dataclass
class Beeper:
    """Beeps once a letter, and remembers what it was given."""

    name: str = "beeper"
    fingerprint: str = "beeper-1"
    asked: list[tuple[str, float, dict[str, str]]] = field(default_factory=list)
    fails_after: int | None = None

    def speak(
        self, text: str, *, rng: Generator, speed: float = 1.0, lexicon: Lexicon | None = None
    ) -> tuple[Samples, int]:
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            raise KeyboardInterrupt
        self.asked.append((text, speed, dict((lexicon or Lexicon()).pronunciations)))
        n_letters = sum(char.isalpha() for char in text)
        seconds = n_letters * 0.05 / speed
        tone = np.sin(2 * np.pi * 300 * np.arange(round(seconds * 8_000)) / 8_000) * rng.uniform(0.2, 0.9)
        return tone.astype(np.float32), 8_000
