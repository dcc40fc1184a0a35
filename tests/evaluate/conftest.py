"""Ears for the fake speech of `tests.fakes`, and callers who speak it."""

from types import SimpleNamespace

import numpy as np
import pytest

from rejoinder.audio import SAMPLE_RATE, frames
from rejoinder.evaluate import turntaking
from rejoinder.events import Samples
from rejoinder.vad import CHUNK_SAMPLES, Floats
from tests.fakes import FakeVad


@pytest.fixture
def fake_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have fake speech, which is loud, taken for speech: by sessions, recognition in one piece, and measurements."""

    def probabilities(samples: Samples) -> Floats:
        hears = FakeVad()
        whole = [chunk for chunk in frames(samples, CHUNK_SAMPLES) if len(chunk) == CHUNK_SAMPLES]
        return np.array([hears(chunk) for chunk in whole], np.float32)

    def span(samples: Samples) -> tuple[float, float]:
        loud = np.flatnonzero(np.abs(samples) > 0.05)
        return (float(loud[0]) / SAMPLE_RATE, float(loud[-1] + 1) / SAMPLE_RATE) if len(loud) else (0.0, 0.0)

    monkeypatch.setattr("rejoinder.assistant.Vad", SimpleNamespace(load=FakeVad))
    monkeypatch.setattr("rejoinder.assistant.probabilities", probabilities)
    monkeypatch.setattr(turntaking, "probabilities", probabilities)
    monkeypatch.setattr(turntaking, "speech_span", span)
