"""When a caller is done: where the speech of a recording truly ends, and what the endpointer makes of it.

The operating curve shows, on the recordings of a set, how many callers each setting of the endpointer would cut off and
how long it would keep the others waiting. Recognition and understanding see each recording once; the settings are then
tried on what they found.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from rejoinder.acoustics import rms, speech_rms
from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE, frames
from rejoinder.conditions import Condition
from rejoinder.dialogue import DialogueState
from rejoinder.evaluate.records import EARLY_S
from rejoinder.evaluate.scores import OperatingPoint
from rejoinder.events import Completion, Samples
from rejoinder.prosody import Prosody
from rejoinder.session import AFTER_LAST_WORD
from rejoinder.turns import PRE_ROLL_S, SpeechBegan, SpeechPaused, TurnOptions, TurnOver, TurnState, step
from rejoinder.vad import CHUNK_S, CHUNK_SAMPLES, probabilities

AFTER_S = 3.0
"""How long callers stay on the line after their last word."""

KNOWN_AFTER_S = 0.1
"""How long recognition and understanding take from a pause on: the words' completion is unknown until then."""

PATIENT = TurnOptions(resume_risk=0.0, longest_silence_s=1.5, longest_unfinished_silence_s=1.5)
"""Ends no turn at a pause."""

_HOP = SAMPLE_RATE // 100  # 10 ms
_LEAD_S = 0.5  # of what is before the speech

Understand = Callable[[Samples], Completion]
"""What understanding makes of a turn's audio so far."""


