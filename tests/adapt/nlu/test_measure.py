"""Figures of intents and slots."""

import numpy as np
import pytest

from rejoinder.adapt.nlu.measure import auroc, of_predictions, values
from rejoinder.nlu.classifier import OUT_OF_SCOPE, Prediction


def test_auroc_counts_pairs_and_half_of_ties() -> None:
    assert auroc(np.array([0.9, 0.5]), np.array([0.5, 0.1])) == pytest.approx(3.5 / 4)


def test_figures_of_predictions() -> None:
    predictions = [
        Prediction((("order", 0.9),), 0.9, 0.9),
        Prediction((("hours", 0.6),), 0.6, 0.6),
        Prediction((("order", 0.4),), 0.4, 0.4),
        Prediction((("order", 0.7),), 0.7, 0.7),
        Prediction((), 0.0, 0.0),
    ]
    figures = of_predictions(predictions, ["order", "order", "order", OUT_OF_SCOPE, OUT_OF_SCOPE])
    assert figures == pytest.approx({"accuracy": 2 / 3, "believed": 1 / 3, "false_alarms": 0.5, "auroc": 4 / 6})


def test_values_stand_between_their_borders() -> None:
    assert values(["O", "B-size", "B-milk", "I-milk"]) == {("size", 1, 2), ("milk", 2, 4)}
