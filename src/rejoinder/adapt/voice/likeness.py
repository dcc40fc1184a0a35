"""Whether two recordings are of the same speaker: GE2E embeddings (Wan et al., 2018) with resemblyzer's weights.

The package itself is not imported, only its file of weights (Apache-2.0) is read: its import brings audio libraries
that do not go together with current ones. The network and the cutting into windows are as published there.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rejoinder.audio import SAMPLE_RATE, resample
from rejoinder.errors import ModelError, require_extra
from rejoinder.events import Samples
from rejoinder.models import package_folder

if TYPE_CHECKING:
    from torch import nn

STRETCH_S = 6.0
"""Of speech that is embedded at once. Shorter clips fill the network's windows of 1.6 s with silence: a speaker's own
prompts of one to three seconds have a likeness of 0.87 each, and of 0.96 in stretches."""

_LEVEL = 10 ** (-30 / 20)  # RMS that the network was trained at
_N_FFT = SAMPLE_RATE // 40  # 25 ms
_N_HOP = SAMPLE_RATE // 100
_N_MELS = 40
_N_WINDOW = 160  # frames that are embedded at once: 1.6 s
_N_STEP = round(SAMPLE_RATE / 1.3 / _N_HOP)  # frames from one window to the next
_LEAST_COVERAGE = 0.75  # of the last window


class SpeakerEncoder:
    """Embeds voices."""

    def __init__(self, layers: "tuple[nn.LSTM, nn.Linear]") -> None:
        self._lstm, self._linear = layers

    @classmethod
    def load(cls) -> "SpeakerEncoder":
        """Open the packaged weights; raises `MissingExtraError` without the `train` extra."""
        require_extra("train", "resemblyzer")
        import torch
        from torch import nn

        path = package_folder("resemblyzer") / "pretrained.pt"
        lstm, linear = nn.LSTM(_N_MELS, 256, 3, batch_first=True), nn.Linear(256, 256)
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]  # tensors only, no pickle
            for name, layer in (("lstm", lstm), ("linear", linear)):
                own = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(name)}
                layer.load_state_dict(own)
        except Exception as error:  # torch raises several types for a damaged file
            raise ModelError(
                f"{path}: cannot be opened ({error}); type: pip install --force-reinstall resemblyzer"
            ) from error
        return cls((lstm.eval(), linear.eval()))

    def embed(self, samples: Samples, sample_rate: int) -> NDArray[np.float32]:
        """The unit vector (256,) of one utterance."""
        import torch

        samples = resample(samples, sample_rate, SAMPLE_RATE)
        samples = samples * np.float32(_LEVEL / (np.sqrt(np.mean(np.square(samples))) + 1e-9))
        starts = _window_starts(len(samples))
        samples = np.pad(samples, (0, max(0, (starts[-1] + _N_WINDOW) * _N_HOP - len(samples))))
        mels = _mel_spectrogram(samples)
        windows = np.stack([mels[start : start + _N_WINDOW] for start in starts])
        with torch.no_grad():
            _, (hidden, _) = self._lstm(torch.from_numpy(windows))
            raw = torch.relu(self._linear(hidden[-1])).numpy()
        return centroid(raw / np.linalg.norm(raw, axis=1, keepdims=True))


def centroid(embeddings: "Sequence[NDArray[np.float32]] | NDArray[np.float32]") -> NDArray[np.float32]:
    """The unit vector between several."""
    mean = np.mean(np.asarray(embeddings), axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def likeness(embeddings: Sequence[NDArray[np.float32]], speaker: NDArray[np.float32]) -> float:
    """The mean cosine between utterances and a speaker's centroid; about 0.9 for the speaker's own."""
    return float(np.mean([embedding @ speaker for embedding in embeddings]))


def stretches(utterances: Sequence[Samples], sample_rate: int) -> list[Samples]:
    """Utterances joined, in their order, to stretches of `STRETCH_S` at least; what is left over joins the last one."""
    joined: list[Samples] = []
    waiting: list[Samples] = []
    for samples in utterances:
        waiting.append(samples)
        if sum(map(len, waiting)) >= STRETCH_S * sample_rate:
            joined.append(np.concatenate(waiting))
            waiting = []
    if waiting:
        joined[-1:] = [np.concatenate([*joined[-1:], *waiting])]
    return joined


def _window_starts(n_samples: int) -> list[int]:
    """The first frame of each window."""
    n_frames = math.ceil((n_samples + 1) / _N_HOP)
    starts = list(range(0, max(1, n_frames - _N_WINDOW + _N_STEP + 1), _N_STEP))
    coverage = (n_samples - starts[-1] * _N_HOP) / (_N_WINDOW * _N_HOP)
    return starts[:-1] if coverage < _LEAST_COVERAGE and len(starts) > 1 else starts


def _mel_spectrogram(samples: Samples) -> NDArray[np.float32]:
    """Mel powers (n_frames, _N_MELS), not logarithmic; the frames are centred on their times."""
    padded = np.pad(samples, _N_FFT // 2)
    window = np.hanning(_N_FFT + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_N_HOP] * window
    return (np.square(np.abs(np.fft.rfft(frames, axis=1))) @ _mel_filters().T).astype(np.float32)


def _mel_filters() -> NDArray[np.float64]:
    """Triangles of equal area on Slaney's mel scale (linear to 1 kHz, logarithmic above), (_N_MELS, n_bins)."""
    per_mel, corner_hz, step = 200 / 3, 1_000.0, math.log(6.4) / 27
    corner = corner_hz / per_mel
    mels = np.linspace(0, corner + math.log(SAMPLE_RATE / 2 / corner_hz) / step, _N_MELS + 2)
    edges = np.where(mels < corner, mels * per_mel, corner_hz * np.exp(step * (mels - corner)))
    hz = np.linspace(0, SAMPLE_RATE / 2, _N_FFT // 2 + 1)
    rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None])