def speech_span(samples: Samples) -> tuple[float, float]:
    """Where the first speech of a recording begins and the last one ends, in seconds, from a look at all of it.

    Silero finds the first and the last chunk of speech; the begin and the end are the first and the last 10 ms, from
    80 ms before to 80 ms after these chunks, whose level is within 30 dB of the speech (its 90th percentile) and 10 dB
    over the noise floor (the 5th percentile of the recording). Both are 0 where there is no speech.
    """
    spoken = np.flatnonzero(probabilities(np.append(samples, np.zeros(CHUNK_SAMPLES, np.float32))) >= 0.5)
    if not len(spoken) or len(samples) < _HOP:
        return 0.0, 0.0
    blocks = samples[: len(samples) // _HOP * _HOP].reshape(-1, _HOP).astype(np.float64)
    level = 10 * np.log10(np.square(blocks).mean(axis=1) + 1e-12)
    begin, end = int(spoken[0] * CHUNK_S * 100), int((spoken[-1] + 1) * CHUNK_S * 100) + 8
    least = max(np.percentile(level[begin:end], 90) - 30, np.percentile(level, 5) + 10)
    audible = np.flatnonzero(level[:end] > least)
    if not len(audible):
        return begin / 100, min(end, len(level)) / 100
    return float(audible[audible >= begin - 8][0] / 100), float((audible[-1] + 1) / 100)


def noise_floor(samples: Samples, seconds: float) -> Samples:
    """So much of the line's own noise: as loud as the quietest 20 ms of the recording (their 5th percentile).

    It is at most 20 dB under the speech: where a recording is cut tightly around it, nothing in it is quiet.
    """
    levels = [rms(frame) for frame in frames(samples, 2 * _HOP)]
    level = min(np.percentile(levels, 5), speech_rms(samples) / 10) if levels else 0.0
    return np.random.default_rng(0).normal(0.0, level, round(seconds * SAMPLE_RATE)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A recording as a session is fed it: changed by a condition, and followed by the line's own noise.

    Callers do not hang up after their last word: what comes after it is where their turn ends.
    """

    samples: Samples
    """Float32 of shape (n_samples,) at `SAMPLE_RATE`."""
    n_recorded: int
    """Samples before the added noise."""
    begin_s: float
    """Where the speech begins."""
    end_s: float
    """Where it ends, found in the recording as it was before the condition hid it."""

    @classmethod
    def of(cls, recorded: Samples, change: Condition | None = None, rng: Generator | None = None) -> "Call":
        """Put noise after a recording, then change both alike."""
        begin_s, end_s = speech_span(recorded)
        plain = np.concatenate([recorded, noise_floor(recorded, AFTER_S)])
        samples = plain if change is None else change(plain, rng or np.random.default_rng(0))
        pace = len(plain) / max(1, len(samples))
        return cls(samples, round(len(recorded) / pace), begin_s / pace, end_s / pace)

    @property
    def recorded(self) -> Samples:
        """What was said, without the added noise."""
        return self.samples[: self.n_recorded]

    def without_lead(self) -> "Call":
        """The same from half a second before its speech on, for those who must wait while it is fed."""
        n_cut = round(max(0.0, self.begin_s - _LEAD_S) * SAMPLE_RATE)
        cut_s = n_cut / SAMPLE_RATE
        return Call(self.samples[n_cut:], self.n_recorded - n_cut, self.begin_s - cut_s, self.end_s - cut_s)


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """A call with all that the endpointer goes by, worked out once for every setting."""

    probabilities: tuple[float, ...]
    """Of speech, for each chunk."""
    end_s: float
    pauses: Mapping[float, tuple[Prosody, Completion | None]] = field(default_factory=dict)
    """By the time of the pause: how the voice ended, and what understanding made of the words."""


def observe(samples: Samples, end_s: float, understand: Understand | None) -> Observed:
    """Work out what the turn machine is given for a call of float32 (n_samples,) whose speech ends at `end_s`."""
    heard = tuple(map(float, probabilities(samples)))
    pauses: dict[float, tuple[Prosody, Completion | None]] = {}
    began_s = 0.0
    for event in events(Observed(heard, end_s), PATIENT):
        match event:
            case SpeechBegan(at_s=at_s):
                began_s = max(0.0, at_s - PRE_ROLL_S)
            case SpeechPaused(at_s=at_s):
                turn = samples[round(began_s * SAMPLE_RATE) : round(at_s * SAMPLE_RATE)]
                pauses[at_s] = Prosody.of(turn), understand(turn) if understand else None
    return Observed(heard, end_s, pauses)


def words_of(assistant: Assistant) -> Understand:
    """What an assistant's recognition and understanding make of the audio so far, as in a session."""
    pipeline = assistant.pipeline

    def understand(turn: Samples) -> Completion:
        transcript = pipeline.recognize(np.concatenate([turn, AFTER_LAST_WORD]))
        return pipeline.understand(transcript.text, DialogueState()).completion

    return understand


def events(observed: Observed, options: TurnOptions) -> Iterator[object]:
    """What the turn machine reports of a call."""
    state, paused_s = TurnState(), 0.0
    nothing: tuple[Prosody | None, Completion | None] = (None, None)
    for probability in observed.probabilities:
        prosody, completion = observed.pauses.get(paused_s, nothing)
        known = state.now_s >= paused_s + KNOWN_AFTER_S - CHUNK_S
        state, happened = step(
            state, probability, options=options, prosody=prosody, completion=completion if known else None
        )
        for event in happened:
            if isinstance(event, SpeechPaused):
                paused_s = event.at_s
            yield event


def first_turn(observed: Observed, options: TurnOptions) -> TurnOver | None:
    """The end of the first turn; None when none began."""
    return next((event for event in events(observed, options) if isinstance(event, TurnOver)), None)


def _fixed(silence_s: float) -> TurnOptions:
    return TurnOptions(resume_risk=0.0, longest_silence_s=silence_s, longest_unfinished_silence_s=silence_s)


DEFAULT = f"resume risk {100 * TurnOptions().resume_risk:g}%"

SETTINGS: Mapping[str, TurnOptions] = {
    **{f"fixed {silence_s:.1f} s": _fixed(silence_s) for silence_s in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)},
    **{f"resume risk {100 * risk:g}%": TurnOptions(resume_risk=risk) for risk in (0.005, 0.01, 0.025, 0.05, 0.1, 0.2)},
    DEFAULT: TurnOptions(),
}
"""The points of the operating curve: a silence of fixed length, and ours (`TurnOptions.resume_risk`)."""


@dataclass(frozen=True, slots=True)
class Ending:
    """When one setting of the endpointer ends a call's first turn."""

    utterance: str
    setting: str
    cut_off: bool
    delay_s: float | None
    """From the last speech to the decision; None for a turn that was cut off, or never ended."""


def endings(utterance: str, observed: Observed) -> tuple[Ending, ...]:
    """What every setting makes of a call."""
    return tuple(_ending(utterance, name, observed, options) for name, options in SETTINGS.items())


def _ending(utterance: str, setting: str, observed: Observed, options: TurnOptions) -> Ending:
    over = first_turn(observed, options)
    if over is None:
        return Ending(utterance, setting, cut_off=False, delay_s=None)
    if over.speech_end_s < observed.end_s - EARLY_S:
        return Ending(utterance, setting, cut_off=True, delay_s=None)
    return Ending(utterance, setting, cut_off=False, delay_s=over.at_s - observed.end_s)


def operating_curve(ended: Iterable[Ending]) -> tuple[OperatingPoint, ...]:
    """A point for each setting, in the order of `SETTINGS`, over the calls whose turn it ends."""
    by_setting: dict[str, list[Ending]] = {}
    for one in ended:
        if one.cut_off or one.delay_s is not None:
            by_setting.setdefault(one.setting, []).append(one)
    return tuple(_point(name, by_setting[name]) for name in SETTINGS if name in by_setting)


def _point(setting: str, ended: list[Ending]) -> OperatingPoint:
    delays = [one.delay_s for one in ended if one.delay_s is not None]
    p50, p95 = np.percentile(delays, [50, 95]) if delays else (0.0, 0.0)
    cut_off = sum(one.cut_off for one in ended) / len(ended)
    return OperatingPoint(setting, cut_off, float(p50), float(p95), is_default=setting == DEFAULT)
