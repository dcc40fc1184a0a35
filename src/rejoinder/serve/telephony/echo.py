"""A line's echo: what the caller is told comes back, weaker, a moment later, and must not count as their speech.

Networks and telephones cancel most of it. What is left is told from speech by its level alone, which needs no filter
to converge: while the assistant speaks, what is far weaker than its voice is taken for silence.
"""

from collections import deque

import numpy as np

from rejoinder.events import Samples

TAIL_S = 0.5
"""How late an echo may come: two ways through the network and both jitter buffers."""


class EchoGate:
    """Silences what is no louder than an echo of what was played could be. Its clock is the line's audio."""

    def __init__(self, *, loss_db: float) -> None:
        """`loss_db` is how much weaker than the assistant's voice an echo is at least."""
        self._share = 10 ** (-loss_db / 20)
        self._played: deque[tuple[float, float, float]] = deque()  # from, until, level

    def plays(self, samples: Samples, from_s: float, until_s: float) -> None:
        """What the caller hears in this time, shape (n_samples,)."""
        self._played.append((from_s, until_s, _level(samples)))

    def stops(self, now_s: float) -> None:
        """The rest of what was to be played is not."""
        self._played = deque((start, min(end, now_s), level) for start, end, level in self._played if start < now_s)

    def __call__(self, samples: Samples, now_s: float) -> Samples:
        """The caller's audio, which begins at `now_s`, or as much silence where it is but echo."""
        while self._played and self._played[0][1] < now_s - TAIL_S:
            self._played.popleft()
        loudest = max((level for start, _, level in self._played if start <= now_s), default=0.0)
        return samples if _level(samples) >= loudest * self._share else np.zeros_like(samples)


def _level(samples: Samples) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
