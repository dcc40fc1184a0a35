"""What the donor goes on being asked: the same filters for the same sentence, and how far others are from them."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from rejoinder.adapt.voice.crops import N_EDGE, N_FRAMES
from rejoinder.adapt.voice.donor import Donor
from rejoinder.adapt.voice.model import VoiceModel
from rejoinder.adapt.voice.replay import crops_of_donor, forgotten, replays
from rejoinder.adapt.voice.source_filter import SourceFilterDecoder
from rejoinder.errors import AdaptError

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def voice(donor: Donor) -> VoiceModel:
    torch.manual_seed(0)
    model = deepcopy(donor.model)
    model.dec = SourceFilterDecoder().eval()
    return model


def test_a_voice_that_has_learnt_nothing_has_forgotten_nothing(donor: Donor, voice: VoiceModel) -> None:
    texts = [donor.phoneme_ids(text) for text in ("Your order is ready.", "We close at six in the evening.", "No.")]
    replayed = replays(voice, texts)
    assert len(replayed) == 2, "the last is shorter than a crop"
    batch = crops_of_donor(replayed, 5, np.random.default_rng(0))
    assert batch["donor hidden"].shape[::2] == (5, N_FRAMES)
    assert batch["donor compared"][:, N_EDGE:-N_EDGE].all()
    with torch.no_grad():
        z = voice.flow.inverse(voice.enc_p.prior(batch["donor hidden"])[0])
        octaves, knots = voice.dec.filters_of(z)  # type: ignore[operator]
    near = pytest.approx(0.0, abs=0.02)  # a crop lacks what was before and after it, as far as the flow's layers see
    assert float(forgotten(octaves, knots, batch)) == near
    assert float(forgotten(octaves + 1, knots, batch)) == pytest.approx(0.5, abs=0.02)
    assert forgotten(octaves, knots + 1, batch) > 0.5
    silent = {**batch, "donor knots": batch["donor knots"] - 20}
    assert float(forgotten(octaves, knots - 30, silent)) == near, "nobody hears either"


def test_sentences_that_are_all_too_short_are_refused(donor: Donor, voice: VoiceModel) -> None:
    with pytest.raises(AdaptError, match=r"none of 1 sentences .* 64 frames"):
        replays(voice, [donor.phoneme_ids("No.")])
