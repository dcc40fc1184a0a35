"""The real encoder, opened once."""

import pytest

from rejoinder.nlu.encoder import Encoder


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return Encoder.load()
