"""Speech to learn from where there are no recordings: the domain's sentences, spoken by every voice there is.

    texts = domain_sentences(domain, n=1200, seed=1)
    utterances = speak(texts, voices=training_voices(), terms=domain.terms, seed=1)

Clips are kept by their content, so that what was spoken once is there at once, and work that was killed goes on.
"""

import hashlib
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from rejoinder import audio, models
from rejoinder.acoustics import change_speed, set_level
from rejoinder.adapt.carriers import general_sentences
from rejoinder.adapt.sentences import domain_sentences
from rejoinder.adapt.voices import Voice
from rejoinder.adapt.workforce import THIS_PROCESS, Workforce
from rejoinder.domain import Term
from rejoinder.errors import AdaptError, AudioError, ModelError
from rejoinder.events import Samples
from rejoinder.manifest import Utterance
from rejoinder.progress import Progress, silent
from rejoinder.tts.lexicon import Lexicon, compile_lexicon

__all__ = ["domain_sentences", "general_sentences", "speak"]

CLIP_BYTES = 70_000
"""What a clip takes on the disk: 3 s of FLAC."""

LEVEL_DBFS = -23.0
"""How loud clips are: all alike, for the level is varied when they are learned from."""

P_AS_READ = 0.2
"""How often a term that the domain says how to pronounce is said as a reader would guess: callers guess, too."""

P_AS_MISHEARD = 0.1
"""How often a term is said as one of its `sounds_like`: what recognizers write is close to how some people say it."""

P_HESITATION = 0.05
"""How often a sentence begins with an "um", which is not in its text: recognizers leave it out."""

_HESITATIONS = ("Um, ", "Uh, ")
_SPEEDS = (0.8, 1.3)  # of the voice itself
_TAPE_SPEEDS = (0.88, 1.15)  # which raise and lower the pitch as well: other speakers
_PADDING_S = (0.05, 0.4)  # silence before and after, as voice activity detection leaves it


def speak(
    sentences: Sequence[str],
    *,
    voices: Sequence[Voice],
    terms: Sequence[Term] = (),
    folder: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
    workforce: Workforce = THIS_PROCESS,
) -> tuple[Utterance, ...]:
    """Have sentences spoken, each by one of `voices`, at varied pace and pitch, and keep the clips in `folder`.

    `terms` are pronounced mostly as the domain says, at times as a reader would guess or as they are misheard: callers
    do so too. The same arguments give the same clips, whoever of the `workforce` makes them; a sentence with nothing to
    say is left out. `folder` is `models.cache_folder() / "synthetic"` unless given. Raises `AdaptError` where the disk
    has no room, saying how much is needed, and where another machine's clips do not come to this one's folder.
    """
    if not voices:
        raise ModelError("no voices were given to speak with")
    folder = folder or models.cache_folder() / "synthetic"
    pronouncing = _Pronouncing(terms)
    order = _dealt(range(len(voices)), len(sentences), random.Random(f"voices {seed}"))
    clips = [
        _clip(text, voice, voices[voice].fingerprint, pronouncing, np.random.default_rng([seed, n]), folder)
        for n, (text, voice) in enumerate(zip(sentences, order, strict=True))
    ]
    there = {clip.path: _duration_s(clip.path) for clip in clips}
    missing = [clip for clip in clips if there[clip.path] is None]
    _check_room(folder, len(missing))
    note = f"{len(voices)} voices" if len(voices) > 1 else voices[0].name
    spoken: list[Utterance] = []
    with workforce.crew(_Speaking(tuple(voices))) as make:
        made = make(missing)
        for n, clip in enumerate(clips, 1):
            if duration_s := there[clip.path] or next(made):
                if not clip.path.is_file():
                    raise AdaptError(
                        f"{folder}: what other machines speak does not come here; set REJOINDER_CACHE to a folder that "
                        "all machines share"
                    )
                spoken.append(Utterance(clip.path, clip.text, duration_s, speaker=voices[clip.voice].name))
            progress("synthesizing", n, len(clips), note)
    return tuple(spoken)


