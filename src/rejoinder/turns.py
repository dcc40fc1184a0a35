"""Turn taking: chunk by chunk, whether the caller began to speak, paused, went on, or is done. Pure.

`step` is a function of the state, one chunk's speech probability and what understanding thinks of the words so far.
Its clock is the number of chunks received, so the same audio always gives the same events.

No fixed silence is right: callers who spell leave gaps of 300 to 600 ms. So with every chunk of silence a small
logistic regression tells how likely it is that they go on, from the length of the silence, from what understanding
made of the words, from how long they have spoken, and above all from their voice before it (`Prosody`).
"""

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

from rejoinder.events import Completion
from rejoinder.prosody import Prosody
from rejoinder.vad import CHUNK_S

PRE_ROLL_S = 0.3
"""Audio to keep before `SpeechBegan.at_s`: the first consonant is often too weak for the detector."""


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """When speech counts as speech and silence as its end."""

    speech_threshold: float = 0.5
    """A chunk at or over this probability is speech."""
    silence_threshold: float = 0.35
    """During speech, a chunk below this probability is silence; between the two, nothing changes."""
    least_speech_s: float = 0.096
    """Speech in one piece that begins a turn; a cough or a click is shorter."""
    least_interruption_s: float = 0.256
    """Speech in one piece that begins a turn while the assistant speaks."""
    pause_s: float = 0.064
    """Silence after which `SpeechPaused` is reported."""
    resume_risk: float = 0.025
    """A turn is over when it is less likely than this that the caller goes on (`resume_probability`)."""
    least_silence_s: float = 0.224
    """Silence before which no turn is over: until about then the words are not known, and the draft is not ready."""
    least_unfinished_silence_s: float = 0.608
    """The same where the words are `Completion.INCOMPLETE`: whoever says "with" goes on, whatever the voice does."""
    longest_silence_s: float = 0.672
    """Silence that ends a turn whatever its words and its voice are."""
    longest_unfinished_silence_s: float = 0.75
    """The same where the words are `Completion.INCOMPLETE`."""
    longest_turn_s: float = 60.0
    """A turn is cut here, even in the middle of speech."""


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """A turn began. `at_s` is the onset, a little before this could be known; keep `PRE_ROLL_S` more of audio."""

    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The caller fell silent: time to recognize and to draft."""

    speech_end_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The caller goes on after a pause; `at_s` is where the speech sets in again."""

    at_s: float


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The caller is done. `speech_end_s` is where the last speech was, `at_s` when this was decided."""

    speech_end_s: float
    at_s: float


TurnEvent: TypeAlias = SpeechBegan | SpeechPaused | SpeechResumed | TurnOver


@dataclass(frozen=True, slots=True)
class TurnState:
    """What the turn machine remembers; `TurnState()` is the start. Counts are of chunks."""

    n_chunks: int = 0
    """Chunks received: the clock."""
    n_run: int = 0
    """Chunks of speech in a row, outside a turn."""
    onset: int | None = None
    """Chunk at which the turn began; None outside a turn."""
    silence_from: int | None = None
    """First chunk of silence after the last speech; None while there is speech."""
    paused: bool = False
    """Whether `SpeechPaused` was reported for the present silence."""
    n_speech: int = 0
    """Chunks of speech in this turn, pauses left out."""
    n_pieces: int = 1
    """Pieces of speech in this turn, with pauses between."""

    @property
    def now_s(self) -> float:
        """Seconds of audio received."""
        return self.n_chunks * CHUNK_S

    @property
    def n_silent(self) -> int:
        """Chunks of silence since the last speech of this turn."""
        return 0 if self.silence_from is None else self.n_chunks - self.silence_from


_INTERCEPT = -5.680
_PER_SECOND_OF_SILENCE = -5.910
_OF_COMPLETION = {Completion.COMPLETE: -2.169, Completion.PLAUSIBLE: 0.0, Completion.INCOMPLETE: 0.649}
_OF_LOG_SPEECH = 0.218
_OF_LOG_PIECE = -1.040
_OF_PROSODY = {
    "final_pitch": 0.309,
    "final_range": -0.224,
    "pitch_range": -0.146,
    "periodicity": 4.165,
    "final_periodicity": 6.030,
    "level_db": 0.039,
    "final_peak_db": 0.062,
    "n_syllables": -0.244,
    "final_gap_s": 2.450,
    "tilt_db": 0.064,
}
# Fitted by `benchmarks.fit_endpointing` on AN4's 948 training utterances; the completions are what the assistant's own
# recognition and understanding made of the words at each pause.


def resume_probability(
    silence_s: float, *, speech_s: float, piece_s: float, completion: Completion | None, prosody: Prosody
) -> float:
    """How likely it is that a caller goes on who has been silent for `silence_s`.

    `speech_s` is how long they have spoken in this turn, `piece_s` the mean length of a piece between two pauses.
    """
    evidence = (
        _INTERCEPT
        + _PER_SECOND_OF_SILENCE * silence_s
        + _OF_COMPLETION[completion or Completion.PLAUSIBLE]
        + _OF_LOG_SPEECH * math.log(speech_s)
        + _OF_LOG_PIECE * math.log(piece_s)
        + sum(weight * getattr(prosody, name) for name, weight in _OF_PROSODY.items())
    )
    return 1.0 / (1.0 + math.exp(-evidence))


def step(
    state: TurnState,
    probability: float,
    *,
    options: TurnOptions,
    completion: Completion | None = None,
    prosody: Prosody | None = None,
    replying: bool = False,
) -> tuple[TurnState, tuple[TurnEvent, ...]]:
    """Take in one chunk of `CHUNK_S` seconds: the next state, and what happened.

    `probability` is the chunk's, from `Vad`. `completion` is what understanding makes of the words up to the last pause
    and `prosody` how they ended, `Prosody.of` the turn's audio at `SpeechPaused`; None while they are not known.
    `replying` says that the assistant speaks, so that a turn begins only with an interruption's worth of speech.
    """
    here = state.n_chunks
    state = replace(state, n_chunks=here + 1)
    if state.onset is None:
        least_s = options.least_interruption_s if replying else options.least_speech_s
        return _outside(state, probability, _n_chunks(least_s), options)
    state, events = _inside(state, probability, options)
    if _is_over(state, options, completion, prosody):
        end = state.n_chunks if state.silence_from is None else state.silence_from
        over = TurnOver(end * CHUNK_S, state.n_chunks * CHUNK_S)
        return TurnState(n_chunks=state.n_chunks), (*events, over)
    return state, events


def _outside(
    state: TurnState, probability: float, n_least: int, options: TurnOptions
) -> tuple[TurnState, tuple[TurnEvent, ...]]:
    """One chunk outside a turn: enough speech in one piece begins one."""
    if probability < options.speech_threshold:
        return replace(state, n_run=0), ()
    n_run = state.n_run + 1
    if n_run < n_least:
        return replace(state, n_run=n_run), ()
    onset = state.n_chunks - n_run
    return replace(state, n_run=0, onset=onset, n_speech=n_run), (SpeechBegan(onset * CHUNK_S),)


def _inside(state: TurnState, probability: float, options: TurnOptions) -> tuple[TurnState, tuple[TurnEvent, ...]]:
    """One chunk of a turn: speech that goes on, falls silent, or sets in again."""
    here = state.n_chunks - 1
    if state.silence_from is None:
        if probability >= options.silence_threshold:
            return replace(state, n_speech=state.n_speech + 1), ()
        state = replace(state, silence_from=here)
    elif probability >= options.speech_threshold:
        resumed = (SpeechResumed(here * CHUNK_S),) if state.paused else ()
        n_speech, n_pieces = state.n_speech + 1, state.n_pieces + 1
        return replace(state, silence_from=None, paused=False, n_speech=n_speech, n_pieces=n_pieces), resumed
    if state.paused or state.n_silent < _n_chunks(options.pause_s):
        return state, ()
    assert state.silence_from is not None
    return replace(state, paused=True), (SpeechPaused(state.silence_from * CHUNK_S, state.n_chunks * CHUNK_S),)


def _is_over(state: TurnState, options: TurnOptions, completion: Completion | None, prosody: Prosody | None) -> bool:
    """Whether the turn ends with the chunk just taken in."""
    assert state.onset is not None
    if state.n_chunks - state.onset >= _n_chunks(options.longest_turn_s):
        return True
    unfinished = completion is Completion.INCOMPLETE
    longest_s = options.longest_unfinished_silence_s if unfinished else options.longest_silence_s
    if state.n_silent >= _n_chunks(longest_s):
        return True
    least_s = options.least_unfinished_silence_s if unfinished else options.least_silence_s
    if state.n_silent < _n_chunks(max(least_s, options.pause_s)):
        return False
    risk = resume_probability(
        state.n_silent * CHUNK_S,
        speech_s=state.n_speech * CHUNK_S,
        piece_s=state.n_speech / state.n_pieces * CHUNK_S,
        completion=completion,
        prosody=prosody or Prosody(),
    )
    return risk < options.resume_risk


def _n_chunks(seconds: float) -> int:
    """Whole chunks nearest to a time, at least one."""
    return max(1, round(seconds / CHUNK_S))
