"""How good an adapted voice is: like the speaker, understood, and as high and as clear as the recordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from rejoinder import audio
from rejoinder.adapt.voice.likeness import SpeakerEncoder, centroid, likeness, stretches
from rejoinder.adapt.voice.model import SAMPLE_RATE
from rejoinder.adapt.voice.recordings import Clip, trim
from rejoinder.audio import resample
from rejoinder.events import Samples
from rejoinder.progress import Progress, silent
from rejoinder.text import normalize
from rejoinder.tts.verbalize import verbalize
from rejoinder.tts.vits import VitsSynthesizer

_PITCH_HZ = (60.0, 400.0)
_N_WINDOW = audio.SAMPLE_RATE // 25  # 40 ms: more than two periods of the lowest voice
_N_HOP = audio.SAMPLE_RATE // 100
_VOICED = 0.6  # autocorrelation of a frame above which there is a pitch
_OCTAVE_COST = 0.01  # Boersma's
_FINER = 4  # lags a sample: high voices have periods of 40 samples
_CLEAREST = 0.9999  # autocorrelation that counts as perfect: 40 dB


def pitch(samples: Samples, sample_rate: int) -> tuple[float, float]:
    """The median pitch in Hz, and the mean ratio of harmonics to noise in dB, over the voiced frames; zeros if none.

    From the autocorrelation, corrected for the window's (Boersma, 1993).
    """
    samples = resample(samples, sample_rate, audio.SAMPLE_RATE)
    if len(samples) < _N_WINDOW:
        return 0.0, 0.0
    window = np.hanning(_N_WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _N_WINDOW)[::_N_HOP] * window  # (n_frames, _N_WINDOW)
    powers = np.square(frames).sum(axis=1)
    frames = frames[powers > 0.01 * powers.max()]
    correlation = _autocorrelation(frames) / _autocorrelation(window[None])
    correlation /= np.maximum(correlation[:, :1], 1e-12)
    shortest, longest = (round(_FINER * audio.SAMPLE_RATE / hz) for hz in reversed(_PITCH_HZ))
    lags = np.arange(shortest, longest + 1)
    # Every multiple of the period correlates as well as the period itself: a little less for each octave down.
    best = (correlation[:, lags] - _OCTAVE_COST * np.log2(lags / shortest)).argmax(axis=1)
    strength = np.minimum(correlation[np.arange(len(frames)), lags[best]], _CLEAREST)
    voiced = strength > _VOICED
    if not voiced.any():
        return 0.0, 0.0
    strengths = strength[voiced]
    hz = float(np.median(_FINER * audio.SAMPLE_RATE / lags[best[voiced]]))
    return hz, float(np.mean(10 * np.log10(strengths / (1 - strengths))))


def _autocorrelation(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Up to half the window, at `_FINER` lags a sample, (n_frames, n_lags)."""
    n_window = frames.shape[1]
    powers = np.square(np.abs(np.fft.rfft(frames, 2 * n_window)))
    return np.asarray(np.fft.irfft(powers, _FINER * 2 * n_window)[:, : _FINER * n_window // 2 + 1])


@dataclass(frozen=True, slots=True)
class Speaker:
    """The person whose voice it shall be, from recordings that nothing is learnt from."""

    clips: tuple[Clip, ...]
    centroid: NDArray[np.float32]
    encoder: SpeakerEncoder
    pitch_hz: float
    harmonics_db: float

    @classmethod
    def of(cls, clips: Sequence[Clip], encoder: SpeakerEncoder) -> "Speaker":
        """Measure the recordings."""
        recorded = stretches([clip.samples for clip in clips], SAMPLE_RATE)
        embeddings = [encoder.embed(samples, SAMPLE_RATE) for samples in recorded]
        hz, db = _mean_pitch([clip.samples for clip in clips], SAMPLE_RATE)
        return cls(tuple(clips), centroid(embeddings), encoder, hz, db)


def measure_voice(
    folder: Path,
    speaker: Speaker,
    sentences: Sequence[str],
    *,
    transcribe: Callable[[Samples], str],
    seeds: Sequence[int] = (0, 1, 2),
    progress: Progress = silent,
) -> dict[str, float]:
    """How near the voice in `folder` is to a speaker, and how well `sentences` are understood when it says them.

    "similarity" is the mean cosine of what the voice makes of the speaker's texts, in `stretches`, with the speaker's
    centroid; "wer" the share of the words misheard over all sentences and seeds, spoken at the speaker's own pace, so
    that voices of different paces compare; "pace" the voice's own against the speaker's. "pitch_hz" and "harmonics_db"
    (harmonics against noise) come with the speaker's: "pitch_hz speaker". `transcribe` takes samples at
    `audio.SAMPLE_RATE`.
    """
    voice = VitsSynthesizer.load(folder)
    rng = np.random.default_rng(0)
    spoken = [trim(voice.speak(clip.ids, rng=rng)) for clip in speaker.clips]
    pace = sum(clip.seconds for clip in speaker.clips) * voice.sample_rate / sum(map(len, spoken))
    embeddings = [speaker.encoder.embed(samples, voice.sample_rate) for samples in stretches(spoken, voice.sample_rate)]
    hz, db = _mean_pitch(spoken, voice.sample_rate)
    wer = round_trip(voice, sentences, transcribe=transcribe, seeds=seeds, speed=1 / pace, progress=progress)
    return {
        "similarity": likeness(embeddings, speaker.centroid),
        "wer": wer,
        "pace": pace,
        "pitch_hz": hz,
        "pitch_hz speaker": speaker.pitch_hz,
        "harmonics_db": db,
        "harmonics_db speaker": speaker.harmonics_db,
    }


def round_trip(
    voice: VitsSynthesizer,
    sentences: Sequence[str],
    *,
    transcribe: Callable[[Samples], str],
    seeds: Sequence[int] = (0, 1, 2),
    speed: float = 1.0,
    progress: Progress = silent,
) -> float:
    """The share of the words that are misheard when each sentence is spoken once for each seed."""
    n_wrong = n_words = 0
    for n, sentence in enumerate(sentences):
        said = normalize(verbalize(sentence)).split()
        for seed in seeds:
            rng = np.random.default_rng([seed, n])
            samples = np.concatenate([np.zeros(0, np.float32), *voice.synthesize(sentence, speed=speed, rng=rng)])
            heard = normalize(transcribe(resample(samples, voice.sample_rate, audio.SAMPLE_RATE))).split()
            n_wrong += Levenshtein.distance(said, heard)
            n_words += len(said)
        progress("hearing the voice", n + 1, len(sentences), f"{n_wrong / max(1, n_words):.1%} of the words misheard")
    return n_wrong / max(1, n_words)


def _mean_pitch(utterances: Sequence[Samples], sample_rate: int) -> tuple[float, float]:
    """The mean pitch and harmonics of several utterances."""
    found = np.mean([pitch(samples, sample_rate) for samples in utterances], axis=0)
    return float(found[0]), float(found[1])
