"""The recordings of the speaker whose voice is learnt: read, checked, and brought into the form that training takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rejoinder import audio
from rejoinder.acoustics import speech_rms
from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE
from rejoinder.errors import AdaptError, ManifestError
from rejoinder.events import Samples
from rejoinder.manifest import Utterance, read_manifest
from rejoinder.progress import Progress, silent

LEAST_MINUTES = 3.0
"""Less than this is no voice; ten minutes are asked for."""

N_LEAST_FRAMES = 64
"""Of a clip: 0.74 s, the length of the crops that are trained on."""

LONGEST_S = 20.0
"""Of a clip: longer ones are aligned badly and take much memory."""

_QUIET_DB = -40.0  # under the level of the speech: silence at both ends is cut off
_LEAD_S = 0.05
_NOTHING_DB = -70.0  # under the loudest frequency: nothing was recorded there


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance of the speaker, ready for training."""

    text: str
    ids: tuple[int, ...]
    """Phoneme ids, (n_ids,)."""
    samples: Samples
    """(n_frames * HOP,) at the voice's sample rate, silence cut off at both ends, at the donor's level."""

    @property
    def n_frames(self) -> int:
        """Frames of the network."""
        return len(self.samples) // HOP

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / SAMPLE_RATE


def read_recordings(path: Path) -> tuple[Utterance, ...]:
    """The utterances in a folder as LJSpeech has it (`metadata.csv`, `wavs/`), or of a manifest (`.jsonl`).

    Raises `ManifestError` naming each wrong line, and `AdaptError` when there are several speakers or too little.
    """
    utterances = _read_ljspeech(path) if path.is_dir() else read_manifest(path)
    speakers = sorted({utterance.speaker for utterance in utterances if utterance.speaker})
    if len(speakers) > 1:
        raise AdaptError(
            f"{path}: a voice is learnt from one speaker, and here are {len(speakers)}: {', '.join(speakers)}"
        )
    minutes = sum(utterance.duration_s for utterance in utterances) / 60
    if minutes < LEAST_MINUTES:
        raise AdaptError(
            f"{path}: holds {minutes:.1f} minutes of speech; a voice needs {LEAST_MINUTES:.0f} at the very least, "
            "and ten to be good"
        )
    return tuple(utterance for utterance in utterances if utterance.text.strip())


def _read_ljspeech(folder: Path) -> tuple[Utterance, ...]:
    """`metadata.csv` has a line "id|text" or "id|text|text in words" for each `wavs/id.wav`, or `.flac`."""
    import soundfile

    table = folder / "metadata.csv"
    if not table.is_file():
        raise ManifestError(f"{folder}: has no metadata.csv; give a folder as LJSpeech has it, or a manifest (.jsonl)")
    utterances, problems = [], []
    for n, line in enumerate(table.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        name, *texts = (field.strip() for field in line.split("|"))
        found = [file for ending in (".wav", ".flac") if (file := folder / "wavs" / f"{name}{ending}").is_file()]
        if not texts or not texts[-1] or not found:
            problems.append(f"{table}:{n}: " + ("no text after '|'" if found else f"no wavs/{name}.wav"))
            continue
        try:
            duration_s = float(soundfile.info(str(found[0])).duration)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            problems.append(f"{table}:{n}: {found[0]}: not audio that can be read ({error})")
            continue
        utterances.append(Utterance(found[0], texts[-1], duration_s))
    if problems:
        raise ManifestError("\n".join(problems[:20]))
    if not utterances:
        raise ManifestError(f"{table}: holds no lines")
    return tuple(utterances)


def prepare(
    utterances: Sequence[Utterance],
    *,
    phoneme_ids: Callable[[str], Sequence[int]],
    level: float,
    progress: Progress = silent,
) -> tuple[Clip, ...]:
    """Bring recordings to the voice's sample rate and to `level` (RMS while speaking), without the silence around them.

    Clips that are too short or too long, and those whose phonemes outnumber their frames, are left out. Raises
    `AdaptError` when nothing is left.
    """
    clips = []
    for n, utterance in enumerate(utterances):
        samples = utterance_samples(utterance)
        ids = tuple(phoneme_ids(utterance.text))
        samples = trim(samples)
        n_frames = len(samples) // HOP
        if ids and max(N_LEAST_FRAMES, len(ids)) <= n_frames <= LONGEST_S * SAMPLE_RATE / HOP:
            gain = np.float32(level / max(speech_rms(samples), 1e-6))
            clips.append(Clip(utterance.text, ids, samples[: n_frames * HOP] * gain))
        progress("reading recordings", n + 1, len(utterances))
    if not clips:
        raise AdaptError(f"no recording lasts from {N_LEAST_FRAMES * HOP / SAMPLE_RATE:.2f} to {LONGEST_S:.0f} s")
    return tuple(clips)


def utterance_samples(utterance: Utterance) -> Samples:
    """An utterance at the voice's sample rate, float32 of shape (n_samples,)."""
    return audio.load(
        utterance.audio, offset_s=utterance.offset_s, duration_s=utterance.duration_s, sample_rate=SAMPLE_RATE
    )


def trim(samples: Samples) -> Samples:
    """Cut silence off at both ends, but for 50 ms."""
    n_frames = len(samples) // HOP
    powers = np.square(samples[: n_frames * HOP].reshape(n_frames, HOP)).mean(axis=1)
    heard = np.flatnonzero(powers > speech_rms(samples) ** 2 * 10 ** (_QUIET_DB / 10))
    if not heard.size:
        return samples[:0]
    lead = round(_LEAD_S * SAMPLE_RATE)
    return samples[max(0, int(heard[0]) * HOP - lead) : (int(heard[-1]) + 1) * HOP + lead]


def highest_frequency(clips: Sequence[Clip]) -> float:
    """Hz up to which the recordings hold sound: above half of their sample rate, or of an earlier one, is nothing."""
    n_fft = 2048
    total = np.zeros(n_fft // 2 + 1)
    for clip in clips[:40]:
        frames = clip.samples[: len(clip.samples) // n_fft * n_fft].reshape(-1, n_fft) * np.hanning(n_fft)
        total += np.square(np.abs(np.fft.rfft(frames, axis=1))).sum(axis=0)
    held = np.flatnonzero(total > total.max() * 10 ** (_NOTHING_DB / 10))
    return float(held[-1]) * SAMPLE_RATE / n_fft
