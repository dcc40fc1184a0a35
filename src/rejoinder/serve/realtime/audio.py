"""Audio as the Realtime protocol carries it: 16-bit PCM at 24 kHz, and G.711 in mu-law and A-law at 8 kHz."""

from collections.abc import Iterator
from enum import Enum

import numpy as np
import soxr

from rejoinder.audio import SAMPLE_RATE, frames, from_alaw, from_int16, from_mulaw, to_alaw, to_int16, to_mulaw
from rejoinder.events import Samples

PIECE_S = 0.1
"""Audio is decoded, resampled and sent in pieces this long: no caller's keeps the event loop from the others."""


class Encoding(Enum):
    """How samples are written."""

    PCM = "audio/pcm"
    """Little-endian 16-bit integers."""
    MULAW = "audio/pcmu"
    ALAW = "audio/pcma"

    @property
    def sample_rate(self) -> int:
        """Samples a second, which the protocol fixes."""
        return 24_000 if self is Encoding.PCM else 8_000

    @property
    def n_bytes(self) -> int:
        """Bytes of one sample."""
        return 2 if self is Encoding.PCM else 1

    def decode(self, data: bytes) -> Samples:
        """Bytes to float32 of shape (n_samples,) at `sample_rate`."""
        if self is Encoding.PCM:
            return from_int16(np.frombuffer(data, "<i2").astype(np.int16))
        codes = np.frombuffer(data, np.uint8)
        return from_mulaw(codes) if self is Encoding.MULAW else from_alaw(codes)

    def encode(self, samples: Samples) -> bytes:
        """Float32 of shape (n_samples,) at `sample_rate` to bytes."""
        if self is Encoding.PCM:
            return to_int16(samples).astype("<i2").tobytes()
        return (to_mulaw(samples) if self is Encoding.MULAW else to_alaw(samples)).tobytes()


class InputStream:
    """A caller's bytes, of any length, to float32 at `SAMPLE_RATE`; remembers half samples and the resampler's past."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._rest = b""
        self._resampler = soxr.ResampleStream(encoding.sample_rate, SAMPLE_RATE, 1, dtype="float32")

    def pieces(self, data: bytes) -> Iterator[Samples]:
        """What the bytes hold, in pieces of shape (at most about PIECE_S * SAMPLE_RATE,)."""
        data = self._rest + data
        n_whole = len(data) // self.encoding.n_bytes * self.encoding.n_bytes
        self._rest = data[n_whole:]
        n_piece = round(PIECE_S * self.encoding.sample_rate) * self.encoding.n_bytes
        for start in range(0, n_whole, n_piece):
            samples = self.encoding.decode(data[start : min(start + n_piece, n_whole)])
            yield np.asarray(self._resampler.resample_chunk(samples), np.float32)


class OutputStream:
    """A reply's float32 audio at `sample_rate` to the client's bytes, no piece longer than PIECE_S."""

    def __init__(self, encoding: Encoding, sample_rate: int) -> None:
        self._encoding = encoding
        self._resampler = None
        if sample_rate != encoding.sample_rate:
            self._resampler = soxr.ResampleStream(sample_rate, encoding.sample_rate, 1, dtype="float32")

    def pieces(self, samples: Samples, *, last: bool = False) -> Iterator[bytes]:
        """What can be sent once `samples` have come; `last` also gives what the resampler still holds."""
        if self._resampler is not None:
            samples = np.asarray(self._resampler.resample_chunk(samples, last=last), np.float32)
        for piece in frames(samples, round(PIECE_S * self._encoding.sample_rate)):
            yield self._encoding.encode(piece)
