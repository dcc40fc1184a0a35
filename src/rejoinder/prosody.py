"""How the voice sounded before a pause: callers let it fall and fade when they are done.

At the same rate of early cut-offs, the median delay is about half of that with a fixed silence (docs/turns.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder.audio import SAMPLE_RATE
from rejoinder.events import Samples

LOOKBACK_S = 4.0
"""How much of a turn is looked at: enough for the speaker's usual pitch and loudness."""

_RATE = SAMPLE_RATE // 2  # pitch lies far below; half the rate is a quarter of the work, and what a phone carries
_HOP = _RATE // 100  # 10 ms
_WINDOW = 4 * _HOP  # 40 ms: two and a half periods of the lowest pitch
_N_FFT = 512  # over window + longest lag - 1 = 442, so that the correlation does not wrap around
_LOWEST_HZ, _HIGHEST_HZ = 65.0, 400.0
_SHORTEST_LAG, _LONGEST_LAG = int(_RATE / _HIGHEST_HZ), int(_RATE / _LOWEST_HZ)
_VOICED = 0.6  # least normalised correlation of a voiced frame
_AUDIBLE_DB = 25.0  # frames further below the speech level than this are pauses
_SYLLABLE_DB = 18.0  # the same for the peak of a syllable
_DIP_DB = 5.0  # least dip between two syllables

_HANN = np.hanning(_WINDOW).astype(np.float32)
_HANN_CORRELATION = np.fft.irfft(np.abs(np.fft.rfft(_HANN, _N_FFT)) ** 2)[: _LONGEST_LAG + 1]
_HANN_CORRELATION = (_HANN_CORRELATION / _HANN_CORRELATION[0] + 1e-3).astype(np.float32)
_BIN_HZ = _RATE / _N_FFT


@dataclass(frozen=True, slots=True)
class Prosody:
    """The voice before a pause; `Prosody()` is the average one (AN4's training set).

    The end is the last 10 ms that is audible, not where the detector of speech says that it is. Where there is too
    little voice to tell a pitch, what depends on it is 0.
    """

    final_pitch: float = 0.7
    """Semitones of the last voiced 50 ms over the speaker's lowest in this turn (its 10th percentile)."""
    final_range: float = 3.5
    """Semitones between the 10th and the 90th percentile in the last voiced stretch."""
    pitch_range: float = 3.6
    """The same in the last 300 ms."""
    periodicity: float = 0.7
    """Mean normalised correlation, 0 to 1, in the last 300 ms: less where the voice creaks or breathes."""
    final_periodicity: float = 0.86
    """The same in the last voiced 50 ms."""
    level_db: float = -11.5
    """Mean level from 400 to 200 ms before the end, under the turn's speech level (its 85th percentile)."""
    final_peak_db: float = -3.1
    """Peak level of the last syllable over the mean of those before."""
    n_syllables: float = 5.8
    """Peaks of the level with a dip of 5 dB between them."""
    final_gap_s: float = 0.28
    """Time between the last two of these peaks; 0 where there is only one."""
    tilt_db: float = -16.6
    """Energy over 2 kHz against that under 1 kHz, in the last 200 ms."""

    @classmethod
    def of(cls, samples: Samples) -> "Prosody":
        """Measure a turn up to its pause: float32 of shape (n_samples,); silence at the end does no harm.

        Takes about 6 ms for the longest input that is looked at, `LOOKBACK_S`.
        """
        samples = samples[-int(LOOKBACK_S * SAMPLE_RATE) :]
        if len(samples) < 2 * _WINDOW:
            return cls()
        pitch, correlation, level, tilt = _track(samples)
        loud = np.flatnonzero(level > level.max() - 30.0)  # the silence before and after is no part of the speech level
        level = level - np.percentile(level[loud[0] : loud[-1] + 1], 85)
        audible = level > -_AUDIBLE_DB
        end = int(np.flatnonzero(audible)[-1]) + 1

        def recent(track: Samples, n_frames: int, n_skipped: int = 0) -> Samples:
            return track[max(0, end - n_frames) : max(1, end - n_skipped)]

        voiced = np.flatnonzero((correlation[:end] > _VOICED) & audible[:end])
        pitches = pitch[voiced[voiced >= end - 30]]
        stretches = [part for part in np.split(voiced, np.flatnonzero(np.diff(voiced) > 3) + 1) if len(part) >= 5]
        last = stretches[-1] if stretches else voiced[:0]
        peaks, peak_db = _syllables(level[:end])
        return cls(
            final_pitch=_final_pitch(pitch[voiced], pitch[last]),
            final_range=_spread(pitch[last]),
            pitch_range=_spread(pitches),
            periodicity=float(recent(correlation, 30).mean()),
            final_periodicity=float(correlation[last[-5:]].mean()) if len(last) else _VOICED,
            level_db=float(recent(level, 40, 20).mean()),
            final_peak_db=float(peak_db[-1] - peak_db[:-1].mean()) if len(peaks) > 1 else 0.0,
            n_syllables=float(len(peaks)),
            final_gap_s=float(peaks[-1] - peaks[-2]) * 0.01 if len(peaks) > 1 else 0.0,
            tilt_db=float(recent(tilt, 20).mean()),
        )


