"""What the donor's decoder makes of everyday sentences, replayed while another speaker is learnt.

Ten minutes of recordings hold few of the neighbourhoods that sounds meet in speech. A decoder that learns from these
alone forgets the others: its consonants are misheard in the sentences that it was not trained on. So it goes on being
asked what the donor's said, with the timbre of the donor, which is thrown away in the end (learning without forgetting:
Li and Hoiem, 2016). No sound is made for it: the filters and the pitch are compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rejoinder.adapt.voice.crops import N_FRAMES, compared, spread, start_of_crop
from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.source_filter import SourceFilterDecoder
from rejoinder.errors import AdaptError
from rejoinder.progress import Progress, silent

CROPS_PER_LESSON = 0.75
"""Crops of the donor's in a batch for each of the speaker's."""

_RHYTHM_NOISE = 0.5  # so that the durations differ as the speaker's will
_LENGTH = 1.15  # those who are recorded for a voice speak more slowly than the packaged donor
_INAUDIBLE = -6.0  # log magnitude of a filter below which nothing is compared: the quietest that training hears
_PITCH = 0.5  # weight of an octave against a neper


@dataclass(frozen=True, slots=True)
class Replay:
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
def replays(donor: VoiceModel, texts: Sequence[Sequence[int]], progress: Progress = silent) -> list[Replay]:
    """What `donor`, whose decoder is a `SourceFilterDecoder`, says of texts (phoneme ids).

    What is shorter than a crop is left out; raises `AdaptError` when nothing is left.
    """
    assert isinstance(donor.dec, SourceFilterDecoder)
    made = []
    for n, ids in enumerate(texts):
        torch.manual_seed(n)
        said = donor.latents(torch.tensor(ids), noise=0.0, noise_w=_RHYTHM_NOISE, length=_LENGTH)
        if said.z.shape[1] >= N_FRAMES:
            octaves, knots = donor.dec.filters_of(said.z[None])
            made.append(Replay(said.hidden, said.durations, octaves[0], knots[0]))
        progress("listening to the donor", n + 1, len(texts))
    if not made:
        raise AdaptError(f"none of {len(texts)} sentences to replay lasts {N_FRAMES} frames; give longer ones")
    return made


def crops_of_donor(replayed: Sequence[Replay], n_crops: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
    """Crops drawn by the sentences' lengths: "donor hidden", "donor octaves", "donor knots", and "donor compared"."""
    lengths = np.array([one.n_frames for one in replayed], float)
    drawn = [replayed[n] for n in rng.choice(len(replayed), n_crops, p=lengths / lengths.sum())]
    starts = [start_of_crop(one.n_frames, rng) for one in drawn]
    cut = [(one, start, slice(start, start + N_FRAMES)) for one, start in zip(drawn, starts, strict=True)]
    return {
        "donor hidden": torch.stack([spread(one.hidden, one.durations, start) for one, start, _ in cut]),
        "donor octaves": torch.stack([one.octaves[frames] for one, _, frames in cut]),
        "donor knots": torch.stack([one.knots[:, frames] for one, _, frames in cut]),
        "donor compared": compared([one.n_frames for one in drawn], starts),
    }


def forgotten(octaves: Tensor, knots: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """How far pitch and audible filters are from the donor's, in nepers."""
    of_filters = (_audible(knots) - _audible(batch["donor knots"])).abs().mean(1)  # (n_batch, N_FRAMES)
    of_pitch = (octaves - batch["donor octaves"]).abs()
    mask = batch["donor compared"]
    return ((of_filters + _PITCH * of_pitch) * mask).sum() / mask.sum()


def _audible(knots: Tensor) -> Tensor:
    """Log magnitudes that bend into a floor."""
    return torch.logaddexp(knots, knots.new_tensor(_INAUDIBLE))
