"""The real recognizer, loaded once, and speech to give it."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rejoinder import audio, models
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.domain import Domain
from rejoinder.events import Samples

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def recognizer() -> MoonshineRecognizer:
    return MoonshineRecognizer.load(models.resolve("moonshine-tiny"))


@pytest.fixture(scope="session")
def cafe() -> Domain:
    return Domain.load(EXAMPLES / "cafe")


@pytest.fixture(scope="session")
def orders() -> list[Samples]:
    """Real customers' orders."""
    return [audio.load(path) for path in sorted((EXAMPLES / "cafe" / "recordings").glob("*.flac"))]


@cache
def say(text: str) -> Samples:
    """Speech of the packaged voice, float32 at `audio.SAMPLE_RATE`, with a little silence around it."""
    spoken = audio.resample(np.asarray(_voice()(text, seed=0), np.float32), 24_000, audio.SAMPLE_RATE)
    return np.pad(spoken, 4_000).astype(np.float32)


@cache
def _voice() -> Any:
    from hibari import Hibari

    return Hibari()
