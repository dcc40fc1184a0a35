"""VITS as a voice of Piper's "medium" quality has it, in PyTorch, with the weights of an exported ONNX voice.

The posterior encoder, which exports lack, is not needed here. Adapted voices have another decoder: see `source_filter`.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rejoinder.adapt.voice.layers import (
    ResidualBlock,
    SeparableConvolutions,
    Transformer,
    WaveNet,
    inverse_spline,
)
from rejoinder.errors import AdaptError

if TYPE_CHECKING:
    from onnx import ModelProto

SAMPLE_RATE = 22_050
HOP = 256
"""Samples of one frame."""
N_CHANNELS = 192
"""Of the hidden state and of the latent `z`."""

_N_SYMBOLS = 256
_N_BINS = 10
_UPSAMPLING = ((8, 16), (8, 16), (4, 8))
"""Factor and width of each transposed convolution: together 256, one frame's samples."""
_BLOCKS = ((3, (1, 2)), (5, (2, 6)), (7, (3, 12)))
"""Width and dilations of the blocks after each."""
_N_DECODER = 256


class TextEncoder(nn.Module):
    """Phoneme ids to hidden states, and to the mean and log deviation of the prior of each phoneme's frames."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(_N_SYMBOLS, N_CHANNELS)
        self.encoder = Transformer(N_CHANNELS)
        self.proj = nn.Conv1d(N_CHANNELS, 2 * N_CHANNELS, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """(n_batch, n_ids) to hidden states (n_batch, N_CHANNELS, n_ids)."""
        return self.encoder(self.emb(ids).mT * math.sqrt(N_CHANNELS))  # type: ignore[no-any-return]

    def prior(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log deviation, each of the shape of `hidden`."""
        mean, log_deviation = self.proj(hidden).chunk(2, 1)
        return mean, log_deviation


class Coupling(nn.Module):
    """Shifts the second half of the channels by what the first half says."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(N_CHANNELS // 2, N_CHANNELS, 1)
        self.enc = WaveNet(N_CHANNELS, n_layers=4)
        self.post = nn.Conv1d(N_CHANNELS, N_CHANNELS // 2, 1)

    def forward(self, x: Tensor, sign: int) -> Tensor:
        kept, shifted = x.chunk(2, 1)
        return torch.cat([kept, shifted + sign * self.post(self.enc(self.pre(kept)))], 1)


class Flow(nn.Module):
    """An invertible map between the latent and the text's prior; it keeps volumes, so it needs no determinant."""

    def __init__(self) -> None:
        super().__init__()
        self.flows = nn.ModuleDict({str(n): Coupling() for n in (0, 2, 4, 6)})

    def forward(self, z: Tensor) -> Tensor:
        """Latent to prior, (n_batch, N_CHANNELS, n_frames)."""
        for coupling in self.flows.values():
            z = coupling(z, 1).flip(1)
        return z

    def inverse(self, z: Tensor) -> Tensor:
        """Prior to latent."""
        for coupling in reversed(list(self.flows.values())):
            z = coupling(z.flip(1), -1)
        return z


class Shift(nn.Module):
    """The innermost step of the durations' flow."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(2, 1))
        self.logs = nn.Parameter(torch.zeros(2, 1))

    def inverse(self, z: Tensor) -> Tensor:
        return (z - self.m) * torch.exp(-self.logs)


class SplineCoupling(nn.Module):
    """Bends the second channel by a spline that the first and the text decide."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(1, N_CHANNELS, 1)
        self.convs = SeparableConvolutions(N_CHANNELS)
        self.proj = nn.Conv1d(N_CHANNELS, 3 * _N_BINS - 1, 1)

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        kept, bent = z.chunk(2, 1)
        widths, heights, slopes = self.proj(self.convs(self.pre(kept) + condition)).mT.split(
            [_N_BINS, _N_BINS, _N_BINS - 1], -1
        )
        scale = math.sqrt(N_CHANNELS)
        bent = inverse_spline(bent[:, 0], widths / scale, heights / scale, slopes)
        return torch.cat([kept, bent[:, None]], 1)


class DurationPredictor(nn.Module):
    """Draws how long each phoneme lasts. Only this direction is here: voices are exported without the other."""

    def __init__(self) -> None:
        super().__init__()
        self.pre = nn.Conv1d(N_CHANNELS, N_CHANNELS, 1)
        self.convs = SeparableConvolutions(N_CHANNELS)
        self.proj = nn.Conv1d(N_CHANNELS, N_CHANNELS, 1)
        self.flows = nn.ModuleDict({"0": Shift(), **{str(n): SplineCoupling() for n in (3, 5, 7)}})

    def forward(self, hidden: Tensor, noise: Tensor) -> Tensor:
        """Log durations in frames (n_batch, n_ids) from hidden states and noise (n_batch, 2, n_ids)."""
        condition = self.proj(self.convs(self.pre(hidden)))
        z = noise
        for name in ("7", "5", "3"):
            z = self.flows[name].inverse(z.flip(1), condition)  # type: ignore[operator]
        return self.flows["0"].inverse(z.flip(1))[:, 0]  # type: ignore[operator,no-any-return]


