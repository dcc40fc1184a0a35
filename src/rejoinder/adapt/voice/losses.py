"""What a voice is trained on: a recording's spectra and pitch, and, at the full grade, discriminators that tell speech
from its imitation."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from rejoinder.adapt.voice.model import SAMPLE_RATE
from rejoinder.adapt.voice.spectra import log_mel, spectrogram, stft_magnitudes

RESOLUTIONS = (256, 512, 1024, 2048)
"""Windows in samples, from 12 to 93 ms: short ones see the glottis, long ones the harmonics."""

PERIODS = (2, 3, 5, 7, 11)
"""Of HiFi-GAN's multi-period discriminator."""


def mel_distance(spoken: Tensor, recorded: Tensor, highest_hz: float) -> Tensor:
    """Mean absolute difference of log-mel spectra up to `highest_hz`; both (n_batch, n_samples)."""
    return functional.l1_loss(log_mel(spectrogram(spoken), highest_hz), log_mel(spectrogram(recorded), highest_hz))


def spectral_distance(spoken: Tensor, recorded: Tensor, highest_hz: float) -> Tensor:
    """Spectral convergence and log-magnitude distance over several resolutions (Yamamoto et al., 2020).

    Logarithms are compared up to `highest_hz` only: above, the recordings may hold nothing, and what is left there says
    more of the file than of the speaker. The convergence is over all, so that the voice does not hiss there.
    """
    distances = []
    for n_fft in RESOLUTIONS:
        said, heard = stft_magnitudes(spoken, n_fft), stft_magnitudes(recorded, n_fft)
        n_bins = int(highest_hz / SAMPLE_RATE * n_fft) + 1
        convergence = (heard - said).norm() / heard.norm()
        distances.append(convergence + functional.l1_loss(said[:, :n_bins].log(), heard[:, :n_bins].log()))
    return torch.stack(distances).mean()


def pitch_distance(octaves: Tensor, recorded: Tensor, voiced: Tensor) -> Tensor:
    """Mean absolute difference of two pitches in octaves, as much as there is a voice.

    All (n_batch, n_frames); `voiced` from 0 to 1.
    """
    return ((octaves - recorded).abs() * voiced).mean()


class SpectrumDiscriminator(nn.Module):
    """Looks at magnitudes of one resolution (UnivNet: Jang et al., 2021)."""

    def __init__(self, n_fft: int, n_channels: int = 24) -> None:
        super().__init__()
        self._n_fft = n_fft
        sizes = (1, n_channels, n_channels, n_channels, n_channels)
        self.layers = nn.ModuleList(
            weight_norm(
                nn.Conv2d(before, after, (7, 5) if before == 1 else (5, 3), (2, 1), (3, 2) if before == 1 else (2, 1))
            )
            for before, after in pairwise(sizes)
        )
        self.verdict = weight_norm(nn.Conv2d(n_channels, 1, 3, padding=1))

    def forward(self, samples: Tensor) -> list[Tensor]:
        return _features(self, (stft_magnitudes(samples, self._n_fft) + 1e-3).log()[:, None])


class PeriodDiscriminator(nn.Module):
    """Looks at every nth sample (HiFi-GAN: Kong et al., 2020)."""

    def __init__(self, period: int, sizes: Sequence[int] = (1, 16, 32, 64, 64)) -> None:
        super().__init__()
        self._period = period
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 1), (3, 1), (2, 0))) for before, after in pairwise(sizes)
        )
        self.verdict = weight_norm(nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, samples: Tensor) -> list[Tensor]:
        padded = functional.pad(samples, (0, -samples.shape[1] % self._period))
        return _features(self, padded.view(len(samples), 1, -1, self._period))


class Discriminators(nn.Module):
    """All of them; each gives its layers' features, the verdict (1 for speech, 0 for an imitation) last."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleList(
            [*(SpectrumDiscriminator(n) for n in RESOLUTIONS[1:]), *(PeriodDiscriminator(n) for n in PERIODS)]
        )

    def forward(self, samples: Tensor) -> list[list[Tensor]]:
        return [discriminator(samples) for discriminator in self.each]


def adversarial_losses(discriminators: Discriminators, spoken: Tensor, recorded: Tensor) -> tuple[Tensor, Tensor]:
    """The discriminators' loss, and the speaker's: to pass for speech and to have its features (least squares).

    Each reaches its own side's weights only, so that the two can be added up and trained in one step.
    """
    real, imitated = discriminators(recorded), discriminators(spoken.detach())
    judging = sum_of((1 - r[-1]).square().mean() + i[-1].square().mean() for r, i in zip(real, imitated, strict=True))
    frozen = {name: weight.detach() for name, weight in discriminators.named_parameters()}
    passing_for = torch.func.functional_call(discriminators, frozen, (spoken,))
    speaking = sum_of((1 - one[-1]).square().mean() for one in passing_for)
    features = sum_of(
        functional.l1_loss(mine, theirs.detach())
        for one, other in zip(passing_for, real, strict=True)
        for mine, theirs in zip(one[:-1], other[:-1], strict=True)
    )
    return judging, speaking + 2 * features


def sum_of(losses: Iterable[Tensor]) -> Tensor:
    """The sum of scalars."""
    return torch.stack(list(losses)).sum()


def _features(discriminator: "SpectrumDiscriminator | PeriodDiscriminator", x: Tensor) -> list[Tensor]:
    found = []
    for layer in discriminator.layers:
        x = functional.leaky_relu(layer(x), 0.1)
        found.append(x)
    return [*found, discriminator.verdict(x)]
