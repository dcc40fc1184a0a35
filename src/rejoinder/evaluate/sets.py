"""What assistants are measured on: the domain's own recordings, none of them ever trained on.

The domain's test set is every line of `<domain>/recordings.jsonl` and `<domain>/tests/*.jsonl`:

    {"audio_filepath": "tests/1.flac", "text": "a large latte please"}
    {"audio_filepath": "tests/2.flac", "intent": "orderDrink", "slots": {"size": "large", "coffeeDrink": "latte"}}

with the words, or what they mean, or both.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from rejoinder import audio
from rejoinder.domain import Domain
from rejoinder.errors import ManifestError, one_of
from rejoinder.events import Samples
from rejoinder.manifest import Utterance
from rejoinder.models import sha256_of

TESTS = ("recordings.jsonl", "tests/*.jsonl")
"""Where a domain's test recordings are listed, in its folder."""


@dataclass(frozen=True)
class Recording:
    """A test recording: its words, what they mean, or both."""

    path: Path
    text: str | None = None
    intent: str | None = None
    slots: Mapping[str, str] | None = None
    offset_s: float = 0.0
    duration_s: float | None = None

    @cached_property
    def samples(self) -> Samples:
        """Float32 mono of shape (n_samples,) at `audio.SAMPLE_RATE`."""
        return audio.load(self.path, offset_s=self.offset_s, duration_s=self.duration_s)

    @property
    def has_meaning(self) -> bool:
        """Whether it is known what the caller wants."""
        return self.intent is not None


@dataclass(frozen=True)
class TestSet:
    """Recordings under one name."""

    __test__ = False  # for pytest: it is no class of tests

    name: str
    recordings: tuple[Recording, ...]

    def describe(self) -> dict[str, object]:
        """The set as a card records it: another one has another sha256."""
        digest = hashlib.sha256()
        for recording in self.recordings:
            digest.update(sha256_of(recording.path).encode())
            about = (recording.text, recording.intent, dict(recording.slots or {}), recording.offset_s)
            digest.update(json.dumps(about, sort_keys=True).encode())
        return {"name": self.name, "n": len(self.recordings), "sha256": digest.hexdigest()}


def domain_tests(domain: Domain) -> TestSet | None:
    """The recordings that the domain is measured on; None where its owner has none.

    Raises `ManifestError` that names each wrong line: a file that is missing, an intent or a slot that is not the
    domain's, neither words nor meaning.
    """
    recordings: list[Recording] = []
    problems: list[str] = []
    for path in sorted({path for pattern in TESTS for path in domain.folder.glob(pattern)}):
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                try:
                    recordings.append(_recording(line, path.parent, domain))
                except (ManifestError, ValueError) as error:
                    problems.append(f"{path}:{n}: {error}")
    if problems:
        raise ManifestError("\n".join(problems))
    return TestSet("the domain's recordings", tuple(recordings)) if recordings else None


def _recording(line: str, folder: Path, domain: Domain) -> Recording:
    """One line; raises `ManifestError`, or `ValueError` where it is not JSON."""
    entry = json.loads(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("audio_filepath"), str):
        raise ManifestError('must be a JSON object with "audio_filepath"')
    path = folder / entry["audio_filepath"]
    if not path.is_file():
        raise ManifestError(f"{path}: no such file")
    text, intent, slots = entry.get("text"), entry.get("intent"), entry.get("slots", {})
    if text is None and intent is None:
        raise ManifestError('needs the words ("text"), or what they mean ("intent" and "slots")')
    if text is not None and not isinstance(text, str):
        raise ManifestError('"text" must be what is said')
    if intent is not None:
        _check_known("intent", intent, domain.intents)
    if not isinstance(slots, dict):
        raise ManifestError('"slots" must be an object of names and values')
    for slot in slots:
        _check_known("slot", slot, domain.slots)
    return Recording(
        path,
        text=text,
        intent=intent,
        slots={name: str(value) for name, value in slots.items()} if intent is not None else None,
        offset_s=float(entry.get("offset") or 0.0),
        duration_s=float(entry["duration"]) if entry.get("offset") is not None and "duration" in entry else None,
    )


def _check_known(what: str, name: object, known: Mapping[str, Any]) -> None:
    if name not in known:
        near = get_close_matches(str(name), known, n=1)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise ManifestError(f"{what} '{name}' is not the domain's{meant} ({one_of(tuple(known))})")


def spoken(name: str, utterances: Iterable[Utterance]) -> TestSet:
    """A test set of utterances whose words are known."""
    return TestSet(
        name,
        tuple(
            Recording(one.audio, text=one.text, offset_s=one.offset_s, duration_s=one.duration_s) for one in utterances
        ),
    )


def utterances_of(recordings: Sequence[Recording]) -> tuple[Utterance, ...]:
    """The recordings as utterances, for `manifest.refuse_overlap`."""
    return tuple(
        Utterance(
            one.path, one.text or "", one.duration_s or len(one.samples) / audio.SAMPLE_RATE, offset_s=one.offset_s
        )
        for one in recordings
    )