@dataclass(frozen=True, slots=True)
class _Clip:
    """One sentence as it is to be spoken, and where."""

    text: str
    said: str
    lexicon: Lexicon
    voice: int
    """Which of the voices."""
    speed: float
    tape_speed: float
    seed: int
    path: Path

    def make(self, voice: Voice) -> float:
        """Have it spoken; returns its seconds, 0 where there is nothing to say."""
        rng = np.random.default_rng(self.seed)
        samples, rate = voice.speak(self.said, rng=rng, speed=self.speed, lexicon=self.lexicon)
        if not len(samples):
            return 0.0
        speech = change_speed(audio.resample(samples, rate, audio.SAMPLE_RATE), self.tape_speed)
        before, after = (np.zeros(round(s * audio.SAMPLE_RATE), np.float32) for s in rng.uniform(*_PADDING_S, 2))
        speech = np.concatenate([before, set_level(speech, LEVEL_DBFS), after])
        _save(self.path, speech)
        return len(speech) / audio.SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class _Speaking:
    """The `Work` of making clips."""

    voices: tuple[Voice, ...]
    side_by_side = True

    @contextmanager
    def opened(self) -> Iterator[Callable[[_Clip], float]]:
        """See `Work`."""
        yield lambda clip: clip.make(self.voices[clip.voice])


class _Pronouncing:
    """How callers say a domain's terms, at random."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._known = compile_lexicon(terms).pronunciations
        self._misheard = {_key(term.written): term.sounds_like for term in terms}
        longest_first = sorted(self._misheard, key=len, reverse=True)
        words = "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in longest_first)
        self._pattern = re.compile(rf"(?<![\w'’])(?:{words})(?!\w)", re.IGNORECASE) if words else None

    def draw(self, text: str, rng: Generator) -> tuple[str, Lexicon]:
        """What to say for `text`, and with which pronunciations."""
        pronunciations: dict[str, str] = {}

        def say(match: re.Match[str]) -> str:
            key, chance = _key(match[0]), rng.random()
            if chance < P_AS_MISHEARD and self._misheard[key]:
                return str(rng.choice(self._misheard[key]))
            if key in self._known and chance >= P_AS_READ + P_AS_MISHEARD:
                pronunciations[key] = self._known[key]
            return match[0]

        said = self._pattern.sub(say, text) if self._pattern else text
        if rng.random() < P_HESITATION:
            said = str(rng.choice(_HESITATIONS)) + said
        return said, Lexicon(pronunciations)


def _clip(text: str, voice: int, fingerprint: str, pronouncing: _Pronouncing, rng: Generator, folder: Path) -> _Clip:
    said, lexicon = pronouncing.draw(text, rng)
    speed = round(_around_one(rng, 0.13, _SPEEDS), 2)
    tape_speed = round(_around_one(rng, 0.07, _TAPE_SPEEDS), 2)
    clip_seed = int(rng.integers(1 << 31))
    parts = (fingerprint, said, sorted(lexicon.pronunciations.items()), speed, tape_speed, clip_seed)
    name = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    return _Clip(text, said, lexicon, voice, speed, tape_speed, clip_seed, folder / name[:2] / f"{name}.flac")


def _around_one(rng: Generator, spread: float, bounds: tuple[float, float]) -> float:
    return float(np.clip(np.exp(rng.normal(0.0, spread)), *bounds))


def _dealt(voices: Sequence[int], n: int, rng: random.Random) -> list[int]:
    """A voice for each of `n` sentences, all equally often."""
    order = [voices[i % len(voices)] for i in range(n)]
    rng.shuffle(order)
    return order


def _duration_s(path: Path) -> float | None:
    """Seconds of a clip that is there; None where it is not, or damaged."""
    import soundfile

    if not path.is_file():
        return None
    try:
        return float(soundfile.info(str(path)).duration) or None
    except (soundfile.LibsndfileError, RuntimeError):
        return None


def _save(path: Path, samples: Samples) -> None:
    """Write a clip whole or not at all; raises `AdaptError`."""
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.flac")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.save(scratch, samples)
        scratch.replace(path)
    except (AudioError, OSError) as error:
        raise AdaptError(
            f"{path.parent.parent}: speech cannot be kept there ({error}); "
            "make room or set REJOINDER_CACHE to another folder; what was spoken so far is kept"
        ) from error


def _check_room(folder: Path, n_clips: int) -> None:
    """Raise `AdaptError` when so many clips will not fit."""
    there = next((path for path in (folder, *folder.parents) if path.is_dir()), Path.cwd())
    needed, free = n_clips * CLIP_BYTES, shutil.disk_usage(there).free
    if needed > free:
        raise AdaptError(
            f"{folder}: {n_clips} clips of speech need about {needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free; "
            "make room or set REJOINDER_CACHE to another folder"
        )


def _key(word: str) -> str:
    return re.sub(r"[\s-]+", " ", word.strip()).lower()
