"""Lists of recordings with what is said in them: NeMo's manifests, one JSON object a line.

    {"audio_filepath": "clips/0001.flac", "duration": 2.4, "text": "Two lattes, please.", "speaker": "anna"}

`audio_filepath` is relative to the manifest. `offset` (seconds) makes the entry a part of a longer file, `duration`
long; without it the entry is the whole file. `speaker` keeps a person's recordings together when the list is split.
Other keys are left alone. An empty `text` means that nothing is said.
"""

import hashlib
import json
import math
import os
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder import audio
from rejoinder.errors import AudioError, ManifestError
from rejoinder.events import Samples
from rejoinder.text import normalize

LOWEST_RATE = 8_000
"""Hz. A header that says less is wrong, or what it describes is no speech."""

TOLERANCE_S = 0.25
"""By how much a manifest's duration may differ from the file's: many are rounded, or measured before trimming."""

N_SHOWN = 20
"""Wrong lines that one error names; it counts the rest."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording, or `duration_s` of it from `offset_s` on, and the `text` that is said there."""

    audio: Path
    text: str
    duration_s: float
    speaker: str | None = None
    offset_s: float = 0.0

    def samples(self) -> Samples:
        """The audio as mono at `audio.SAMPLE_RATE`, float32 of shape (n_samples,); raises `AudioError`."""
        return audio.load(self.audio, offset_s=self.offset_s, duration_s=self.duration_s)


def read_manifest(path: str | Path) -> tuple[Utterance, ...]:
    """The utterances of a manifest, every file looked up and its header read.

    Raises one `ManifestError` that names each wrong line: not JSON, a key that is missing or of a wrong kind, a file
    that is missing or no audio, a duration or sample rate that is not the file's.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    utterances: list[Utterance] = []
    problems: list[str] = []
    for n, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            utterances.append(_read_entry(line, path.parent))
        except ManifestError as error:
            problems.append(f"{path}:{n}: {error}")
    if problems:
        more = f"\n… and {len(problems) - N_SHOWN} more lines" if len(problems) > N_SHOWN else ""
        raise ManifestError("\n".join(problems[:N_SHOWN]) + more)
    if not utterances:
        raise ManifestError(
            f"{path}: holds no utterances; write one line for each: "
            '{"audio_filepath": "a.wav", "duration": 1.5, "text": "…", "speaker": "anna"}'
        )
    return tuple(utterances)


def write_manifest(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest, whole or not at all; what lies under its folder is named relative to it.

    Raises `ManifestError` when it cannot be written.
    """
    path = Path(path)
    lines = (json.dumps(_entry(utterance, path.parent), ensure_ascii=False) for utterance in utterances)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise ManifestError(f"{path}: cannot be written ({error.strerror})") from error


def split_by_speaker(
    utterances: Sequence[Utterance], *, share: float, seed: int = 0
) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
    """Split into (training, held out), so that nobody is heard in both; about `share` of the audio is held out.

    Utterances that name no speaker count as one person's. Raises `ManifestError` when there is only one speaker.
    """
    speakers = {utterance.speaker for utterance in utterances}
    if len(speakers) < 2:
        named = ", ".join(speaker for speaker in speakers if speaker) or "none named"
        raise ManifestError(
            f"{_counted(utterances)} of one speaker ({named}) cannot be split by speaker; "
            'add recordings of somebody else, or tell the speakers apart by "speaker" in each line'
        )
    return _split(utterances, [utterance.speaker or "" for utterance in utterances], share=share, seed=seed)


def split_by_text(
    utterances: Sequence[Utterance], *, share: float, seed: int = 0
) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
    """Split into (training, held out), so that no text is in both; about `share` of the audio is held out.

    For recordings of one speaker. Raises `ManifestError` when all say the same, or there are fewer than two.
    """
    texts = [normalize(utterance.text) for utterance in utterances]
    if len(set(texts)) < 2:
        raise ManifestError(f"{_counted(utterances)} cannot be split: two that say different things are the least")
    return _split(utterances, texts, share=share, seed=seed)


def refuse_overlap(train: Iterable[Utterance], test: Iterable[Utterance]) -> None:
    """Raise `ManifestError`, naming them, when recordings stand in both lists: the test would be of what was learned.

    The same recording is found under another name and in another format, as long as its samples are the same; parts of
    one file overlap where their times do. Texts may well stand in both: many people say "yes".
    """
    trained, tested = tuple(train), tuple(test)
    contents = _Contents({utterance.audio for utterance in trained}, {utterance.audio for utterance in tested})
    by_content: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in trained:
        by_content[contents.of(utterance.audio)].append(utterance)
    pairs = [
        f"{utterance.audio} (in training: {other.audio})" if other.audio != utterance.audio else f"{utterance.audio}"
        for utterance in tested
        if (other := _overlapping(utterance, by_content.get(contents.of(utterance.audio), ())))
    ]
    if pairs:
        more = f"\n… and {len(pairs) - N_SHOWN} more" if len(pairs) > N_SHOWN else ""
        raise ManifestError(
            f"{len(pairs)} of the {len(tested)} test recordings are in the training data too; "
            "take them out of one of the two:\n" + "\n".join(pairs[:N_SHOWN]) + more
        )


