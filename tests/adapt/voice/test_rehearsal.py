"""What the donor goes on being asked: the same filters for the same sentence, and how far others are from them."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from rejoinder.adapt.voice.donor import Donor
from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.rehearsal import N_CROPS, crops_of, forgotten, rehearsals, spread
from rejoinder.adapt.voice.source_filter import SourceFilterDecoder
from rejoinder.adapt.voice.texts import measured_sentences, practice_sentences

pytestmark = pytest.mark.model

N_FRAMES = 32


@pytest.fixture(scope="module")
def voice(donor: Donor) -> VoiceModel:
    torch.manual_seed(0)
    model = deepcopy(donor.model)
    model.dec = SourceFilterDecoder().eval()
    return model


def test_phonemes_are_spread_over_the_frames_they_last() -> None:
    hidden = torch.tensor([[1.0, 2.0, 3.0]])
    assert spread(hidden, torch.tensor([2, 0, 3]), 1, 4).tolist() == [[1.0, 3.0, 3.0, 3.0]]


def test_a_voice_that_has_learnt_nothing_has_forgotten_nothing(donor: Donor, voice: VoiceModel) -> None:
    texts = [donor.phoneme_ids(text) for text in ("Your order is ready.", "We close at six in the evening.", "No.")]
    rehearsed = rehearsals(voice, texts, n_least_frames=64)
    assert len(rehearsed) == 2, "the last is shorter than a crop"
    batch = crops_of(rehearsed, N_FRAMES, np.random.default_rng(0))
    assert batch["donor hidden"].shape[::2] == (N_CROPS, N_FRAMES)
    with torch.no_grad():
        z = voice.flow.inverse(voice.enc_p.prior(batch["donor hidden"])[0])
        octaves, knots = voice.dec.filters_of(z)  # type: ignore[operator]
    # A crop lacks what was before and after it, as far as the flow's layers see.
    assert forgotten(octaves, knots, batch, n_edge=12) < 1e-2
    assert forgotten(octaves + 1, knots, batch, n_edge=12) == pytest.approx(0.5, abs=1e-2)
    assert forgotten(octaves, knots + 1, batch, n_edge=12) > 0.5
    silent = {**batch, "donor knots": batch["donor knots"] - 20}
    assert forgotten(octaves, knots - 30, silent, n_edge=12) < 1e-2, "nobody hears either"


def test_what_is_measured_is_not_rehearsed() -> None:
    practised = practice_sentences(400)
    assert len(set(practised)) == 400
    assert not set(practised) & set(measured_sentences())
