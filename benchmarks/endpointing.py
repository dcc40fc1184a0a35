"""Endpointing by itself: how long after the last sample of speech a turn is over, against how many are cut off.

`python -m benchmarks.endpointing` prints the operating curve on AN4's training set; `--test` a line for each test set.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import corpus
from rejoinder.audio import SAMPLE_RATE
from rejoinder.events import Completion, Samples
from rejoinder.prosody import Prosody
from rejoinder.turns import PRE_ROLL_S, SpeechBegan, SpeechPaused, TurnOptions, TurnOver, TurnState, step
from rejoinder.vad import CHUNK_S, CHUNK_SAMPLES, probabilities

SILENCE_AFTER_S = 2.0
"""Digital silence fed after the recording, so that every turn can end."""
KNOWN_AFTER_S = 0.1
"""How long recognition and understanding take from a pause on: the words' completion is unknown until then."""
EARLY_S = 0.1
"""A turn that was over this long before its last word was cut off."""

Understand = Callable[[Samples], Completion]
"""What understanding makes of a turn's audio so far."""


def speech_end(samples: Samples) -> float:
    """Where the last speech of a recording ends, in seconds, from a look at all of it.

    Silero finds the last chunk of speech; the end is the last 10 ms up to 80 ms after that chunk whose level is within
    30 dB of the speech (its 90th percentile) and 10 dB over the noise floor (the 5th percentile of the recording).
    """
    spoken = np.flatnonzero(probabilities(np.append(samples, np.zeros(CHUNK_SAMPLES, np.float32))) >= 0.5)
    if not len(spoken):
        return 0.0
    n_hop = SAMPLE_RATE // 100
    frames = samples[: len(samples) // n_hop * n_hop].reshape(-1, n_hop).astype(np.float64)
    level = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-12)
    begin, end = int(spoken[0] * CHUNK_S * 100), int((spoken[-1] + 1) * CHUNK_S * 100) + 8
    least = max(np.percentile(level[begin:end], 90) - 30, np.percentile(level, 5) + 10)
    return float((np.flatnonzero(level[:end] > least)[-1] + 1) / 100)


@dataclass(frozen=True)
class Heard:
    """A recording, with what does not depend on the options worked out once."""

    samples: Samples
    probabilities: tuple[float, ...]
    end_s: float
    pauses: dict[float, tuple[Prosody, Completion | None]]
    """By the time of the pause: how the voice ended, and what understanding made of the words."""


def hear(recorded: Samples, understand: Understand | None) -> Heard:
    """Work out what the turn machine is given."""
    silence = np.zeros(round(SILENCE_AFTER_S * SAMPLE_RATE), np.float32)
    samples = np.concatenate([recorded, silence])
    heard = Heard(samples, tuple(map(float, probabilities(samples))), speech_end(recorded), {})
    patient = TurnOptions(resume_risk=0.0, longest_silence_s=1.5, longest_unfinished_silence_s=1.5)
    began_s = 0.0
    for event in _events(heard, patient):
        match event:
            case SpeechBegan(at_s=at_s):
                began_s = max(0.0, at_s - PRE_ROLL_S)
            case SpeechPaused(at_s=at_s):
                turn = samples[round(began_s * SAMPLE_RATE) : round(at_s * SAMPLE_RATE)]
                heard.pauses[at_s] = Prosody.of(turn), understand(turn) if understand else None
    return heard


def _events(heard: Heard, options: TurnOptions) -> Iterator[object]:
    state, paused_s = TurnState(), 0.0
    nothing: tuple[Prosody | None, Completion | None] = (None, None)
    for probability in heard.probabilities:
        prosody, completion = heard.pauses.get(paused_s, nothing)
        known = state.now_s >= paused_s + KNOWN_AFTER_S - CHUNK_S
        state, events = step(
            state, probability, options=options, prosody=prosody, completion=completion if known else None
        )
        for event in events:
            if isinstance(event, SpeechPaused):
                paused_s = event.at_s
            yield event


def first_turn(heard: Heard, options: TurnOptions) -> TurnOver | None:
    """The end of the first turn; None when none began."""
    return next((event for event in _events(heard, options) if isinstance(event, TurnOver)), None)


def report(name: str, all_heard: Sequence[Heard], options: TurnOptions) -> str:
    """One line: cut-offs, and the delay of the turns that were not cut."""
    over = [(first_turn(heard, options), heard.end_s) for heard in all_heard]
    delays = [end.at_s - end_s for end, end_s in over if end and end.speech_end_s >= end_s - EARLY_S]
    n_cut = sum(1 for end, end_s in over if end and end.speech_end_s < end_s - EARLY_S)
    n_missed = sum(1 for end, _ in over if end is None)
    p50, p95 = 1000 * np.percentile(delays, [50, 95])
    share = 100 * n_cut / len(over)
    return (
        f"{name:<32} {len(over):4d} turns  cut {share:4.1f}%  p50 {p50:4.0f} ms  p95 {p95:4.0f} ms  missed {n_missed}"
    )


def words(domain: str) -> Understand:
    """What the assistant of a domain makes of the audio so far."""
    from rejoinder import Assistant
    from rejoinder.dialogue import DialogueState

    pipeline = Assistant.load(domain).pipeline
    return lambda turn: pipeline.draft(pipeline.recognize(turn), DialogueState()).understanding.completion


def main() -> None:
    """Print the operating curve, or the test sets' figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", action="store_true", help="the two test sets at the default options, nothing else")
    parser.add_argument("--words", action="store_true", help="let understanding have its say; else only the voice has")
    parser.add_argument("--every", type=int, default=1, help="take every n-th recording only")
    arguments = parser.parse_args()
    an4 = words(str(corpus.AN4_DOMAIN)) if arguments.words else None
    if arguments.test:
        cafe = words(str(corpus.CAFE)) if arguments.words else None
        orders = [hear(recording.samples, cafe) for recording in corpus.cafe()]
        letters = [hear(recording.samples, an4) for recording in corpus.an4("test")]
        for name, heard in (("cafe", orders), ("AN4 test", letters), ("both", orders + letters)):
            if heard:
                print(report(name, heard, TurnOptions()))
        return
    heard = [hear(recording.samples, an4) for recording in corpus.an4("train")[:: arguments.every]]
    for silence_s in (0.3, 0.4, 0.5, 0.6, 0.7):
        fixed = replace(TurnOptions(), resume_risk=0.0, longest_silence_s=silence_s)
        print(report(f"fixed silence {silence_s:.1f} s", heard, replace(fixed, longest_unfinished_silence_s=silence_s)))
    for risk in (0.04, 0.055, 0.065, 0.075, 0.085, 0.1):
        print(report(f"resume_risk {risk:.3f}", heard, TurnOptions(resume_risk=risk)))


if __name__ == "__main__":
    main()