def _read_entry(line: str, folder: Path) -> Utterance:
    """One line; raises `ManifestError` saying what is wrong with it."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestError(f"is not JSON ({error.msg} at column {error.colno})") from None
    except RecursionError:
        raise ManifestError("is nested too deeply") from None
    if not isinstance(entry, dict):
        raise ManifestError("is not a JSON object; write {…}")
    name, text, speaker = entry.get("audio_filepath"), entry.get("text"), entry.get("speaker")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise ManifestError('"audio_filepath" must name a file')
    if not isinstance(text, str):
        raise ManifestError('"text" must be what is said; an empty one says that nothing is')
    if speaker is not None and (isinstance(speaker, bool) or not isinstance(speaker, str | int)):
        raise ManifestError('"speaker" must be a name')
    path = folder / Path(name).expanduser()
    duration_s, offset_s = _part(entry, path)
    return Utterance(
        audio=path,
        text=" ".join(text.split()),
        duration_s=duration_s,
        speaker=None if speaker is None else str(speaker),
        offset_s=offset_s,
    )


def _part(entry: dict[str, Any], path: Path) -> tuple[float, float]:
    """Duration and offset of an entry in seconds, checked against the file's header."""
    n_frames, rate = _header(path)
    whole_s = n_frames / rate
    named_rate, duration_s, offset_s = (_number(entry, key) for key in ("sample_rate", "duration", "offset"))
    if named_rate is not None and named_rate != rate:
        raise ManifestError(f'"sample_rate" is {named_rate:g} Hz, but {path.name} says {rate} Hz')
    if offset_s is None:
        if duration_s is not None and abs(duration_s - whole_s) > max(TOLERANCE_S, 0.1 * whole_s):
            raise ManifestError(
                f"'duration' is {duration_s:g} s, but {path.name} lasts {whole_s:.2f} s at its header's {rate} Hz: "
                'is that rate wrong? (If the beginning alone is meant, add "offset": 0)'
            )
        return whole_s, 0.0
    if duration_s is None:
        duration_s = whole_s - offset_s
    if offset_s < 0 or duration_s <= 0 or offset_s + duration_s > whole_s + TOLERANCE_S:
        raise ManifestError(
            f'"offset" {offset_s:g} s and "duration" {duration_s:g} s do not lie within {path.name}, which lasts '
            f"{whole_s:.2f} s"
        )
    return min(duration_s, whole_s - offset_s), offset_s


def _number(entry: dict[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ManifestError(f'"{key}" must be a number, not {json.dumps(value)}')
    if key != "offset" and value <= 0:
        raise ManifestError(f'"{key}" must be more than 0, not {value:g}')
    return float(value)


def _header(path: Path) -> tuple[int, int]:
    """Frames and sample rate of an audio file; raises `ManifestError` when it is missing, empty or no audio."""
    import soundfile

    if not path.is_file():
        raise ManifestError(f"{path}: no such file")
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise ManifestError(f"{path}: not audio that can be read ({error}); WAV, FLAC, OGG and MP3 are") from None
    if info.samplerate < LOWEST_RATE:
        raise ManifestError(f"{path}: its header says {info.samplerate} Hz; speech has {LOWEST_RATE} or more")
    if info.frames <= 0:
        raise ManifestError(f"{path}: holds no samples")
    return int(info.frames), int(info.samplerate)


def _entry(utterance: Utterance, folder: Path) -> dict[str, Any]:
    file, under = utterance.audio.resolve(), folder.resolve()
    entry: dict[str, Any] = {
        "audio_filepath": file.relative_to(under).as_posix() if file.is_relative_to(under) else str(file),
        "duration": utterance.duration_s,
        "offset": utterance.offset_s,
        "text": utterance.text,
    }
    return entry | ({"speaker": utterance.speaker} if utterance.speaker is not None else {})


def _split(
    utterances: Sequence[Utterance], groups: Sequence[str], *, share: float, seed: int
) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
    """Hold whole groups out until about `share` of the audio is; at least one group stays on either side."""
    seconds: dict[str, float] = defaultdict(float)
    for utterance, group in zip(utterances, groups, strict=True):
        seconds[group] += utterance.duration_s
    wanted_s = share * sum(seconds.values())
    order = sorted(seconds)
    random.Random(seed).shuffle(order)
    held_out, held_s = {order[0]}, seconds[order[0]]
    for group in order[1:-1]:
        if abs(held_s + seconds[group] - wanted_s) < abs(held_s - wanted_s):
            held_out.add(group)
            held_s += seconds[group]
    sides: tuple[list[Utterance], list[Utterance]] = ([], [])
    for utterance, group in zip(utterances, groups, strict=True):
        sides[group in held_out].append(utterance)
    return tuple(sides[0]), tuple(sides[1])


def _counted(utterances: Sequence[Utterance]) -> str:
    return "1 utterance" if len(utterances) == 1 else f"{len(utterances)} utterances"


def _overlapping(utterance: Utterance, others: Iterable[Utterance]) -> Utterance | None:
    """The first of `others`, all parts of the same audio, that shares some of its time."""
    end_s = utterance.offset_s + utterance.duration_s
    return next(
        (
            other
            for other in others
            if utterance.offset_s < other.offset_s + other.duration_s and other.offset_s < end_s
        ),
        None,
    )


class _Contents:
    """Tells files apart by their samples; reads only those that have the length of a file in the other list."""

    def __init__(self, files: Collection[Path], others: Collection[Path]) -> None:
        self._shared = {_header(file) for file in files} & {_header(file) for file in others}
        self._known: dict[Path, str] = {}

    def of(self, file: Path) -> str:
        """A text that is the same for files with the same samples."""
        file = file.resolve()
        if file not in self._known:
            self._known[file] = self._content(file) if _header(file) in self._shared else str(file)
        return self._known[file]

    @staticmethod
    def _content(file: Path) -> str:
        try:
            samples = audio.load(file)
        except AudioError as error:
            raise ManifestError(str(error)) from error
        return hashlib.sha256(audio.to_int16(samples).tobytes()).hexdigest()
