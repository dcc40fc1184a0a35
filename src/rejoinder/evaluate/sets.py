"""What assistants are measured on: the domain's own recordings, none of them ever trained on.

The domain's test set is every line of `<domain>/recordings.jsonl` and `<domain>/tests/*.jsonl`:

    {"audio_filepath": "tests/1.flac", "text": "a large latte please"}
    {"audio_filepath": "tests/2.flac", "intent": "orderDrink", "slots": {"size": "large", "coffeeDrink": "latte"}}
    {"audio_filepath": "tests/3.flac", "intent": null}

with the words, or what they mean, or both. `"intent": null` says that no intent of the domain covers it. Paths are
relative to the file that names them; "offset" and "duration" take a part of a recording, in seconds.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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

EXAMPLES = (
    '{"audio_filepath": "recordings/1.wav", "text": "what is said"}',
    '{"audio_filepath": "recordings/2.wav", "intent": "hours", "slots": {}}',
)
"""Lines of a set, to show."""


@dataclass(frozen=True)
class Recording:
    """A test recording: its words, what they mean, or both."""

    path: Path
    text: str | None = None
    intent: str | None = None
    """None where that is not known, or, with `slots`, where no intent of the domain covers it."""
    slots: Mapping[str, str] | None = None
    """None where it is not known what is meant."""
    offset_s: float = 0.0
    duration_s: float | None = None
    name: str = field(default="", compare=False)
    """As the set names the file; the path's last part unless given."""

    @cached_property
    def samples(self) -> Samples:
        """Float32 mono of shape (n_samples,) at `audio.SAMPLE_RATE`, kept in memory; raises `AudioError`."""
        return self.load()

    def load(self) -> Samples:
        """The same, read anew and not kept: for those who need each recording once."""
        return audio.load(self.path, offset_s=self.offset_s, duration_s=self.duration_s)

    @property
    def has_meaning(self) -> bool:
        """Whether it is known what the caller wants, or that it is nothing that the domain covers."""
        return self.intent is not None or self.slots is not None

    @property
    def is_out_of_scope(self) -> bool:
        """Whether it is known that no intent of the domain covers it."""
        return self.intent is None and self.slots is not None


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
            intent = "" if recording.is_out_of_scope else recording.intent
            about = [recording.text, intent, dict(recording.slots or {}), recording.offset_s]
            if recording.offset_s and recording.duration_s is not None:  # a part of a file
                about.append(recording.duration_s)
            digest.update(json.dumps(about, sort_keys=True).encode())
        return {"name": self.name, "n": len(self.recordings), "sha256": digest.hexdigest()}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each recording is called in results: as in the set, with its offset and a number where need be."""
        plain = [
            f"{one.name or one.path.name}{f'@{one.offset_s:g}' if one.offset_s else ''}" for one in self.recordings
        ]
        counted: Counter[str] = Counter()
        names = []
        for name in plain:
            counted[name] += 1
            names.append(name if counted[name] == 1 else f"{name}#{counted[name]}")
        return tuple(names)


def domain_tests(domain: Domain) -> TestSet | None:
    """The recordings that the domain is measured on; None where its owner has none.

    Raises `ManifestError` that names each wrong line: a file that is missing, an intent or a slot that is not the
    domain's, neither words nor meaning.
    """
    listed = sorted({path for pattern in TESTS for path in domain.folder.glob(pattern)})
    recordings = _read(listed, domain)
    return TestSet("the domain's recordings", recordings) if recordings else None


def read_tests(path: str | Path, domain: Domain) -> TestSet:
    """The set that one file lists, a JSON object a line as `domain_tests` takes them.

    Raises `ManifestError` that names each wrong line, and where the file is missing or lists nothing.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; write one line for each recording, such as\n{_shown(EXAMPLES)}")
    recordings = _read([path], domain)
    if not recordings:
        raise ManifestError(f"{path}: lists no recordings; write one line for each, such as\n{_shown(EXAMPLES)}")
    return TestSet(path.name, recordings)


def no_recordings(domain: Domain) -> str:
    """What to tell the owner of a domain without any: what is missing, and what to write where."""
    path = domain.folder / TESTS[0]
    return f"{domain.folder}: has no recordings of callers; write {path}, a line for each:\n{_shown(EXAMPLES)}"


def _shown(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _read(paths: Sequence[Path], domain: Domain) -> tuple[Recording, ...]:
    """The recordings of all lines; raises `ManifestError` that names each wrong one."""
    recordings: list[Recording] = []
    problems: list[str] = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except ValueError as error:
            raise ManifestError(f"{path}: not text in UTF-8 ({error})") from error
        for n, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    recordings.append(_recording(line, path.parent, domain))
                except (ManifestError, ValueError, TypeError) as error:
                    problems.append(f"{path}:{n}: {error}")
    if problems:
        raise ManifestError("\n".join(problems))
    return tuple(recordings)


def _recording(line: str, folder: Path, domain: Domain) -> Recording:
    """One line; raises `ManifestError`, or `ValueError` where it is not JSON."""
    entry = json.loads(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("audio_filepath"), str):
        raise ManifestError('must be a JSON object with "audio_filepath"')
    path = folder / entry["audio_filepath"]
    if not path.is_file():
        raise ManifestError(f"{path}: no such file")
    text, intent, slots = entry.get("text"), entry.get("intent"), entry.get("slots", {})
    has_meaning = "intent" in entry
    if text is None and not has_meaning:
        raise ManifestError('needs the words ("text"), or what they mean ("intent" and "slots")')
    if text is not None and not isinstance(text, str):
        raise ManifestError('"text" must be what is said')
    if intent is not None:
        _check_known("intent", intent, domain.intents)
    if not isinstance(slots, dict):
        raise ManifestError('"slots" must be an object of names and values')
    if intent is None and slots:
        raise ManifestError('"slots" need the "intent" that they belong to')
    for slot in slots:
        _check_known("slot", slot, domain.slots)
    return Recording(
        path,
        text=text,
        intent=intent,
        slots={name: str(value) for name, value in slots.items()} if has_meaning else None,
        offset_s=float(entry.get("offset") or 0.0),
        duration_s=float(entry["duration"]) if entry.get("offset") is not None and "duration" in entry else None,
        name=path.name if Path(entry["audio_filepath"]).is_absolute() else entry["audio_filepath"],
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