class Decoder(nn.Module):
    """Latent to waveform (HiFi-GAN's generator: Kong et al., 2020, https://arxiv.org/abs/2010.05646)."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [_N_DECODER >> n for n in range(len(_UPSAMPLING) + 1)]
        self.conv_pre = nn.Conv1d(N_CHANNELS, sizes[0], 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(sizes[n], sizes[n + 1], width, factor, (width - factor) // 2)
            for n, (factor, width) in enumerate(_UPSAMPLING)
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(size, width, dilations) for size in sizes[1:] for width, dilations in _BLOCKS
        )
        self.conv_post = nn.Conv1d(sizes[-1], 1, 7, padding=3, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """(n_batch, N_CHANNELS, n_frames) to (n_batch, n_frames * HOP)."""
        x = self.conv_pre(z)
        blocks = list(self.resblocks)
        for n, upsample in enumerate(self.ups):
            x = upsample(functional.leaky_relu(x, 0.1))
            side_by_side = blocks[n * len(_BLOCKS) : (n + 1) * len(_BLOCKS)]
            x = torch.stack([block(x) for block in side_by_side]).mean(0)
        return torch.tanh(self.conv_post(functional.leaky_relu(x, 0.01)))[:, 0]


class Manner(TypedDict, total=False):
    """How an utterance is spoken."""

    noise: float
    """How much of the latent's noise; 0.667 unless given."""
    noise_w: float
    """How much of the durations' noise; 0.8 unless given."""
    length: float
    """What the durations are multiplied by; 1 unless given."""
    drawn: tuple[Tensor, Tensor]
    """The noise of the durations (2, n_ids) and of the latent (N_CHANNELS, n_frames or more), else drawn from torch's
    own generator."""


@dataclass(frozen=True, slots=True)
class Latents:
    """One utterance before it sounds."""

    hidden: Tensor
    """The text encoder's states, (N_CHANNELS, n_ids)."""
    durations: Tensor
    """Frames of each phoneme id, (n_ids,)."""
    z: Tensor
    """(N_CHANNELS, n_frames)."""


@dataclass(frozen=True, slots=True)
class Rendering(Latents):
    """One utterance as the model speaks it, and what lay underneath."""

    samples: Tensor
    """(n_samples,) at `SAMPLE_RATE`."""


class VoiceModel(nn.Module):
    """The generator of VITS: text encoder, durations, flow and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.enc_p = TextEncoder()
        self.dp = DurationPredictor()
        self.flow = Flow()
        self.dec: nn.Module = Decoder()

    @classmethod
    def load(cls, path: Path) -> "VoiceModel":
        """Take all weights from an ONNX voice; raises `AdaptError` when it is not of this kind."""
        import onnx
        from onnx import numpy_helper

        try:
            graph = onnx.load(str(path))
        except Exception as error:  # protobuf raises its own types
            raise AdaptError(f"{path}: cannot be opened as an ONNX model ({error})") from error
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
        model = cls()
        named = model.state_dict()
        for stored, name in weight_names(graph).items():
            if name not in named or tuple(tensors[stored].shape) != tuple(named[name].shape):
                raise _no_donor(path, f"{name} has shape {list(tensors[stored].shape)}")
            value = torch.from_numpy(np.array(tensors[stored], np.float32))
            named[name] = -value.log() if is_exponential(stored) else value
        missing = set(named) - set(weight_names(graph).values())
        if missing:
            raise _no_donor(path, f"it has no {min(missing)}")
        model.load_state_dict(named)
        return model.eval()

    @torch.no_grad()
    def latents(self, ids: Tensor, **manner: Unpack[Manner]) -> Latents:
        """What the decoder is given for phoneme ids (n_ids,)."""
        drawn = manner.get("drawn")
        hidden = self.enc_p(ids[None])
        draw = drawn[0] if drawn else torch.randn(2, len(ids), device=ids.device)
        logs = self.dp(hidden, draw[None] * manner.get("noise_w", 0.8))
        durations = torch.ceil(logs.exp() * manner.get("length", 1.0))[0].long()
        n_frames = int(durations.sum())
        mean, log_deviation = (part.repeat_interleave(durations, 2) for part in self.enc_p.prior(hidden))
        draw = drawn[1][:, :n_frames] if drawn else torch.randn(N_CHANNELS, n_frames, device=ids.device)
        z = self.flow.inverse(mean + draw[None] * log_deviation.exp() * manner.get("noise", 0.667))
        return Latents(hidden[0], durations, z[0])

    @torch.no_grad()
    def speak(self, ids: Tensor, **manner: Unpack[Manner]) -> Rendering:
        """Speak phoneme ids (n_ids,), as the exported graph does."""
        made = self.latents(ids, **manner)
        return Rendering(made.hidden, made.durations, made.z, self.dec(made.z[None])[0])


def is_exponential(stored: str) -> bool:
    """Whether an initializer holds exp(-x) of the weight x, as that of the innermost step of the durations does."""
    return stored.startswith("/dp/flows.0/Exp")


def weight_names(model: "ModelProto") -> dict[str, str]:
    """Which weight of `VoiceModel` each initializer of an exported voice holds.

    Export folds weight normalisation away and leaves those tensors without a name of their own: the node that uses them
    tells which they are.
    """
    names = {
        tensor.name: tensor.name
        for tensor in model.graph.initializer
        if re.match(r"(enc_p|dp|flow|dec)\.", tensor.name)
    }
    stored = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and node.input[1] in stored and node.input[1] not in names:
            names[node.input[1]] = node.name.strip("/").rpartition("/")[0].replace("/", ".") + ".weight"
        elif node.op_type == "Gather" and node.name.startswith("/enc_p/emb"):
            names[node.input[0]] = "enc_p.emb.weight"
    names |= {name: "dp.flows.0.logs" for name in stored if is_exponential(name)}
    return names


def _no_donor(path: Path, what: str) -> AdaptError:
    return AdaptError(
        f"{path}: {what}, so this is no single-speaker voice of medium quality, and only such can be adapted; "
        'take the packaged one ("joe") or another Piper voice ending in "-medium"'
    )
