"""From corrections to training data, in the folder of the domain; its domain.yaml is never touched.

- `corrections.jsonl`: sentences and their intents, which every `Domain.load` reads like examples of domain.yaml, and so
  `rejoinder adapt` learns from.
- `corrections/manifest.jsonl` with its audio, where that was kept: NeMo's format with what was meant, for
  `rejoinder adapt DOMAIN asr --deep --manifest …` or for `rejoinder evaluate DOMAIN --set …`, but not for both.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz

from rejoinder.domain import Domain
from rejoinder.domain.corrections import FILE_NAME, Corrected, read_corrections, write_corrections
from rejoinder.domain.source import did_you_mean
from rejoinder.errors import DomainError
from rejoinder.serve.redaction import has_placeholder, without_placeholders
from rejoinder.serve.store.turns import Correction, Kept, Turn, Verdict
from rejoinder.text import normalize

MANIFEST = Path("corrections", "manifest.jsonl")

NEAR = 60
"""Likeness, in percent, from which on the words that were misheard are learned as well: they will be misheard again."""

_writing = threading.Lock()


def check(domain: Domain, correction: Correction) -> None:
    """Raise `DomainError` for a correction that says nothing, or names what the domain does not have."""
    if correction.verdict is Verdict.CORRECTED and not normalize(correction.text):
        raise DomainError("what was said is missing")
    if correction.intent is not None and correction.intent not in domain.intents:
        known = did_you_mean(correction.intent, list(domain.intents))
        raise DomainError(f"there is no intent '{correction.intent}' {known}")
    for name, value in correction.slots.items():
        if name not in domain.slots:
            raise DomainError(f"there is no slot '{name}' {did_you_mean(name, list(domain.slots))}")
        choices = [choice.value for choice in domain.slots[name].choices]
        if choices and value not in choices:
            raise DomainError(f"'{value}' is no value of the slot '{name}' {did_you_mean(value, choices)}")


def learn(folder: Path, kept: Kept, correction: Correction, flac: bytes | None) -> Sequence[Path]:
    """Write what is to be learned from a correction, in place of what an earlier one of the same turn said.

    Returns the files that were written.
    """
    turn = kept.turn
    name = f"{turn.call}/{turn.n}"
    with _writing:
        before = read_corrections(folder)
        others = [one for one in before if one.turn != name]
        learned = [Corrected(text, correction.intent, name) for text in _sentences(turn, correction)]
        files = []
        if learned or len(others) < len(before):
            write_corrections(folder, [*others, *learned])
            files.append(folder / FILE_NAME)
        if flac is not None and not has_placeholder(correction.text):
            files += _write_recording(folder, turn, correction, flac)
    return files


def unlearn(folder: Path, call: str) -> int:
    """Delete what was learned from a call; how many entries there were."""
    with _writing:
        before = read_corrections(folder)
        others = [one for one in before if not one.turn.startswith(f"{call}/")]
        if len(others) < len(before):
            write_corrections(folder, others)
        entries = _entries(folder)
        kept = [entry for entry in entries if entry.get("call") != call]
        if len(kept) < len(entries):
            _write_entries(folder, kept)
        for file in (folder / MANIFEST).parent.glob("*.flac"):
            if file.name.rpartition("-")[0] == call:
                file.unlink(missing_ok=True)
    return len(before) - len(others) + len(entries) - len(kept)


def _sentences(turn: Turn, correction: Correction) -> Iterator[str]:
    """The sentences that are examples of the correction's intent; none where it says nothing new.

    An answer to a question ("large, please") is no example of an intent, unless the owner says that it is of another.
    """
    is_new = correction.intent != turn.intent or turn.source == "classifier"
    if correction.verdict is not Verdict.OUT_OF_SCOPE and not (correction.intent is not None and is_new):
        return
    said = without_placeholders(correction.text) if has_placeholder(correction.text) else correction.text.strip()
    if normalize(said):
        yield said
    heard, meant = normalize(turn.text), normalize(said)
    if heard not in ("", meant) and not has_placeholder(turn.text) and fuzz.ratio(heard, meant) >= NEAR:
        yield turn.text


def _write_recording(folder: Path, turn: Turn, correction: Correction, flac: bytes) -> Sequence[Path]:
    import io

    import soundfile

    manifest = folder / MANIFEST
    manifest.parent.mkdir(exist_ok=True)
    file = manifest.parent / f"{turn.call}-{turn.n}.flac"
    file.write_bytes(flac)
    entry: dict[str, Any] = {
        "audio_filepath": file.name,
        "duration": round(soundfile.info(io.BytesIO(flac)).duration, 3),
        "text": correction.text,
        "speaker": turn.call,
        "call": turn.call,
    }
    if correction.intent is not None or correction.verdict is Verdict.OUT_OF_SCOPE:
        entry |= {"intent": correction.intent, "slots": dict(correction.slots)}
    others = [one for one in _entries(folder) if one.get("audio_filepath") != file.name]
    _write_entries(folder, [*others, entry])
    return file, manifest


def _entries(folder: Path) -> list[dict[str, Any]]:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return []
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines() if line.strip()]


def _write_entries(folder: Path, entries: Sequence[dict[str, Any]]) -> None:
    manifest = folder / MANIFEST
    scratch = manifest.with_name(f".{manifest.name}")
    scratch.write_text("".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in entries), encoding="utf-8")
    scratch.replace(manifest)
