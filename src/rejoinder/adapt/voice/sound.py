"""An utterance with its pitch at each of the voice's frames, which its pulses follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rejoinder import audio
from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE
from rejoinder.audio import resample
from rejoinder.errors import require_extra
from rejoinder.events import Samples

if TYPE_CHECKING:
    from swift_f0 import SwiftF0

HIGHEST_HZ = 600.0
"""Of a voice that speaks; what is found above it is a hiss."""

_NO_VOICE_HZ = 150.0


@dataclass(frozen=True, slots=True)
class Sound:
    """An utterance."""

    samples: Tensor
    """(n_frames * HOP,)"""
    hz: Tensor
    """At the beginning of each frame, (n_frames,); between voiced stretches it glides from one to the next."""
    voiced: Tensor
    """How sure it is that there is a voice, 0 to 1, (n_frames,)."""

    @classmethod
    def of(cls, samples: Samples) -> "Sound":
        """Find the pitch of (n_frames * HOP,) samples, by SwiftF0 (Nieradzik, 2025)."""
        found = _detector().detect(resample(samples, SAMPLE_RATE, audio.SAMPLE_RATE), audio.SAMPLE_RATE)
        at_s = np.arange(len(samples) // HOP) * (HOP / SAMPLE_RATE)
        sure = np.where(found.pitch_hz < HIGHEST_HZ, found.confidence, 0.0)
        voiced = sure >= 0.5  # the detector's own threshold
        if voiced.any():
            hz = np.exp(np.interp(at_s, found.timestamps[voiced], np.log(found.pitch_hz[voiced])))
        else:
            hz = np.full(len(at_s), _NO_VOICE_HZ)
        sureness = np.interp(at_s, found.timestamps, sure)
        return cls(torch.from_numpy(samples), torch.from_numpy(hz).float(), torch.from_numpy(sureness).float())

    @property
    def n_frames(self) -> int:
        """Frames of the network."""
        return len(self.hz)

    def crop(self, start: int, n_frames: int) -> Mapping[str, Tensor]:
        """Some frames from one on, by the names that a batch has."""
        end = start + n_frames
        return {
            "samples": self.samples[start * HOP : end * HOP],
            "hz": self.hz[start:end],
            "voiced": self.voiced[start:end],
        }


@cache
def _detector() -> "SwiftF0":
    require_extra("train", "swift_f0")
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1, spin=False)
