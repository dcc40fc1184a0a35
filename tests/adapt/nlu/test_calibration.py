"""Confidence from validation sentences."""

import numpy as np
import pytest

from rejoinder.adapt.nlu.calibration import Floats, calibrate
from rejoinder.nlu.classifier import OUT_OF_SCOPE
from rejoinder.nlu.joint import Calibration, softmax

NAMES = (OUT_OF_SCOPE, "hours", "order")


def cosines(nearest: float, *, n: int, spread: float, seed: int = 0) -> Floats:
    """Sentences (n, 3) whose intent is "order", and whose cosine to it is about `nearest`."""
    rng = np.random.default_rng(seed)
    made = rng.normal([0.1, 0.1, nearest], spread, (n, 3))
    return np.asarray(made, np.float32)


def confidences(calibration: Calibration, values: Floats) -> Floats:
    """Of sentences whose likeliest intent is "order"."""
    probabilities = softmax(values * (20 / calibration.temperature))[:, 2]
    pairs = zip(probabilities, values[:, 2], strict=True)
    return np.array([calibration.confidence(float(p), float(c)) for p, c in pairs], np.float32)


def test_half_is_where_both_errors_are_as_rare() -> None:
    own, others = cosines(0.8, n=400, spread=0.1), cosines(0.4, n=40, spread=0.1, seed=1)
    intents = ["order"] * 400 + [OUT_OF_SCOPE] * 40
    calibration = calibrate(np.vstack([own, others]), intents, NAMES, scale=20)
    missed = (confidences(calibration, cosines(0.8, n=2000, spread=0.1, seed=2)) < 0.5).mean()
    alarms = (confidences(calibration, cosines(0.4, n=2000, spread=0.1, seed=3)) >= 0.5).mean()
    assert missed < 0.06
    assert alarms < 0.06


def test_few_sentences_well_apart_do_not_make_it_certain() -> None:
    values = np.vstack([cosines(0.9, n=5, spread=0.01), cosines(0.1, n=5, spread=0.01)])
    calibration = calibrate(values, ["order"] * 5 + [OUT_OF_SCOPE] * 5, NAMES, scale=20)
    assert 0.6 < confidences(calibration, values)[0] < 0.999
    assert confidences(calibration, values)[-1] < 0.4


def test_without_anything_out_of_scope_confidence_is_the_chance_to_be_right() -> None:
    rng = np.random.default_rng(0)
    values = np.asarray(rng.normal(0.3, 0.05, (3000, 3)), np.float32)
    truth = rng.random(3000)
    probabilities = softmax(values * 20)
    intents = [NAMES[1] if u < p[1] / (p[1] + p[2]) else NAMES[2] for u, p in zip(truth, probabilities, strict=True)]
    calibration = calibrate(values[:, 1:], intents, NAMES[1:], scale=20)
    two = softmax(values[:, 1:] * (20 / calibration.temperature))
    first = two.argmax(axis=1)
    confidence = np.array([calibration.confidence(two[n, at], values[n, 1 + at]) for n, at in enumerate(first)])
    right = np.array([NAMES[1 + at] == intent for at, intent in zip(first, intents, strict=True)])
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.02)


def test_nothing_in_scope_leaves_the_defaults() -> None:
    calibration = calibrate(cosines(0.4, n=3, spread=0.1), [OUT_OF_SCOPE] * 3, NAMES, scale=20)
    assert calibration.temperature == 1.0
