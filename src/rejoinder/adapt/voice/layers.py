"""The building blocks of VITS, each over one whole utterance or a crop of one: nothing here is padded or masked.

Layout and tensor names follow the original VITS (Kim et al., 2021, https://arxiv.org/abs/2106.06103; code under MIT),
so that the weights of exported voices load by name. All take and give (n_batch, n_channels, n_frames).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_WINDOW = 4
"""Distance up to which attention knows how far apart two phonemes are."""

_TAIL = 5.0
"""The spline bends what lies in [-5, 5]."""
_LEAST_BIN = 1e-3
_LEAST_SLOPE = 1e-3


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(n_channels))
        self.beta = nn.Parameter(torch.zeros(n_channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x.transpose(1, 2), self.gamma.shape, self.gamma, self.beta, 1e-5).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with learnt embeddings of the distance between neighbours (Shaw et al., 2018)."""

    def __init__(self, n_channels: int, n_heads: int) -> None:
        super().__init__()
        self._n_heads = n_heads
        n_each = n_channels // n_heads
        self.conv_q = nn.Conv1d(n_channels, n_channels, 1)
        self.conv_k = nn.Conv1d(n_channels, n_channels, 1)
        self.conv_v = nn.Conv1d(n_channels, n_channels, 1)
        self.conv_o = nn.Conv1d(n_channels, n_channels, 1)
        self.emb_rel_k = nn.Parameter(torch.zeros(1, 2 * _WINDOW + 1, n_each))
        self.emb_rel_v = nn.Parameter(torch.zeros(1, 2 * _WINDOW + 1, n_each))

    def forward(self, x: Tensor) -> Tensor:
        n_batch, n_channels, n = x.shape
        query, key, value = (
            conv(x).view(n_batch, self._n_heads, -1, n).mT for conv in (self.conv_q, self.conv_k, self.conv_v)
        )  # each (n_batch, n_heads, n, n_each)
        query = query / math.sqrt(query.shape[-1])
        position = torch.arange(n, device=x.device)
        distance = position - position[:, None]  # (n, n)
        near = distance.abs() <= _WINDOW
        index = (distance + _WINDOW).clamp(0, 2 * _WINDOW).expand(n_batch, self._n_heads, n, n)
        by_distance = (query @ self.emb_rel_k[0].T).gather(3, index) * near
        weights = (query @ key.mT + by_distance).softmax(-1)  # (n_batch, n_heads, n, n)
        neighbour = position[:, None] + torch.arange(-_WINDOW, _WINDOW + 1, device=x.device)  # (n, 9)
        exists = (neighbour >= 0) & (neighbour < n)
        index = neighbour.clamp(0, n - 1).expand(n_batch, self._n_heads, n, -1)
        mixed = weights @ value + (weights.gather(3, index) * exists) @ self.emb_rel_v[0]
        return self.conv_o(mixed.mT.reshape(n_batch, n_channels, n))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two convolutions."""

    def __init__(self, n_channels: int, n_hidden: int, width: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv1d(n_channels, n_hidden, width, padding=width // 2)
        self.conv_2 = nn.Conv1d(n_hidden, n_channels, width, padding=width // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_2(functional.relu(self.conv_1(x)))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Attention and convolutions over phonemes."""

    def __init__(self, n_channels: int, *, n_hidden: int = 768, n_heads: int = 2, n_layers: int = 6) -> None:
        super().__init__()
        self.attn_layers = nn.ModuleList(Attention(n_channels, n_heads) for _ in range(n_layers))
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(n_channels) for _ in range(n_layers))
        self.ffn_layers = nn.ModuleList(FeedForward(n_channels, n_hidden, 3) for _ in range(n_layers))
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(n_channels) for _ in range(n_layers))

    def forward(self, x: Tensor) -> Tensor:
        layers = (self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2)
        for attention, norm_1, feed_forward, norm_2 in zip(*layers, strict=True):
            x = norm_1(x + attention(x))
            x = norm_2(x + feed_forward(x))
        return x


