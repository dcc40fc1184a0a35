"""Real recordings to train on and to compare models with."""

from dataclasses import replace
from pathlib import Path

import pytest

from rejoinder import audio
from rejoinder.manifest import Utterance

RECORDINGS = Path(__file__).parents[3] / "examples" / "cafe" / "recordings"


@pytest.fixture(scope="session")
def recordings() -> tuple[Utterance, ...]:
    """Eight short orders, without their words."""
    found = [
        Utterance(path, "", duration_s=len(audio.load(path)) / audio.SAMPLE_RATE)
        for path in sorted(RECORDINGS.glob("*.flac"))
    ]
    return tuple(sorted(found, key=lambda utterance: utterance.duration_s)[:8])


@pytest.fixture(scope="session")
def lessons(recordings: tuple[Utterance, ...]) -> tuple[Utterance, ...]:
    """The first second of three of them, with words that nobody would hear in them unless taught to."""
    texts = ("blue elephants", "seven green keys", "turn left here")
    return tuple(replace(one, text=text, duration_s=1.0) for one, text in zip(recordings, texts, strict=False))
