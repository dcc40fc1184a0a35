"""Tests of reading audio without a header."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.audio import SAMPLE_RATE, to_alaw, to_mulaw
from rejoinder.errors import AudioError
from rejoinder.events import Samples
from rejoinder.serve.raw_audio import Coding, RawFormat, RawStream


def tone(rate: int, *, seconds: float = 0.5) -> Samples:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def written(samples: Samples, coding: Coding) -> bytes:
    match coding:
        case Coding.UINT8:
            return (np.round(samples * 128) + 128).astype(np.uint8).tobytes()
        case Coding.INT16:
            return np.round(samples * 32768).astype("<i2").tobytes()
        case Coding.INT24:
            wide = np.round(samples.astype(float) * (1 << 23)).astype("<i4")
            return wide.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        case Coding.INT32:
            return np.round(samples.astype(float) * (1 << 31)).astype("<i4").tobytes()
        case Coding.MULAW:
            return to_mulaw(samples).tobytes()
        case Coding.ALAW:
            return to_alaw(samples).tobytes()


def read(raw: RawFormat, data: bytes, *, n_bytes: int = 1000) -> Samples:
    stream = RawStream(raw)
    pieces = [piece for at in range(0, len(data), n_bytes) for piece in stream.pieces(data[at : at + n_bytes])]
    return np.concatenate([*pieces, stream.rest()])


@pytest.mark.parametrize("coding", Coding)
def test_every_coding_is_read(coding: Coding) -> None:
    wanted = tone(SAMPLE_RATE)
    heard = read(RawFormat(SAMPLE_RATE, coding), written(wanted, coding))
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, wanted, atol=0.02 if coding.n_bytes == 1 else 1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(rate: int) -> None:
    heard = read(RawFormat(rate), written(tone(rate), Coding.INT16))
    wanted = tone(SAMPLE_RATE)
    assert abs(len(heard) - len(wanted)) <= 2
    inner = slice(500, len(wanted) - 500)  # the tone's edges ring
    np.testing.assert_allclose(heard[inner], wanted[inner], atol=0.01)


def test_channels_are_averaged() -> None:
    left, right = tone(SAMPLE_RATE), np.zeros(SAMPLE_RATE // 2, np.float32)
    data = written(np.stack([left, right], axis=1).reshape(-1), Coding.INT16)
    np.testing.assert_allclose(read(RawFormat(SAMPLE_RATE, n_channels=2), data), left / 2, atol=1e-4)


@given(
    coding=st.sampled_from(Coding),
    n_channels=st.integers(1, 3),
    data=st.binary(max_size=600),
    n_bytes=st.integers(1, 700),
)
def test_how_the_bytes_are_cut_changes_nothing(coding: Coding, n_channels: int, data: bytes, n_bytes: int) -> None:
    raw = RawFormat(SAMPLE_RATE, coding, n_channels)
    np.testing.assert_array_equal(read(raw, data, n_bytes=n_bytes), read(raw, data, n_bytes=1000))


def test_what_no_recording_has_is_refused() -> None:
    with pytest.raises(AudioError, match="4000 to 192000"):
        RawFormat(0)
    with pytest.raises(AudioError, match="channels"):
        RawFormat(SAMPLE_RATE, n_channels=0)
    with pytest.raises(AudioError, match="5 bytes"):
        Coding.of_width(5)
