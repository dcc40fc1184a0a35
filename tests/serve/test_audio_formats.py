"""Audio in every format there is, and files that are none."""

from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AudioError
from rejoinder.serve.audio_formats import FORMATS, SPEECH_RATE, Encoder, decode


def tone(seconds: float, rate: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return (0.3 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate)).astype(np.float32)


def recording(samples: object, rate: int, name: str = "WAV", coding: str | None = None) -> bytes:
    file = BytesIO()
    soundfile.write(file, samples, rate, format=name, subtype=coding)
    return file.getvalue()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rate", [24_000, 22_050])
def test_what_is_written_can_be_read_again(name: str, rate: int) -> None:
    encoder = Encoder(name, rate)
    early = encoder.write(tone(1.0, rate))
    data = early + encoder.write(tone(0.5, rate)) + encoder.finish()
    assert bool(early) == FORMATS[name].streams
    if name == "pcm":
        heard, got = np.frombuffer(data, "<i2") / 32768, SPEECH_RATE
    else:
        heard, got = soundfile.read(BytesIO(data))
    assert got == SPEECH_RATE
    assert len(heard) / SPEECH_RATE == pytest.approx(1.5, abs=0.06)
    assert np.sqrt((heard**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_any_rate_and_channels_come_as_mono_at_the_rate_inside(rate: int) -> None:
    stereo = np.stack([tone(25.0, rate), tone(25.0, rate)], axis=1)
    samples = decode(recording(stereo, rate), longest_s=30)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(25 * SAMPLE_RATE, abs=2)
    assert np.sqrt((samples**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(("name", "coding"), [("FLAC", None), ("MP3", None), ("OGG", "OPUS"), ("OGG", "VORBIS")])
def test_compressed_recordings_are_read(name: str, coding: str | None) -> None:
    assert len(decode(recording(tone(1.0, 48_000), 48_000, name, coding), longest_s=5)) > 0.9 * SAMPLE_RATE


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, I am a text file", "not audio"),
        (b"RIFF" + bytes(100), "not audio"),
        (recording(np.zeros(0, np.float32), 16_000), "no samples"),
        (recording(tone(3.0, 16_000), 16_000), "longer than 2 s"),
        (recording(np.zeros((100, 9), np.float32), 16_000), "9 channels"),
        (recording(tone(1.0, 100), 100), "100 samples a second"),
        (recording(np.full(100, np.nan, np.float32), 16_000, coding="FLOAT"), "not numbers"),
    ],
)
def test_what_cannot_be_used_is_said(data: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        decode(data, longest_s=2)


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"RIFF\x24\0\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\2", b"ID3"])
)
def test_garbage_is_refused_and_nothing_else_happens(data: bytes, start: bytes) -> None:
    with suppress(AudioError):
        decode(start + data, longest_s=1)
