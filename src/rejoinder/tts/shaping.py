"""Clauses of synthetic speech made ready to be joined: silence trimmed, one level, a natural pause in between."""

import numpy as np

from rejoinder.events import Samples

QUIET = 1e-3
"""Amplitude below which synthetic speech is silence: -60 dBFS, some 40 dB under the voice."""

LEAD_S = 0.02
"""Silence kept before a clause: enough for a soft onset, too short to be heard as a delay."""

TAIL_S = 0.03
"""Silence kept after a clause, before its pause."""

PAUSE_S = {",": 0.14, ";": 0.2, ":": 0.2, "—": 0.2, "–": 0.2, ".": 0.32, "!": 0.32, "?": 0.32, "…": 0.35}
"""Pause after a clause by its last mark."""

LOUDEST = 0.95
"""Peaks are scaled down to this."""


def shape(samples: Samples, sample_rate: int, *, gain: float = 1.0, pause_s: float = 0.0) -> Samples:
    """Trim the silence around one clause, apply `gain`, append a pause; float32 of shape (n_samples,)."""
    heard = np.flatnonzero(np.abs(samples) > QUIET)
    if not heard.size:
        return np.zeros(0, np.float32)
    start = max(0, int(heard[0]) - round(LEAD_S * sample_rate))
    end = int(heard[-1]) + 1 + round(TAIL_S * sample_rate)
    clause = samples[start:end] * np.float32(min(gain, LOUDEST / float(np.abs(samples).max())))
    n_fade = min(round(0.005 * sample_rate), len(clause))
    clause[len(clause) - n_fade :] *= np.linspace(1.0, 0.0, n_fade, dtype=np.float32)
    return np.concatenate([clause, np.zeros(round(pause_s * sample_rate), np.float32)])


def pause_after(clause: str) -> float:
    """Seconds of pause that the clause's last mark asks for."""
    return PAUSE_S.get(clause.rstrip("\"'”’)] ")[-1:], 0.05)
