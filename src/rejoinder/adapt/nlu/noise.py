"""Training on the recognizer's own mistakes: sentences are spoken, recognized, and learned from as they were heard."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from rejoinder.adapt.nlu.alignment import carry
from rejoinder.adapt.nlu.data import Example
from rejoinder.adapt.synthetic import speak
from rejoinder.adapt.voices import Voice
from rejoinder.conditions import condition
from rejoinder.domain import Term
from rejoinder.events import Samples
from rejoinder.progress import Progress, silent
from rejoinder.text import normalize

CONDITIONS = ("clean", "phone", "noise15", "noise5", "reverb")
"""What sentences are heard through, in turn; see `conditions.condition`."""


def as_heard(
    examples: Sequence[Example],
    transcribe: Callable[[Samples], str],
    *,
    voices: Sequence[Voice],
    terms: Sequence[Term] = (),
    conditions: Sequence[str] = CONDITIONS,
    seed: int = 0,
    kept: Path | None = None,
    progress: Progress = silent,
) -> dict[Example, Example]:
    """Each example as a recognizer hears it, with its intent, and its tags carried over to the words heard.

    Each is spoken by one of `voices` (see `synthetic.speak`, which keeps the clips) and heard through one of
    `conditions`. What a recognizer made nothing of is left out. `kept` is a file in which what was heard is kept while
    it is worked on, so that work which was killed goes on; it must be another one for other arguments.
    """
    by_text = {example.text: example for example in examples}
    clips = speak(list(by_text), voices=voices, terms=terms, seed=seed, progress=progress)
    changes = [condition(name) for name in conditions]
    known = _read(kept) if kept is not None else {}
    found: dict[Example, Example] = {}
    for n, clip in enumerate(clips):
        words = known.get(clip.text)
        if words is None:
            rng = np.random.default_rng([seed, n])
            words = tuple(normalize(transcribe(changes[n % len(changes)](clip.samples(), rng))).split())
            if kept is not None:
                _append(kept, clip.text, words)
        if words:
            said = by_text[clip.text]
            found[said] = replace(said, words=words, tags=carry(said.words, said.tags, words))
        progress("hearing", n + 1, len(clips))
    return found


def _read(kept: Path) -> dict[str, tuple[str, ...]]:
    """What was said, with what was heard; a line that was cut off is heard again."""
    known: dict[str, tuple[str, ...]] = {}
    if kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, KeyError):
                entry = json.loads(line)
                known[entry["said"]] = tuple(entry["heard"].split())
    return known


def _append(kept: Path, said: str, heard: Sequence[str]) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"said": said, "heard": " ".join(heard)}) + "\n")