def _final_pitch(pitches: Samples, last: Samples) -> float:
    """Semitones of the end of the last stretch over the lowest of all; more than eight is a mistake of the tracker."""
    if not len(last):
        return 0.0
    return float(np.clip(np.median(last[-5:]) - np.percentile(pitches, 10), -8.0, 8.0))


def _spread(pitches: Samples) -> float:
    """Semitones between the 10th and the 90th percentile, at most an octave: more is a mistake of the tracker."""
    if len(pitches) < 5:
        return 0.0
    lowest, highest = np.percentile(pitches, (10, 90))
    return float(min(highest - lowest, 12.0))


def _syllables(level: Samples) -> tuple[NDArray[np.intp], Samples]:
    """Frames of the syllables' peaks and their levels, from levels in dB over the speech level, (n_frames,)."""
    smooth = np.convolve(np.pad(level, 2, "edge"), np.ones(5) / 5, "valid")
    peaks: list[int] = []
    top: int | None = 0
    dip = smooth[0]
    for i, value in enumerate(smooth):
        if top is None:
            dip = min(dip, value)
            top = i if value >= dip + _DIP_DB else None
        elif value > smooth[top]:
            top = i
        elif value < smooth[top] - _DIP_DB:
            peaks.append(top)
            top, dip = None, value
    if top is not None:
        peaks.append(top)
    found = np.array([peak for peak in peaks if smooth[peak] > -_SYLLABLE_DB], np.intp)
    return found, smooth[found].astype(np.float32)


def _track(samples: Samples) -> tuple[Samples, Samples, Samples, Samples]:
    """Pitch in semitones over 100 Hz, how periodic (0 to 1), level in dBFS and tilt in dB, each (n_frames,) by 10 ms.

    The pitch is the lag of the highest autocorrelation, once the window's own is divided out (Boersma 1993).
    """
    halved = samples[: len(samples) // 2 * 2].reshape(-1, 2).mean(axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(halved, _WINDOW)[::_HOP]
    windows = windows - windows.mean(axis=1, keepdims=True)  # (n_frames, n_window)
    level = 10.0 * np.log10(np.square(windows[:, _WINDOW // 2 :]).mean(axis=1) + 1e-12)
    power = np.square(np.abs(np.fft.rfft(windows * _HANN, _N_FFT)))
    high, low = power[:, int(2000 / _BIN_HZ) :].sum(axis=1), power[:, : int(1000 / _BIN_HZ)].sum(axis=1)
    correlation = np.fft.irfft(power)[:, : _LONGEST_LAG + 1]
    correlation = correlation / (correlation[:, :1] + 1e-9) / _HANN_CORRELATION
    rows = np.arange(len(windows))
    lag = correlation[:, _SHORTEST_LAG:-1].argmax(axis=1) + _SHORTEST_LAG
    best = correlation[rows, lag]
    for divisor in (2, 3):  # a lag of several periods correlates as well: prefer one period
        shorter = np.maximum(np.round(lag / divisor).astype(int), _SHORTEST_LAG)
        lag = np.where((lag >= divisor * _SHORTEST_LAG) & (correlation[rows, shorter] > 0.85 * best), shorter, lag)
    before, at, after = (correlation[rows, lag + shift] for shift in (-1, 0, 1))
    curvature = np.minimum(before - 2.0 * at + after, -1e-6)
    period = lag + np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)  # the parabola's top, between two samples
    return 12.0 * np.log2(_RATE / period / 100.0), best, level, 10.0 * np.log10((high + 1e-9) / (low + 1e-9))
