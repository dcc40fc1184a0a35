"""The voice in PyTorch is the voice in the ONNX file, both ways."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rejoinder.adapt.voice.donor import Donor
from rejoinder.adapt.voice.export import export
from rejoinder.adapt.voice.layers import inverse_spline
from rejoinder.adapt.voice.model import HOP, N_CHANNELS, VoiceModel
from rejoinder.adapt.voice.source_filter import N_KNOTS, SourceFilterDecoder, restarts
from rejoinder.errors import AdaptError
from rejoinder.events import Samples
from rejoinder.tts.vits import VitsSynthesizer

pytestmark = pytest.mark.model


class Drawn:
    """Stands in for a generator: gives each of the graph's draws what the PyTorch model was given."""

    def __init__(self, *draws: Samples) -> None:
        self._draws = list(draws)

    def standard_normal(self, n: int, dtype: type) -> Samples:
        draw: Samples = self._draws.pop(0).astype(dtype)
        assert n > 0
        return draw


def both(folder: Path, model: VoiceModel, ids: tuple[int, ...]) -> tuple[Samples, Samples]:
    """The same ids and noise, spoken by the ONNX voice and by the model."""
    voice = VitsSynthesizer.load(folder)
    rng = np.random.default_rng(3)
    rhythm = rng.standard_normal((2, len(ids))).astype(np.float32)
    made = model.speak(torch.tensor(ids), drawn=(torch.from_numpy(rhythm), torch.zeros(N_CHANNELS, 4000)))
    n_frames = len(made.samples) // HOP
    latent = rng.standard_normal((N_CHANNELS, n_frames)).astype(np.float32)
    made = model.speak(torch.tensor(ids), drawn=(torch.from_numpy(rhythm), torch.from_numpy(latent)))
    draws: object = Drawn(rhythm.ravel(), latent.ravel())
    return voice.speak(ids, rng=draws), made.samples.numpy()  # type: ignore[arg-type]


def test_the_donor_in_pytorch_speaks_as_its_onnx_file(donor: Donor) -> None:
    onnx, torch_ = both(donor.folder, donor.model, donor.phoneme_ids("Is your Monday flight to Boston on time?"))
    assert len(onnx) == len(torch_) > 20_000
    assert np.abs(onnx).max() > 0.1
    assert np.abs(onnx - torch_).max() < 1e-4


def test_a_changed_voice_is_exported_with_every_change(donor: Donor, tmp_path: Path) -> None:
    changed = VoiceModel()
    generator = torch.Generator().manual_seed(0)
    changed.load_state_dict(
        {
            name: weight + 0.01 * weight.abs().mean() * torch.randn(weight.shape, generator=generator)
            for name, weight in donor.model.state_dict().items()
        }
    )
    path = export(changed.eval(), donor.folder, tmp_path, name="anna", changes={"dataset": "anna"})
    again = VoiceModel.load(path).state_dict()
    assert all(torch.allclose(again[name], weight, atol=1e-6) for name, weight in changed.state_dict().items())
    ids = donor.phoneme_ids("Would you like anything else?")
    onnx, torch_ = both(tmp_path, changed, ids)
    assert len(onnx) == len(torch_)
    assert np.abs(onnx - torch_).max() < 1e-4
    assert '"dataset": "anna"' in (tmp_path / "anna.onnx.json").read_text()


def test_a_voice_with_its_own_decoder_is_exported_whole(
    donor: Donor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    torch.manual_seed(0)
    changed = VoiceModel()
    changed.load_state_dict(donor.model.state_dict())
    changed.dec = decoder = SourceFilterDecoder()
    # As speech is, and about as often with noise as with pulses.
    loud_and_steep = 0.8 - torch.cat([torch.linspace(0.0, 1.2, N_KNOTS), torch.full((N_KNOTS,), 0.11)])
    decoder.load_state_dict({**decoder.state_dict(), "timbre.filters.bias": loud_and_steep})
    path = export(changed.eval(), donor.folder, tmp_path, name="anna", changes={})
    assert not [one.name for one in onnx.load(str(path)).graph.initializer if one.name.startswith("dec.")]
    ids = donor.phoneme_ids("Is your Monday flight to Boston on time?")
    rng = np.random.default_rng(3)
    rhythm = rng.standard_normal((2, len(ids))).astype(np.float32)
    latent = rng.standard_normal((N_CHANNELS, 1000)).astype(np.float32)
    hiss = rng.standard_normal(1000 * HOP).astype(np.float32)
    monkeypatch.setattr(torch, "randn_like", lambda like: torch.from_numpy(hiss[: like.numel()]).view_as(like))
    made = changed.speak(torch.tensor(ids), drawn=(torch.from_numpy(rhythm), torch.from_numpy(latent)))
    n_frames = len(made.samples) // HOP
    draws: object = Drawn(rhythm.ravel(), latent[:, :n_frames].ravel(), hiss)
    spoken = VitsSynthesizer.load(tmp_path).speak(ids, rng=draws)  # type: ignore[arg-type]
    anew = restarts(decoder.filters_of(made.z[None])[1])
    assert 2 < int(anew[:, 1:].sum()) < n_frames / 4
    assert len(spoken) == len(made.samples)
    assert made.samples.abs().max() > 0.1
    assert np.abs(spoken - made.samples.numpy()).max() < 1e-4


def test_the_flow_is_undone_by_its_inverse(donor: Donor) -> None:
    z = torch.randn(2, N_CHANNELS, 30, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(donor.model.flow.inverse(donor.model.flow(z)), z, atol=1e-4)


def test_the_spline_is_monotonic_fixed_at_its_ends_and_the_identity_beyond() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.linspace(-7, 7, 300)
    widths, heights, slopes = (torch.randn(n, generator=generator).expand(300, n) for n in (10, 10, 9))
    x = inverse_spline(y, widths, heights, slopes)
    assert (x.diff() > 0).all()
    assert torch.equal(x[y.abs() > 5], y[y.abs() > 5])
    ends = inverse_spline(torch.tensor([-5.0, 5.0]), widths[:2], heights[:2], slopes[:2])
    assert torch.allclose(ends, torch.tensor([-5.0, 5.0]), atol=1e-3)


def test_a_file_that_is_no_such_voice_is_named(tmp_path: Path) -> None:
    import onnx

    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(AdaptError, match=r"a\.onnx: cannot be opened"):
        VoiceModel.load(tmp_path / "a.onnx")
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    onnx.save(empty, str(tmp_path / "b.onnx"))
    with pytest.raises(AdaptError, match="no single-speaker voice of medium quality"):
        VoiceModel.load(tmp_path / "b.onnx")
