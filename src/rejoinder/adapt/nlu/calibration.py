"""How far to believe a trained model, settled on validation sentences alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.nlu.classifier import OUT_OF_SCOPE
from rejoinder.nlu.joint import MOST_ODDS, Calibration, softmax

TEMPERATURES = np.geomspace(0.1, 4.0, 41)

RIDGE = 0.02
"""Pull of the weights towards zero, beside a mean loss over the sentences: few of them, well apart, would else make
every confidence 0 or 1."""

Floats = NDArray[np.float32]


def calibrate(cosines: Floats, intents: Sequence[str], names: Sequence[str], *, scale: float) -> Calibration:
    """Fit on the cosines (n_sentences, n_intents) of validation sentences, whose intents are `intents`.

    `names` are the intents of the columns. The confidence is a logistic of the first intent's log-odds and its cosine.
    Sentences of no intent weigh as much as all others together, so that 0.5 is where both errors are as rare.
    """
    in_scope = np.array([intent != OUT_OF_SCOPE for intent in intents])
    columns = np.array([names.index(intent) for intent in intents])
    if not in_scope.any():
        return Calibration()
    temperature = _temperature(cosines[in_scope] * scale, columns[in_scope])
    probabilities = softmax(np.asarray(cosines * (scale / temperature), np.float32))
    considered = np.array([name != OUT_OF_SCOPE for name in names])
    first = np.where(considered, probabilities, -1.0).argmax(axis=1)
    rows = np.arange(len(cosines))
    probability, nearest = probabilities[rows, first].astype(np.float64), cosines[rows, first].astype(np.float64)
    odds = np.clip(np.log((probability + 1e-6) / (1 - probability + 1e-6)), -MOST_ODDS, MOST_ODDS)
    right = in_scope & (first == columns)
    weights = np.ones(len(cosines))
    if not in_scope.all():
        weights = np.where(in_scope, 0.5 / in_scope.sum(), 0.5 / (~in_scope).sum())
    by_odds, by_nearness, bias = _logistic(np.stack([odds, nearest], axis=1), right, weights / weights.sum())
    return Calibration(temperature, by_odds, by_nearness, bias)


def _temperature(logits: Floats, targets: NDArray[Any]) -> float:
    rows = np.arange(len(logits))

    def surprise(temperature: float) -> float:
        return -float(np.log(softmax(np.asarray(logits / temperature, np.float32))[rows, targets] + 1e-12).mean())

    return float(min(TEMPERATURES, key=surprise))


def _logistic(features: NDArray[Any], right: NDArray[Any], weights: NDArray[Any]) -> tuple[float, float, float]:
    """The weights of the two features and the bias, by Newton's method on a loss with a ridge; none is below zero."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    used = [0, 1]
    while True:
        inputs = np.hstack([((features - mean) / spread)[:, used], np.ones((len(features), 1))])
        ridge = np.diag([RIDGE] * len(used) + [1e-4])
        found = np.zeros(len(used) + 1)
        for _ in range(50):
            chances = 1 / (1 + np.exp(-inputs @ found))
            gradient = inputs.T @ (weights * (chances - right)) + ridge @ found
            curvature = (inputs * (weights * chances * (1 - chances))[:, None]).T @ inputs + ridge
            found -= np.linalg.solve(curvature, gradient)
        # A feature that speaks against itself is noise of a small validation set.
        kept = [feature for feature, weight in zip(used, found, strict=False) if weight > 0]
        if kept == used:
            break
        used = kept
    by_feature = np.zeros(2)
    by_feature[used] = found[:-1]
    by_feature /= spread
    return float(by_feature[0]), float(by_feature[1]), float(found[-1] - by_feature @ mean)
