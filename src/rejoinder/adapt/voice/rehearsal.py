"""What the donor's decoder makes of everyday sentences, rehearsed while another speaker is learnt.

Ten minutes of recordings hold few of the neighbourhoods that sounds meet in speech. A decoder that learns from these
alone forgets the others: its consonants are misheard in the sentences that it was not trained on. So it goes on being
asked what it said as the donor, with the timbre of the donor, which is thrown away in the end (learning without
forgetting: Li and Hoiem, 2016). No sound is made for it: the filters and the pitch are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rejoinder.adapt.trainer import Batch
from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.source_filter import SourceFilterDecoder
from rejoinder.progress import Progress, silent

N_CROPS = 6
"""Crops of the donor's in a batch."""

_RHYTHM_NOISE = 0.5  # so that the durations differ as the speaker's will
_LENGTH = 1.15  # those who are recorded for a voice speak more slowly than the packaged donor
_INAUDIBLE = -6.0  # log magnitude of a filter below which nothing is compared
_PITCH = 0.5  # weight of an octave against a neper


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One sentence of the donor's."""

    hidden: Tensor
    """The text encoder's states, (N_CHANNELS, n_ids)."""
    durations: Tensor
    """Frames of each phoneme id, (n_ids,)."""
    octaves: Tensor
    """(n_frames,); see `SourceFilterDecoder.filters_of`."""
    knots: Tensor
    """As `octaves`, (2 * N_KNOTS, n_frames)."""

    @property
    def n_frames(self) -> int:
        """Frames of the network."""
        return len(self.octaves)


@torch.no_grad()
def rehearsals(
    donor: VoiceModel, texts: Sequence[Sequence[int]], *, n_least_frames: int, progress: Progress = silent
) -> list[Rehearsal]:
    """What `donor`, whose decoder is a `SourceFilterDecoder`, says of texts (phoneme ids); short ones are left out."""
    assert isinstance(donor.dec, SourceFilterDecoder)
    made = []
    for n, ids in enumerate(texts):
        torch.manual_seed(n)
        hidden = donor.enc_p(torch.tensor(ids)[None])
        logs = donor.dp(hidden, torch.randn(1, 2, len(ids)) * _RHYTHM_NOISE)[0]
        durations = (_LENGTH * logs.exp()).ceil().long()
        if int(durations.sum()) > n_least_frames:
            mean, _ = donor.enc_p.prior(hidden)
            octaves, knots = donor.dec.filters_of(donor.flow.inverse(mean.repeat_interleave(durations, 2)))
            made.append(Rehearsal(hidden[0], durations, octaves[0], knots[0]))
        progress("rehearsing the donor", n + 1, len(texts))
    return made


def spread(hidden: Tensor, durations: Tensor, start: int, n_frames: int) -> Tensor:
    """The states (N_CHANNELS, n_ids) of those phonemes that fill `n_frames` frames from `start`."""
    frames = torch.arange(start, start + n_frames)
    return hidden[:, torch.searchsorted(durations.cumsum(0), frames, right=True)]


def crops_of(rehearsed: Sequence[Rehearsal], n_frames: int, rng: np.random.Generator) -> Batch:
    """`N_CROPS` crops, drawn by the sentences' lengths: "donor hidden", "donor octaves" and "donor knots"."""
    lengths = np.array([one.n_frames for one in rehearsed], float)
    drawn = [rehearsed[n] for n in rng.choice(len(rehearsed), N_CROPS, p=lengths / lengths.sum())]
    starts = [int(rng.integers(0, one.n_frames - n_frames + 1)) for one in drawn]
    cut = [(one, start, slice(start, start + n_frames)) for one, start in zip(drawn, starts, strict=True)]
    return {
        "donor hidden": torch.stack([spread(one.hidden, one.durations, start, n_frames) for one, start, _ in cut]),
        "donor octaves": torch.stack([one.octaves[frames] for one, _, frames in cut]),
        "donor knots": torch.stack([one.knots[:, frames] for one, _, frames in cut]),
    }


def forgotten(octaves: Tensor, knots: Tensor, batch: Batch, *, n_edge: int) -> Tensor:
    """How far pitch and audible filters are from the donor's, without `n_edge` frames at either end."""
    inside = slice(n_edge, -n_edge)
    distance = (_audible(knots) - _audible(batch["donor knots"])).abs()[..., inside].mean()
    return distance + _PITCH * (octaves - batch["donor octaves"]).abs()[:, inside].mean()


def _audible(knots: Tensor) -> Tensor:
    """Log magnitudes that bend into a floor."""
    return torch.logaddexp(knots, knots.new_tensor(_INAUDIBLE))
