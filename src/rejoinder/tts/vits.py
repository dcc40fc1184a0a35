"""VITS voices in Piper's format (one `.onnx`, its `.onnx.json` beside it), the packaged "joe" or one that was adapted.

VITS is by Kim et al., 2021 (https://arxiv.org/abs/2106.06103). Text becomes phonemes by hibari's rules, so that nothing
of this needs code under the GPL.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from rejoinder.errors import ModelError, RejoinderError
from rejoinder.events import Samples
from rejoinder.text import clauses
from rejoinder.tts.cache import file_id, fingerprint
from rejoinder.tts.ipa import Alphabet
from rejoinder.tts.lexicon import Lexicon
from rejoinder.tts.phonemizer import Phonemizer
from rejoinder.tts.shaping import pause_after, shape

GAIN = 1.6
"""Brings the packaged voice to the level of the default one; adapted voices are trained at the level of their donor."""

MOST_PHONEMES = 300
"""Phonemes that are spoken at once: the text encoder's time and memory grow with their square."""

N_NOISE_PER_ID = 768
"""Random numbers drawn for each phoneme id: 4 frames of 192, as most sounds take; longer draws repeat them."""

_NOTHING = np.zeros(0, np.float32)
_SEED = 0  # of the noise in the voice: the same text always gives the same samples


class VitsSynthesizer:
    """Speaks with a VITS voice. Synchronous, and safe to call from several threads at once."""

    def __init__(
        self,
        session: Any,
        phonemizer: Phonemizer,
        alphabet: Alphabet,
        *,
        sample_rate: int,
        scales: tuple[float, float, float],
        fingerprint: str,
        n_speakers: int = 1,
    ) -> None:
        """`scales` are the noise of the voice, its length, and the noise of its rhythm, as the network takes them."""
        self.sample_rate = sample_rate
        """Samples a second of what `synthesize` yields."""
        self.n_speakers = n_speakers
        """How many speakers the voice has."""
        self.fingerprint = fingerprint
        """Changes with everything that changes how a text sounds."""
        self._session = session
        self._phonemizer = phonemizer
        self._alphabet = alphabet
        self._scales = scales

    @classmethod
    def load(
        cls,
        folder: Path | None = None,
        *,
        lexicon: Lexicon | None = None,
        n_threads: int = 1,
        speed: float = 1.0,
        device: str = "cpu",
        noise: float | None = None,
        noise_w: float | None = None,
    ) -> "VitsSynthesizer":
        """Open the one voice in `folder` (None: the packaged "joe").

        `speed` 1.0 is the voice's own pace, 2.0 twice as fast. `noise` varies the sound and `noise_w` the rhythm; None
        takes what the voice's file says. Raises `ModelError` when the voice is missing, damaged or not English, or the
        device is not there.
        """
        import onnxruntime

        from rejoinder.models import providers, resolve, session_options

        path, on, lexicon = voice_file(folder or resolve("joe")), providers(device), lexicon or Lexicon()
        options = session_options(n_threads)
        # Optimising this graph takes 1.5 s and makes it no faster.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            config = read_config(path)
            with ThreadPoolExecutor(1) as pool:
                opening = pool.submit(Phonemizer.load, resolve("hibari"), lexicon=lexicon)
                session = onnxruntime.InferenceSession(_with_noise_inputs(path), options, providers=on)
                phonemizer = opening.result()
            inference = config.get("inference", {})
            noise = float(inference.get("noise_scale", 0.667)) if noise is None else noise
            noise_w = float(inference.get("noise_w", 0.8)) if noise_w is None else noise_w
            scales = (noise, float(inference.get("length_scale", 1.0)) / speed, noise_w)
            return cls(
                session,
                phonemizer,
                Alphabet.read(config, path),
                sample_rate=int(config["audio"]["sample_rate"]),
                scales=scales,
                fingerprint=fingerprint(f"{file_id(path)}:{noise:g}:{noise_w:g}", lexicon, speed),
                n_speakers=int(config.get("num_speakers", 1)),
            )
        except RejoinderError:
            raise
        except Exception as error:  # onnxruntime raises its own types, which are not importable by name
            raise ModelError(f"{path}: the voice cannot be opened ({error}); type: rejoinder doctor") from error

    def synthesize(
        self,
        text: str,
        *,
        speed: float = 1.0,
        speaker: int = 0,
        rng: np.random.Generator | None = None,
        lexicon: Lexicon | None = None,
    ) -> Iterator[Samples]:
        """Yield the audio of `text` clause by clause, each float32 of shape (n_samples,) at `sample_rate`.

        The same text sounds the same each time unless `rng` draws the noise: then each time is another rendering.
        `speed` multiplies the one that was loaded with; `lexicon` takes the place of the one that was.
        """
        for clause in clauses(text):
            parts = [
                self._alphabet.encode(part)
                for part in wrap(self._phonemizer.phonemize(clause, lexicon=lexicon), MOST_PHONEMES)
            ]
            spoken = [
                self.speak(ids, speed=speed, speaker=speaker, rng=rng or np.random.default_rng(_SEED))
                for ids in parts
                if ids
            ]
            samples = np.concatenate(spoken or [_NOTHING])
            if len(audio := shape(samples, self.sample_rate, gain=GAIN, pause_s=pause_after(clause))):
                yield audio

    def phonemize(self, text: str, *, lexicon: Lexicon | None = None) -> str:
        """The phonemes that `text` is spoken with, in misaki's alphabet as everywhere in Rejoinder."""
        return self._phonemizer.phonemize(text, lexicon=lexicon)

    def speak(self, ids: tuple[int, ...], *, speed: float = 1.0, speaker: int = 0, rng: np.random.Generator) -> Samples:
        """The sound of phoneme ids as the network gives it, untrimmed: float32 of shape (n_samples,)."""
        noise, length, noise_w = self._scales
        feeds: dict[str, Any] = {
            "input": np.asarray([ids], np.int64),  # (1, n_ids)
            "input_lengths": np.asarray([len(ids)], np.int64),
            "scales": np.asarray([noise, length / speed, noise_w], np.float32),
            "sid": np.asarray([speaker], np.int64),
        }
        names = [wanted.name for wanted in self._session.get_inputs()]
        for name in names:
            if name not in feeds:
                feeds[name] = rng.standard_normal(N_NOISE_PER_ID * len(ids), np.float32)
        output = self._session.run(None, {name: feeds[name] for name in names})[0]
        return np.asarray(output, np.float32).reshape(-1)


