"""Endpointing by itself: how long after the last sample of speech a turn is over, against how many are cut off.

`python -m benchmarks.endpointing` prints the operating curve on AN4's training set; `--test` a line for each test set.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks import corpus
from rejoinder.audio import SAMPLE_RATE
from rejoinder.evaluate.records import EARLY_S
from rejoinder.evaluate.turntaking import Observed, Understand, first_turn, observe, speech_span, words_of
from rejoinder.events import Samples
from rejoinder.turns import TurnOptions

SILENCE_AFTER_S = 2.0
"""Digital silence fed after the recording, so that every turn can end."""


def hear(recorded: Samples, understand: Understand | None) -> Observed:
    """Work out what the turn machine is given."""
    silence = np.zeros(round(SILENCE_AFTER_S * SAMPLE_RATE), np.float32)
    return observe(np.concatenate([recorded, silence]), speech_span(recorded)[1], understand)


def report(name: str, all_heard: Sequence[Observed], options: TurnOptions) -> str:
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

    return words_of(Assistant.load(domain))


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
