"""The voices that make speech to learn from and to test with: every synthesizer that is installed.

A voice that is held out is never heard in training: a recognizer can be tested on somebody whom it does not know.
"""

import hashlib
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator

from rejoinder import models
from rejoinder.errors import ModelError
from rejoinder.events import Samples
from rejoinder.model_table import MODELS
from rejoinder.tts.cache import SOUND_VERSION, file_id
from rejoinder.tts.lexicon import Lexicon
from rejoinder.tts.verbalize import verbalize

HELD_OUT = ("joe", "flite-slt")
"""Voices kept out of training: a man and a woman, of two techniques. "joe" is the most natural of those that no other
voice was made from; "slt" sounds least like the rest of flite."""

FLITE_VOICES = ("slt", "rms", "awb", "kal16")
"""Voices of CMU Flite (free for any use): two Americans and a Scot, statistical, and an older one made of diphones."""

FLITE_RATE = 16_000

_FLITE_TIMEOUT_S = 60.0


class Voice(Protocol):
    """Somebody who can be made to say anything. Safe to use from several threads at once, and can be pickled."""

    @property
    def name(self) -> str:
        """The voice's name, which is the `speaker` of what it says."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes how a text sounds."""
        ...

    def speak(
        self, text: str, *, rng: Generator, speed: float = 1.0, lexicon: Lexicon | None = None
    ) -> tuple[Samples, int]:
        """What it sounds like when `text` is said: float32 of shape (n_samples,), and samples a second.

        `speed` 1.0 is the voice's own pace; `rng` draws what is random in it; `lexicon` says how words are pronounced.
        Nothing to say gives no samples. Raises `ModelError` when the voice cannot be opened.
        """
        ...


def training_voices(*, all_installed: bool = False) -> tuple[Voice, ...]:
    """The installed voices but for those held out; `all_installed` leaves none out, where recordings test the result.

    Raises `ModelError` when there is none.
    """
    voices = tuple(voice for voice in _installed() if all_installed or voice.name not in HELD_OUT)
    if not voices:
        missing = "; ".join(f"{name}: {how}" for name, how in missing_voices().items())
        raise ModelError(f"no voice is installed that could speak for training ({missing})")
    return voices


def held_out_voices() -> tuple[Voice, ...]:
    """The installed voices that are never heard in training; there may be none."""
    return tuple(voice for voice in _installed() if voice.name in HELD_OUT)


def missing_voices() -> Mapping[str, str]:
    """The voices that could be here too, with what to type to get them."""
    installed = {voice.name for voice in _installed()}
    how = {
        "hibari": "pip install hibari-tts",
        "joe": MODELS["joe"].install_command,
        **{f"flite-{name}": "apt install flite (or your system's package of CMU Flite)" for name in FLITE_VOICES},
    }
    return {name: command for name, command in how.items() if name not in installed}


class NeuralVoice:
    """A voice of Rejoinder's own synthesizers, opened when it first speaks."""

    def __init__(self, name: str, file: Path, load: Callable[[], Any]) -> None:
        """`file` is the voice's network; `load` opens the synthesizer."""
        self.name = name
        self.fingerprint = f"{SOUND_VERSION}:{file_id(file)}"
        self._load = load
        self._opening = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _same_voice, (self.name, self.fingerprint)

    @cached_property
    def _synthesizer(self) -> Any:
        return self._load()

    def speak(
        self, text: str, *, rng: Generator, speed: float = 1.0, lexicon: Lexicon | None = None
    ) -> tuple[Samples, int]:
        with self._opening:
            synthesizer = self._synthesizer
        # A network makes a sound even of a text of nothing but marks.
        clauses = synthesizer.synthesize(text, speed=speed, rng=rng, lexicon=lexicon) if _has_words(text) else ()
        return np.concatenate([np.zeros(0, np.float32), *clauses]), synthesizer.sample_rate


