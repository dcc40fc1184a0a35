"""What speech is heard through, by name: "phone+noise10" is a telephone call from a noisy place."""

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from numpy.random import Generator

from rejoinder import acoustics
from rejoinder.errors import AudioError, one_of
from rejoinder.events import Samples

Condition: TypeAlias = Callable[[Samples, Generator], Samples]
"""Changes speech as a condition does: float32 of shape (n_samples,) in and out, of the same length unless its pace
changes ("fast", "slow"): all of it then takes `1 / pace` of its time."""

CONDITIONS = ("clean", "phone", "reverb", "noise10", "loss5", "fast", "slow")
"""Names that `condition` takes, alone or joined ("phone+noise10"): the number after "noise" is the ratio in dB, that
after "loss" the percentage of packets, whichever it is."""

FAST, SLOW = 1.25, 0.8
"""Paces of the conditions "fast" and "slow", against the speaker's own."""


def condition(name: str, *, noises: Sequence[Samples] = ()) -> Condition:
    """The condition of a name: one of `CONDITIONS`, at any ratio or percentage, or several joined by "+".

    Joined ones come in nature's order, however they are written: the voice's pace, the room, the noise in it, the
    telephone, the network. `noises` are what the noise is cut from (none: generated ones). Raises `AudioError` for a
    name that is not known, or two of one kind.
    """
    parts: dict[int, tuple[str, Condition]] = {}
    for part in name.split("+"):
        order, change = _simple_condition(part, noises)
        if order in parts:
            raise AudioError(f"condition '{name}': '{parts[order][0]}' and '{part}' are of one kind; take one of them")
        parts[order] = part, change
    changes = [change for _, (_, change) in sorted(parts.items(), key=lambda item: item[0])]

    def apply(samples: Samples, rng: Generator) -> Samples:
        for change in changes:
            samples = change(samples, rng)
        return samples

    return apply


def _simple_condition(name: str, noises: Sequence[Samples]) -> tuple[int, Condition]:
    """A condition that is not joined, and its place in nature's order."""
    match name:
        case "fast":
            return 0, lambda samples, _rng: acoustics.stretch(samples, FAST)
        case "slow":
            return 0, lambda samples, _rng: acoustics.stretch(samples, SLOW)
        case "reverb":
            return 1, lambda samples, rng: acoustics.reverberate(samples, rng)
        case "phone":
            return 3, lambda samples, _rng: acoustics.phone_band(samples)
        case "clean":
            return 5, lambda samples, _rng: samples
    if ratio := re.fullmatch(r"noise(-?\d+(?:\.\d+)?)", name):
        snr_db = float(ratio[1])
        return 2, lambda samples, rng: acoustics.in_noise(samples, snr_db, rng, noises)
    if (percent := re.fullmatch(r"loss(\d+(?:\.\d+)?)", name)) and float(percent[1]) <= 100 * acoustics.MOST_LOSS:
        share = float(percent[1]) / 100
        return 4, lambda samples, rng: acoustics.lose_packets(samples, rng, share=share)
    raise AudioError(f"unknown condition '{name}' ({one_of(CONDITIONS)}; join several with +)")
