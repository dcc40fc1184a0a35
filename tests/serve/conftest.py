"""What the tests of the server share: an assistant whose stages are fake, so that only the server is tested."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from rejoinder.assistant import Assistant
from rejoinder.events import Samples
from rejoinder.vad import CHUNK_S, CHUNK_SAMPLES
from tests.fakes import FakeActions, FakeRecognizer, FakeSynthesizer, FakeVad, fake_pipeline


@pytest.fixture(scope="module")
def stages() -> tuple[FakeRecognizer, FakeSynthesizer, FakeActions]:
    """The stages that a test may slow down or break."""
    return FakeRecognizer(), FakeSynthesizer(), FakeActions()


@pytest.fixture(scope="module")
def fake_assistant(stages: tuple[FakeRecognizer, FakeSynthesizer, FakeActions]) -> Iterator[Assistant]:
    """The cafe in miniature, which hears fake speech."""
    recognizer, synthesizer, actions = stages
    vad = FakeVad()

    def loud(samples: Samples) -> NDArray[np.float32]:
        n_chunks = len(samples) // CHUNK_SAMPLES
        chunks = samples[: n_chunks * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
        return np.array([vad(chunk) for chunk in chunks], np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rejoinder.assistant.probabilities", loud)
        patch.setattr("rejoinder.assistant.PRE_ROLL_S", 6 * CHUNK_S)  # fake speech is read in whole chunks
        assistant = Assistant(fake_pipeline(recognizer=recognizer, synthesizer=synthesizer, actions=actions))
        yield assistant
        assistant.close()
