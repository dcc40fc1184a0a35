"""Audio without a header, as Wyoming and Riva bring it: of any rate, width and number of channels that there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
import soxr

from rejoinder.audio import SAMPLE_RATE, from_alaw, from_mulaw
from rejoinder.errors import AudioError
from rejoinder.events import Samples
from rejoinder.serve.audio_formats import LEAST_RATE, MOST_CHANNELS, MOST_RATE

PIECE_S = 0.1
"""Audio is decoded and resampled in pieces this long: no caller's keeps the event loop from the others."""


class Coding(Enum):
    """How one sample is written; integers are little-endian. The value is its number of bytes and a name."""

    UINT8 = (1, "8-bit unsigned")
    INT16 = (2, "16-bit")
    INT24 = (3, "24-bit")
    INT32 = (4, "32-bit")
    MULAW = (1, "mu-law")
    ALAW = (1, "A-law")

    @property
    def n_bytes(self) -> int:
        """Bytes of one sample."""
        return self.value[0]

    @classmethod
    def of_width(cls, n_bytes: int) -> "Coding":
        """Linear PCM of so many bytes a sample, as in WAV files; raises `AudioError` where there is no such."""
        for coding in (cls.UINT8, cls.INT16, cls.INT24, cls.INT32):
            if coding.n_bytes == n_bytes:
                return coding
        raise AudioError(f"samples of {n_bytes} bytes cannot be read; 1, 2, 3 and 4 can")


@dataclass(frozen=True, slots=True)
class RawFormat:
    """What raw audio is; raises `AudioError` for a rate or a number of channels that no recording has."""

    rate: int
    coding: Coding = Coding.INT16
    n_channels: int = 1

    def __post_init__(self) -> None:
        if not LEAST_RATE <= self.rate <= MOST_RATE:
            raise AudioError(f"{self.rate} samples a second cannot be used; {LEAST_RATE} to {MOST_RATE} can")
        if not 1 <= self.n_channels <= MOST_CHANNELS:
            raise AudioError(f"{self.n_channels} channels cannot be used; 1 to {MOST_CHANNELS} can")

    @property
    def n_frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.coding.n_bytes * self.n_channels

    def decode(self, data: bytes) -> Samples:
        """Whole frames to float32 of shape (n_samples,) at `rate`; the channels are averaged."""
        samples = _decode(data, self.coding)
        return samples.reshape(-1, self.n_channels).mean(axis=1, dtype=np.float32) if self.n_channels > 1 else samples


class RawStream:
    """A caller's bytes, of any length, to float32 at `SAMPLE_RATE`; remembers half frames and the resampler's past."""

    def __init__(self, raw: RawFormat) -> None:
        self.format = raw
        self._rest = b""
        self._resampler = None
        if raw.rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(raw.rate, SAMPLE_RATE, 1, dtype="float32")

    def pieces(self, data: bytes) -> Iterator[Samples]:
        """What the bytes hold, in pieces of shape (at most about PIECE_S * SAMPLE_RATE,)."""
        data = self._rest + data
        n_whole = len(data) // self.format.n_frame_bytes * self.format.n_frame_bytes
        self._rest = data[n_whole:]
        n_piece = round(PIECE_S * self.format.rate) * self.format.n_frame_bytes
        for start in range(0, n_whole, n_piece):
            samples = self.format.decode(data[start : min(start + n_piece, n_whole)])
            yield self._resampled(samples) if self._resampler else samples

    def rest(self) -> Samples:
        """What the resampler still holds once all has come; half a frame is lost."""
        return self._resampled(np.zeros(0, np.float32), last=True) if self._resampler else np.zeros(0, np.float32)

    def _resampled(self, samples: Samples, *, last: bool = False) -> Samples:
        assert self._resampler is not None
        return np.asarray(self._resampler.resample_chunk(samples, last=last), np.float32)


def _decode(data: bytes, coding: Coding) -> Samples:
    match coding:
        case Coding.UINT8:
            return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
        case Coding.INT16:
            return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(1 << 15)
        case Coding.INT24:  # the high bytes of 32-bit integers
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return _from_int32(padded.view("<i4").reshape(-1))
        case Coding.INT32:
            return _from_int32(np.frombuffer(data, "<i4"))
        case Coding.MULAW:
            return from_mulaw(np.frombuffer(data, np.uint8))
        case Coding.ALAW:
            return from_alaw(np.frombuffer(data, np.uint8))


def _from_int32(samples: "np.ndarray[tuple[int, ...], np.dtype[np.int32]]") -> Samples:
    return (samples / float(1 << 31)).astype(np.float32)
