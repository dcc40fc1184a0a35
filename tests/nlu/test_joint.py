"""The joint model at run time; `tests/adapt/nlu` trains one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rejoinder.errors import ModelError
from rejoinder.nlu.classifier import OUT_OF_SCOPE, Prediction
from rejoinder.nlu.joint import LABELS, Calibration, JointModel, Labels, TaggedSpan, spans

TAGS = ("O", "B-size", "I-size", "B-drink", "I-drink")


def logits(*tags: str, sure: float = 5.0) -> NDArray[np.float32]:
    return np.array([[sure * (tag == one) for one in TAGS] for tag in tags], np.float32)


def test_tags_become_values_with_their_words() -> None:
    found = spans(logits("O", "B-size", "I-size", "B-drink", "B-drink"), TAGS)
    assert [span[:3] for span in found] == [("size", 1, 3), ("drink", 3, 4), ("drink", 4, 5)]
    assert all(span.probability > 0.9 for span in found)


def test_a_value_that_does_not_begin_is_made_to() -> None:
    assert [span[:3] for span in spans(logits("O", "I-size", "I-size"), TAGS)] == [("size", 1, 3)]


@given(st.lists(st.lists(st.floats(-5, 5), min_size=5, max_size=5), max_size=6))
def test_values_never_overlap_and_stay_within_the_words(rows: list[list[float]]) -> None:
    found = spans(np.array(rows, np.float32).reshape(-1, 5), TAGS)
    ends = [0, *(span.end for span in found)]
    assert all(span.start >= end and span.start < span.end <= len(rows) for span, end in zip(found, ends, strict=False))
    assert all(isinstance(span, TaggedSpan) and 0 < span.probability <= 1 for span in found)


def test_confidence_grows_with_odds_and_nearness() -> None:
    calibration = Calibration(odds=0.5, nearness=6.0, bias=-4.0)
    assert calibration.confidence(0.9, 0.8) > calibration.confidence(0.6, 0.8) > calibration.confidence(0.6, 0.3)
    assert calibration.confidence(1.0, 0.9) == calibration.confidence(0.999, 0.9)  # far beyond the border is no surer


def test_labels_are_the_same_after_a_round_trip(tmp_path: Path) -> None:
    labels = Labels((OUT_OF_SCOPE, "order"), TAGS, 20.0, Calibration(0.7, 0.5, 6.0, -4.0))
    labels.write(tmp_path / LABELS)
    assert Labels.read(tmp_path / LABELS) == labels


@pytest.mark.parametrize("content", ["", "{}", '{"intents": ["order"]}'])
def test_damaged_labels_say_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / LABELS).write_text(content)
    with pytest.raises(ModelError, match=r"joint\.json: is damaged; adapt the domain again"):
        JointModel.load(tmp_path)


def test_a_missing_or_damaged_graph_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"joint\.json: No such file"):
        JointModel.load(tmp_path)
    Labels(("a", "b"), ("O",), 20.0, Calibration()).write(tmp_path / LABELS)
    with pytest.raises(ModelError, match="cannot be opened as an intent and slot model"):
        JointModel.load(tmp_path)


def test_an_intent_that_the_domain_no_longer_has_is_not_believed() -> None:
    prediction = Prediction((("gone", 0.8), ("order", 0.2)), 0.9, 0.9)
    assert prediction.among(["order"]) == Prediction((), 0.0, 0.0)
    assert prediction.among(["gone"]).ranking == (("gone", 0.8),)