def voice_file(folder: Path) -> Path:
    """The one voice in a folder; raises `ModelError` where there is none or several."""
    found = sorted(folder.glob("*.onnx"))
    if len(found) != 1 or not Path(f"{found[0]}.json").is_file():
        what = f"{len(found)} .onnx files" if len(found) != 1 else f"no {found[0].name}.json"
        raise ModelError(f"{folder}: holds {what} where one Piper voice (NAME.onnx and NAME.onnx.json) is expected")
    return found[0]


def read_config(path: Path) -> dict[str, Any]:
    """What the `.onnx.json` beside a voice says; raises `ModelError` when it is no JSON object."""
    beside = Path(f"{path}.json")
    try:
        config = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{beside}: cannot be read ({error}); type: rejoinder doctor") from error
    if not isinstance(config, dict):
        raise ModelError(f"{beside}: is no JSON object; type: rejoinder doctor")
    return config


def _with_noise_inputs(path: Path) -> bytes:
    """The graph with its random draws replaced by inputs of shape (n,), so that the caller decides what is random.

    A draw of any shape reads its input from the start, and over again when it is longer than the input.
    """
    import onnx

    model = onnx.load(str(path))
    nodes = []
    for node in model.graph.node:
        if node.op_type == "RandomNormalLike":
            source = f"noise_{len(model.graph.input)}"
            model.graph.input.append(
                onnx.helper.make_tensor_value_info(source, onnx.TensorProto.FLOAT, [f"n_{source}"])
            )
            nodes += _read_noise(source, like=node.input[0], output=node.output[0])
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


def _read_noise(source: str, *, like: str, output: str) -> list[Any]:
    from onnx import TensorProto, helper

    def node(kind: str, inputs: list[str], result: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, [result], name=f"{source}/{result}", **attributes)

    def constant(result: str, value: int, shape: list[int]) -> Any:
        tensor = helper.make_tensor(f"{source}/{result}/value", TensorProto.INT64, shape, [value])
        return node("Constant", [], f"{source}/{result}", value=tensor)

    def name(result: str) -> str:
        return f"{source}/{result}"

    return [
        constant("zero", 0, []),
        constant("one", 1, []),
        node("Shape", [like], name("shape")),
        node("ReduceProd", [name("shape")], name("n_wanted"), keepdims=0),
        node("Size", [source], name("n_given")),
        node("Range", [name("zero"), name("n_wanted"), name("one")], name("range")),
        node("Mod", [name("range"), name("n_given")], name("index")),
        node("Gather", [source, name("index")], name("flat"), axis=0),
        node("Reshape", [name("flat"), name("shape")], output),
    ]
