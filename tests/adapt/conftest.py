"""Settings of the tests that train, and what they share."""

import os

import pytest

from rejoinder.nlu.encoder import Encoder

# Before PyTorch is imported: threads that wait for each other on a busy machine made a test of 20 s take 120 s.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return Encoder.load()
