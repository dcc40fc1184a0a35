"""Audio as requests bring it and replies take it: any file libsndfile reads, and the formats of OpenAI's speech API."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType

import numpy as np
import soundfile
import soxr

from rejoinder.audio import SAMPLE_RATE, resample, to_int16
from rejoinder.errors import AudioError
from rejoinder.events import Samples

SPEECH_RATE = 24_000
"""Samples a second of all speech that leaves by REST: OpenAI's clients expect raw samples at this rate."""

LEAST_RATE, MOST_RATE = 4_000, 192_000
"""Sample rates beyond these are a broken header, or one made to cost memory."""

MOST_CHANNELS = 8

_BLOCK_S = 10.0
"""Seconds that are decoded at a time: a FLAC of silence expands a thousandfold."""


@dataclass(frozen=True, slots=True)
class Format:
    """How speech is written."""

    media_type: str
    container: str = ""
    """libsndfile's name of the file format; none for raw samples."""
    coding: str = ""
    """libsndfile's name of what is inside."""
    streams: bool = False
    """Whether what was written stays as it is when more follows: a header with the length can only come last."""


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "wav": Format("audio/wav", "WAV", "PCM_16"),
        "pcm": Format("audio/pcm", streams=True),
        "flac": Format("audio/flac", "FLAC", "PCM_16"),
        "mp3": Format("audio/mpeg", "MP3", "MPEG_LAYER_III"),
        "opus": Format("audio/ogg", "OGG", "OPUS", streams=True),
    }
)
"""What speech can be written as; AAC is missing, for no free encoder of it comes with libsndfile."""


class Encoder:
    """Writes one piece of speech after the other; `take` returns the bytes that are settled so far."""

    def __init__(self, name: str, sample_rate: int) -> None:
        """`name` is one of `FORMATS`, `sample_rate` that of what will be written."""
        self._format = FORMATS[name]
        self._rate = sample_rate
        self._encoded = BytesIO()
        self._n_taken = 0
        self._file: soundfile.SoundFile | None = None
        if self._format.container:
            self._file = soundfile.SoundFile(
                self._encoded,
                "w",
                SPEECH_RATE,
                channels=1,
                format=self._format.container,
                subtype=self._format.coding,
            )

    def write(self, samples: Samples) -> bytes:
        """Encode float32 of shape (n_samples,); returns what can be sent already, which may be nothing."""
        # Each piece begins and ends in silence, so that resampling it alone leaves no click.
        samples = resample(samples, self._rate, SPEECH_RATE)
        if self._file is None:
            return to_int16(samples).astype("<i2").tobytes()
        self._file.write(np.clip(samples, -1.0, 1.0))
        return self._take() if self._format.streams else b""

    def finish(self) -> bytes:
        """The rest."""
        if self._file is None:
            return b""
        self._file.close()
        return self._take()

    def close(self) -> None:
        """Drop what is not finished."""
        if self._file is not None:
            self._file.close()

    def _take(self) -> bytes:
        settled = self._encoded.getvalue()[self._n_taken :]
        self._n_taken += len(settled)
        return settled


def decode(data: bytes, *, longest_s: float) -> Samples:
    """Any recording that libsndfile reads, as mono float32 of shape (n_samples,) at `audio.SAMPLE_RATE`.

    Decoded block by block, so that a small file cannot fill the memory. Raises `AudioError` when it is not audio, is
    longer than `longest_s`, holds no samples, or has a rate or a number of channels that no recording has.
    """
    if not data:
        raise AudioError("the file is empty")
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            rate, n_channels = int(file.samplerate), int(file.channels)
            if not LEAST_RATE <= rate <= MOST_RATE:
                raise AudioError(f"the recording has {rate} samples a second; {LEAST_RATE} to {MOST_RATE} can be used")
            if n_channels > MOST_CHANNELS:
                raise AudioError(f"the recording has {n_channels} channels; {MOST_CHANNELS} at most can be used")
            samples = _mono(file, rate, longest_s)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
        raise AudioError("the file is not audio that can be read; WAV, FLAC, OGG, Opus and MP3 are") from error
    if not len(samples):
        raise AudioError("the recording holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError("the recording holds values that are not numbers")
    return samples


def _mono(file: soundfile.SoundFile, rate: int, longest_s: float) -> Samples:
    n_left = round(longest_s * rate)
    n_block = round(_BLOCK_S * rate)
    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ") if rate != SAMPLE_RATE else None
    pieces: list[Samples] = []
    while len(block := file.read(n_block, dtype="float32", always_2d=True)):  # (n_samples, n_channels)
        n_left -= len(block)
        if n_left < 0:
            raise AudioError(f"the recording is longer than {longest_s:g} s; cut it into pieces first")
        mono = block.mean(axis=1)
        pieces.append(stream.resample_chunk(mono) if stream else mono)
    if stream is not None and pieces:
        pieces.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)