class WaveNet(nn.Module):
    """Gated convolutions with skip connections (van den Oord et al., 2016), all of dilation 1 as VITS has them."""

    def __init__(self, n_channels: int, *, width: int = 5, n_layers: int) -> None:
        super().__init__()
        self._n_channels = n_channels
        self.in_layers = nn.ModuleList(
            nn.Conv1d(n_channels, 2 * n_channels, width, padding=width // 2) for _ in range(n_layers)
        )
        self.res_skip_layers = nn.ModuleList(
            nn.Conv1d(n_channels, n_channels * (2 if n < n_layers - 1 else 1), 1) for n in range(n_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        skipped = torch.zeros_like(x)
        for convolution, join in zip(self.in_layers, self.res_skip_layers, strict=True):
            signal, gate = convolution(x).chunk(2, 1)
            joined = join(torch.tanh(signal) * torch.sigmoid(gate))
            if joined.shape[1] > self._n_channels:
                residual, joined = joined.chunk(2, 1)
                x = x + residual
            skipped = skipped + joined
        return skipped


class SeparableConvolutions(nn.Module):
    """Dilated depthwise and pointwise convolutions, for the durations."""

    def __init__(self, n_channels: int, *, width: int = 3, n_layers: int = 3) -> None:
        super().__init__()
        dilations = [width**n for n in range(n_layers)]
        self.convs_sep = nn.ModuleList(
            nn.Conv1d(n_channels, n_channels, width, groups=n_channels, dilation=d, padding=(width - 1) * d // 2)
            for d in dilations
        )
        self.convs_1x1 = nn.ModuleList(nn.Conv1d(n_channels, n_channels, 1) for _ in dilations)
        self.norms_1 = nn.ModuleList(ChannelNorm(n_channels) for _ in dilations)
        self.norms_2 = nn.ModuleList(ChannelNorm(n_channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        layers = (self.convs_sep, self.convs_1x1, self.norms_1, self.norms_2)
        for depthwise, pointwise, norm_1, norm_2 in zip(*layers, strict=True):
            x = x + functional.gelu(norm_2(pointwise(functional.gelu(norm_1(depthwise(x))))))
        return x


class ResidualBlock(nn.Module):
    """Dilated convolutions of the decoder (HiFi-GAN's second kind of block: Kong et al., 2020)."""

    def __init__(self, n_channels: int, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(n_channels, n_channels, width, dilation=d, padding=(width - 1) * d // 2) for d in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convs:
            x = x + convolution(functional.leaky_relu(x, 0.1))
        return x


def inverse_spline(y: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor) -> Tensor:
    """The x that a monotonic rational-quadratic spline takes to `y`; outside [-5, 5] it is the identity.

    `y` is (…), `widths` and `heights` are (…, n_bins) and `slopes` is (…, n_bins - 1), all before they are normalised.
    From Durkan et al., 2019, https://arxiv.org/abs/1906.04032, equations 6 to 8; the constants were read in the VITS of
    Hugging Face's transformers (Apache-2.0).
    """
    at_ends = math.log(math.expm1(1 - _LEAST_SLOPE))
    slopes = _LEAST_SLOPE + functional.softplus(functional.pad(slopes, (1, 1), value=at_ends))
    x_knots, y_knots = _knots(widths), _knots(heights)
    inside = y.clamp(-_TAIL, _TAIL)
    n_bins = widths.shape[-1]
    index = ((inside[..., None] >= y_knots).sum(-1) - 1).clamp(0, n_bins - 1)[..., None]

    def pick(values: Tensor) -> Tensor:
        return values.gather(-1, index)[..., 0]

    left, right = pick(x_knots[..., :-1]), pick(x_knots[..., 1:])
    low, high = pick(y_knots[..., :-1]), pick(y_knots[..., 1:])
    slope_left, slope_right = pick(slopes[..., :-1]), pick(slopes[..., 1:])
    rise, slope = high - low, (high - low) / (right - left)
    above = inside - low
    curvature = slope_left + slope_right - 2 * slope
    a = rise * (slope - slope_left) + above * curvature
    b = rise * slope_left - above * curvature
    c = -slope * above
    share = 2 * c / (-b - (b.square() - 4 * a * c).clamp_min(1e-9).sqrt())
    return torch.where(y.abs() <= _TAIL, left + share * (right - left), y)


def _knots(sizes: Tensor) -> Tensor:
    """The borders of the bins, from -5 to 5."""
    n_bins = sizes.shape[-1]
    sizes = _LEAST_BIN + (1 - _LEAST_BIN * n_bins) * sizes.softmax(-1)
    inner = sizes.cumsum(-1)[..., :-1] * 2 * _TAIL - _TAIL
    return torch.cat([torch.full_like(inner[..., :1], -_TAIL), inner, torch.full_like(inner[..., :1], _TAIL)], -1)