class FliteVoice:
    """A voice of CMU Flite, by its command: 20 to 60 times as fast as speech, and nothing of it random."""

    def __init__(self, voice: str, command: str) -> None:
        self.name = f"flite-{voice}"
        self.fingerprint = f"{SOUND_VERSION}:{self.name}:{_flite_version(command)}"
        self._voice = voice
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return _same_voice, (self.name, self.fingerprint)

    def speak(
        self,
        text: str,
        *,
        rng: Generator,  # noqa: ARG002
        speed: float = 1.0,
        lexicon: Lexicon | None = None,
    ) -> tuple[Samples, int]:
        import soundfile

        if not _has_words(text):
            return np.zeros(0, np.float32), FLITE_RATE
        marked = "".join(
            f'<phoneme ph="{to_flite(piece.phonemes)}">{_plain(piece.text)}</phoneme>'
            if piece.phonemes
            else _plain(verbalize(piece.text))
            for piece in (lexicon or Lexicon()).pieces(text)
        )
        with tempfile.TemporaryDirectory(prefix="rejoinder-") as scratch:
            out = Path(scratch) / "speech.wav"
            call = [self._command, "-voice", self._voice, "--setf", f"duration_stretch={1 / speed:.3f}"]
            self._run([*call, "-ssml", "-t", f"<speak>{marked}</speak>", "-o", str(out)])
            samples, rate = soundfile.read(out, dtype="float32")
        return np.asarray(samples, np.float32), int(rate)

    def _run(self, call: list[str]) -> None:
        try:
            subprocess.run(call, check=True, capture_output=True, timeout=_FLITE_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise ModelError(f"voice '{self.name}': {self._command} failed ({error})") from error


def to_flite(phonemes: str) -> str:
    """The phonemes of the lexicon in those of Flite: ARPAbet in lower case, "1" after a stressed vowel."""
    symbols: list[str] = []
    stress = ""
    for phoneme in _R_COLOURED.sub("ɝ", phonemes):
        if phoneme in "ˈˌ":
            stress = "1"
        elif phoneme in _FLITE_VOWELS:
            symbols.append(_FLITE_VOWELS[phoneme] + stress)
            stress = ""
        elif phoneme in _FLITE_CONSONANTS:
            symbols.append(_FLITE_CONSONANTS[phoneme])
    return " ".join(symbols)


_FLITE_VOWELS = {
    **{"A": "ey", "I": "ay", "O": "ow", "W": "aw", "Y": "oy", "æ": "ae", "ɑ": "aa", "ə": "ax", "ᵊ": "ax"},
    **{"ᵻ": "ih", "ɪ": "ih", "i": "iy", "ɛ": "eh", "ʊ": "uh", "u": "uw", "ʌ": "ah", "ɔ": "ao", "ɜ": "er", "ɝ": "er"},
}
_R_COLOURED = re.compile(rf"ɜɹ|əɹ(?![ˈˌ]?[{''.join(_FLITE_VOWELS)}])")
_FLITE_CONSONANTS = {
    **{letter: letter for letter in "bdfklmnpstvwz"},
    **{"h": "hh", "j": "y", "ð": "dh", "ŋ": "ng", "ɡ": "g", "ɹ": "r", "T": "t"},
    **{"ʃ": "sh", "ʒ": "zh", "ʤ": "jh", "ʧ": "ch", "θ": "th"},
}


def _installed() -> tuple[Voice, ...]:
    found: list[Voice] = []
    for name, file, load in (("hibari", "hibari.onnx", _load_hibari), ("joe", "*.onnx", _load_vits)):
        try:
            folder = models.resolve(name)
        except ModelError:
            continue
        found.append(NeuralVoice(name, next(iter(folder.glob(file))), load))
    command = shutil.which("flite")
    if command:
        found += [FliteVoice(voice, command) for voice in FLITE_VOICES if voice in _flite_voices(command)]
    return tuple(found)


def _same_voice(name: str, fingerprint: str) -> Voice:
    """A voice that another process has, as it is installed here; raises `ModelError` where that is another one."""
    found = next((voice for voice in _installed() if voice.name == name), None)
    if found is None or found.fingerprint != fingerprint:
        there = "is not there" if found is None else "is another version"
        raise ModelError(
            f"voice '{name}': {there} on {socket.gethostname()}; install the same packages on all machines"
        )
    return found


def _load_hibari() -> Any:
    from rejoinder.tts.hibari import HibariSynthesizer

    return HibariSynthesizer.load()


def _load_vits() -> Any:
    from rejoinder.tts.vits import VitsSynthesizer

    return VitsSynthesizer.load()


@cache
def _flite_voices(command: str) -> frozenset[str]:
    return frozenset(_asked(command, "-lv").partition(":")[2].split())


@cache
def _flite_version(command: str) -> str:
    return hashlib.sha256(_asked(command, "--version").encode()).hexdigest()[:12]


def _asked(command: str, question: str) -> str:
    """What flite says about itself; nothing where it does not run."""
    try:
        answer = subprocess.run([command, question], capture_output=True, text=True, timeout=_FLITE_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout


def _has_words(text: str) -> bool:
    return re.search(r"\w", text) is not None


def _plain(text: str) -> str:
    """Text without what SSML takes for marks."""
    return re.sub(r"[<>&\"]", " ", text)
