"""Audio in and out: one sample rate inside, every other rate and format at the edges."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import AudioError
from rejoinder.events import Samples

SAMPLE_RATE = 16_000
"""Samples a second inside Rejoinder; what every recognizer and the voice activity detector expect."""

LONGEST_FILE_S = 3_600.0
"""Longest recording that is read at once: a wrong file should not fill the memory."""

_ALAW_SEGMENT_ENDS = np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF])  # as 12-bit magnitudes


def load(
    path: str | Path, *, offset_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE
) -> Samples:
    """Read any recording that libsndfile reads, as mono at `sample_rate`, float32 of shape (n_samples,).

    Channels are averaged, other rates resampled. `offset_s` and `duration_s` read a part of it (None: to the end).
    Raises `AudioError` when the file is missing, is not audio, is cut off within its header, or holds no samples there.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate = int(file.samplerate)
            start = min(round(offset_s * rate), file.frames)
            end = file.frames if duration_s is None else min(round((offset_s + duration_s) * rate), file.frames)
            if end - start > LONGEST_FILE_S * rate:
                raise AudioError(f"{path}: longer than {LONGEST_FILE_S:.0f} s; cut it into utterances first")
            if start:
                file.seek(start)
            samples = file.read(end - start, dtype="float32", always_2d=True).mean(axis=1)  # (n_samples,)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise AudioError(f"{path}: not audio that can be read ({error}); WAV, FLAC, OGG and MP3 are") from error
    if not len(samples):
        raise AudioError(f"{path}: holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: holds samples that are not numbers")
    return resample(samples.astype(np.float32), rate, sample_rate)


def save(path: str | Path, samples: Samples, sample_rate: int = SAMPLE_RATE) -> None:
    """Write 16-bit audio; the file's ending says the format (`.wav`, `.flac`, `.ogg`).

    Raises `AudioError` when it cannot be written, and then leaves no half of a file behind.
    """
    import soundfile

    path = Path(path)
    encoded = BytesIO()  # libsndfile reports a full disk as "System error."; Python says which it is
    try:
        subtype = None if path.suffix == ".ogg" else "PCM_16"
        soundfile.write(encoded, samples, sample_rate, format=path.suffix.removeprefix("."), subtype=subtype)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
        raise AudioError(f"{path}: cannot be written ({error}); name a .wav, .flac or .ogg file") from error
    try:
        path.write_bytes(encoded.getbuffer())
    except OSError as error:
        if path.is_file():
            path.unlink()
        raise AudioError(f"{path}: cannot be written ({error.strerror})") from error


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Change the sample rate of a whole recording."""
    if from_rate == to_rate:
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, from_rate, to_rate, quality="HQ"), dtype=np.float32)


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Float32 in [-1, 1] to 16-bit integers, clipped; the exact inverse of `from_int16`."""
    return np.clip(np.round(samples * 32768.0), -32768.0, 32767.0).astype(np.int16)


def from_int16(samples: NDArray[np.int16]) -> Samples:
    """16-bit integers to float32 in [-1, 1]."""
    return (samples.astype(np.float32) / 32768.0).astype(np.float32)


def to_mulaw(samples: Samples) -> NDArray[np.uint8]:
    """Compand to 8-bit mu-law as ITU-T G.711 has it, complemented for the wire."""
    pcm = to_int16(samples).astype(np.int32) >> 2  # 14 bits
    sign = np.where(pcm < 0, 0x80, 0).astype(np.int32)
    magnitude = np.minimum(np.abs(pcm), 8158) + 33
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    mantissa = (magnitude >> (exponent + 1)) & 0x0F
    return np.asarray(~(sign | (exponent << 4) | mantissa) & 0xFF, dtype=np.uint8)


def from_mulaw(encoded: NDArray[np.uint8]) -> Samples:
    """Expand 8-bit mu-law (ITU-T G.711) to float32."""
    code = ~encoded.astype(np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 1) + 33) << ((code >> 4) & 0x07)) - 33
    return (np.where(code & 0x80, -magnitude, magnitude) * 4 / 32768.0).astype(np.float32)


def to_alaw(samples: Samples) -> NDArray[np.uint8]:
    """Compand to 8-bit A-law as ITU-T G.711 has it, with the even bits inverted for the wire."""
    pcm = to_int16(samples).astype(np.int32) >> 3  # 13 bits
    magnitude = np.where(pcm < 0, ~pcm, pcm)
    segment = np.searchsorted(_ALAW_SEGMENT_ENDS, magnitude)
    mantissa = (magnitude >> np.maximum(segment, 1)) & 0x0F
    return np.asarray(((segment << 4) | mantissa) ^ np.where(pcm < 0, 0x55, 0xD5), dtype=np.uint8)


def from_alaw(encoded: NDArray[np.uint8]) -> Samples:
    """Expand 8-bit A-law (ITU-T G.711) to float32."""
    code = encoded.astype(np.int32) ^ 0x55
    segment = (code >> 4) & 0x07
    magnitude = (((code & 0x0F) << 4) + np.where(segment > 0, 0x108, 8)) << np.maximum(segment - 1, 0)
    return np.asarray(np.where(code & 0x80, magnitude, -magnitude) / 32768.0, dtype=np.float32)


def frames(samples: Samples, n_samples: int) -> Iterator[Samples]:
    """Cut audio into frames of `n_samples`; the last one may be shorter."""
    for start in range(0, len(samples), n_samples):
        yield samples[start : start + n_samples]
