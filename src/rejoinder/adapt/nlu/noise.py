"""Training on the recognizer's own mistakes: sentences are spoken, recognized, and learned from as they were heard."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rejoinder.adapt.hearing import Sound
from rejoinder.adapt.nlu.alignment import carry
from rejoinder.adapt.nlu.data import Example
from rejoinder.adapt.synthetic import speak
from rejoinder.adapt.voices import Voice
from rejoinder.adapt.workforce import THIS_PROCESS, Crew, Workforce
from rejoinder.domain import Term
from rejoinder.evaluate.sets import Recording
from rejoinder.progress import Progress, silent
from rejoinder.text import normalize

CONDITIONS = ("clean", "phone", "noise15", "noise5", "reverb")
"""What sentences are heard through, in turn; see `conditions.condition`."""


def as_heard(
    examples: Sequence[Example],
    transcribe: Crew[Sound, str],
    *,
    voices: Sequence[Voice],
    terms: Sequence[Term] = (),
    conditions: Sequence[str] = CONDITIONS,
    seed: int = 0,
    kept: Path | None = None,
    progress: Progress = silent,
    workforce: Workforce = THIS_PROCESS,
) -> dict[Example, Example]:
    """Each example as a recognizer hears it, with its intent, and its tags carried over to the words heard.

    Each is spoken by one of `voices` (see `synthetic.speak`, which keeps the clips) and heard through one of
    `conditions`; the `workforce` speaks, `transcribe` hears. What a recognizer made nothing of is left out. `kept` is a
    file in which what was heard is kept while it is worked on, so that work which was killed goes on; it must be
    another one for other arguments.
    """
    by_text = {example.text: example for example in examples}
    clips = speak(list(by_text), voices=voices, terms=terms, seed=seed, progress=progress, workforce=workforce)
    known = _read(kept) if kept is not None else {}
    sounds = {
        clip.text: Sound(Recording(clip.audio, duration_s=clip.duration_s), conditions[n % len(conditions)], (seed, n))
        for n, clip in enumerate(clips)
        if clip.text not in known
    }
    for n_done, (said, heard) in enumerate(zip(sounds, transcribe(list(sounds.values())), strict=True), 1):
        known[said] = tuple(normalize(heard).split())
        if kept is not None:
            _append(kept, said, known[said])
        progress("hearing", n_done, len(sounds))
    found: dict[Example, Example] = {}
    for clip in clips:
        if words := known[clip.text]:
            example = by_text[clip.text]
            found[example] = replace(example, words=words, tags=carry(example.words, example.tags, words))
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
