"""Fit the model of `rejoinder.turns` on AN4's training set: `python -m benchmarks.fit_endpointing` prints its numbers.

Every utterance is heard twice: as it is, and at another speed with noise in it. Each pause is an example at several
lengths of its silence, with the question whether the caller went on. A ridge keeps correlated numbers small.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import astuple, fields

import numpy as np
from numpy.typing import NDArray

from benchmarks import corpus
from benchmarks.endpointing import hear, words
from rejoinder.audio import SAMPLE_RATE, resample
from rejoinder.evaluate.turntaking import PATIENT, Understand
from rejoinder.events import Completion, Samples
from rejoinder.prosody import Prosody
from rejoinder.turns import SpeechPaused, SpeechResumed, TurnState, step
from rejoinder.vad import CHUNK_S

SILENT_CHUNKS = (3, 4, 5, 6, 8, 10, 13, 16, 20)
"""Silences at which a pause is looked at; the shortest ones end no turn, but show more voices that go on."""
WORDS_FROM_CHUNK = 6
"""From here on what understanding made of the words is known."""
RIDGE = 0.003
"""Weight of the squared coefficients against the mean loss."""

Floats = NDArray[np.float64]
NAMES = ("silence_s", "complete", "incomplete", "log_speech", "log_piece", *(field.name for field in fields(Prosody)))


def varied(samples: Samples, rng: np.random.Generator) -> Samples:
    """The same words up to a tenth faster or slower, with noise 12 to 40 dB below the speech."""
    changed = resample(samples, round(SAMPLE_RATE * rng.uniform(0.9, 1.1)), SAMPLE_RATE)
    level = np.sqrt(np.percentile(np.square(changed), 95) / 2)
    noise = rng.normal(0.0, level * 10 ** (-rng.uniform(12, 40) / 20), len(changed))
    return (changed + noise).astype(np.float32)


def continued(samples: Samples, rng: np.random.Generator) -> Samples:
    """With noise at the recording's own floor after it, or the fit would learn to hear where a file ends."""
    blocks = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    floor = np.percentile(np.sqrt(np.square(blocks).mean(axis=1)), 5)
    return np.append(samples, rng.normal(0.0, floor, SAMPLE_RATE // 2)).astype(np.float32)


def examples(samples: Samples, understand: Understand) -> Iterator[tuple[tuple[float, ...], bool]]:
    """The numbers of each pause at each length of its silence, and whether the caller went on."""
    heard = hear(samples, understand)
    state, silences = TurnState(), list[tuple[TurnState, Prosody, Completion | None]]()
    resumed: list[float] = []
    for probability in heard.probabilities:
        state, events = step(state, probability, options=PATIENT)
        for event in events:
            if isinstance(event, SpeechPaused):
                silences.append((state, *heard.pauses[event.at_s]))
            elif isinstance(event, SpeechResumed):
                paused = silences[-1][0]
                resumed.append(event.at_s - (paused.n_chunks - paused.n_silent) * CHUNK_S)
    for i, (paused, prosody, completion) in enumerate(silences):
        goes_on = i < len(resumed)
        for n_silent in SILENT_CHUNKS:
            if goes_on and n_silent * CHUNK_S > resumed[i]:
                break
            known = completion if n_silent >= WORDS_FROM_CHUNK else None
            words_say = (known is Completion.COMPLETE, known is Completion.INCOMPLETE)
            spoken_s = paused.n_speech * CHUNK_S
            logs = (math.log(spoken_s), math.log(spoken_s / paused.n_pieces))
            yield (n_silent * CHUNK_S, *map(float, words_say), *logs, *astuple(prosody)), goes_on


def fit(numbers: Floats, resumed: NDArray[np.bool_]) -> Floats:
    """Logistic regression by Newton's method: coefficients of `numbers`, (n_examples, n_names), then the intercept."""
    mean, deviation = numbers.mean(axis=0), numbers.std(axis=0)
    inputs = np.column_stack([(numbers - mean) / deviation, np.ones(len(numbers))])
    ridge = np.full(inputs.shape[1], RIDGE)
    ridge[[0, -1]] = 0.0  # silence and the intercept are free
    weights = np.zeros(inputs.shape[1])
    for _ in range(20):
        risk = 1.0 / (1.0 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (risk - resumed) / len(inputs) + ridge * weights
        curvature = (inputs.T * (risk * (1.0 - risk))) @ inputs / len(inputs) + np.diag(ridge + 1e-9)
        weights -= np.linalg.solve(curvature, gradient)
    coefficients = weights[:-1] / deviation
    return np.append(coefficients, weights[-1] - coefficients @ mean)


def main() -> None:
    """Print the coefficients by name, ready for `turns.py`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every n-th recording only")
    every = parser.parse_args().every
    rng = np.random.default_rng(0)
    understand = words(str(corpus.AN4_DOMAIN))
    found = [
        example
        for recording in corpus.an4("train")[::every]
        for samples in (recording.samples, varied(recording.samples, rng))
        for example in examples(continued(samples, rng), understand)
    ]
    weights = fit(np.array([numbers for numbers, _ in found]), np.array([resumed for _, resumed in found]))
    for name, weight in zip((*NAMES, "intercept"), weights, strict=True):
        print(f"{name:<18} {weight:8.3f}")


if __name__ == "__main__":
    main()
