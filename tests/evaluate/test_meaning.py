"""Intents, slots, scope and confidence: by hand, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.evaluate.meaning import N_ROC_POINTS, Judged, calibration, meanings, out_of_scope, understanding
from rejoinder.evaluate.records import Meaning
from rejoinder.evaluate.scores import SlotScore

INTENTS = (None, "order", "price", "hours")
SLOTS = st.dictionaries(st.sampled_from(("size", "drink")), st.sampled_from(("large", "small", "latte")))
MEANT = st.builds(Meaning, intent=st.sampled_from(INTENTS), slots=SLOTS)
CONFIDENCE = st.one_of(st.floats(0, 1), st.sampled_from((0.0, 0.1, 0.5, 0.7, 1.0)))
UNDERSTOOD = st.builds(Meaning, intent=st.sampled_from((*INTENTS, "cancel")), slots=SLOTS, confidence=CONFIDENCE)
JUDGED = st.lists(st.builds(Judged, MEANT, st.none() | UNDERSTOOD), min_size=1, max_size=30)


def judged(meant: str | None, understood: str | None, confidence: float = 1.0) -> Judged:
    return Judged(Meaning(meant), Meaning(understood, confidence=confidence))


def ordered(meant: dict[str, str], understood: dict[str, str] | None, intent: str = "order") -> Judged:
    return Judged(Meaning("order", meant), None if understood is None else Meaning(intent, understood))


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")  # scikit-learn's, where all are the same
class TestIntents:
    def test_by_hand(self) -> None:
        scored = meanings(
            [
                *(judged("order", "order"), judged("order", "order"), judged("order", None)),
                *(judged("hours", "order"), judged(None, None), judged(None, "cancel")),
                Judged(Meaning("hours"), None),  # no turn was heard
            ]
        )
        assert scored.intents == ("cancel", "hours", "order", "none")
        assert scored.confusion == ((0, 0, 0, 0), (0, 0, 1, 1), (0, 0, 2, 1), (1, 0, 0, 1))
        assert scored.accuracy.value == scored.understood.value == 3 / 7
        assert scored.macro_f1 == pytest.approx((0 + 0 + 4 / 6 + 2 / 5) / 4)
        assert scored.slot_f1 is None
        assert scored.slots == {}

    @settings(max_examples=30, deadline=None)
    @given(JUDGED)
    def test_as_scikit_learn_has_it(self, utterances: list[Judged]) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        scored = meanings(utterances)
        meant, understood = zip(*(one.labels for one in utterances), strict=True)
        assert scored.accuracy.value == pytest.approx(metrics.accuracy_score(meant, understood))
        assert scored.macro_f1 == pytest.approx(metrics.f1_score(meant, understood, average="macro", zero_division=0))
        confusion = metrics.confusion_matrix(meant, understood, labels=scored.intents)
        assert np.array_equal(scored.confusion, confusion)


class TestSlots:
    def test_by_hand(self) -> None:
        scored = meanings(
            [
                ordered({"size": "large", "drink": "latte"}, {"size": "large", "drink": "mocha"}),
                ordered({"size": "small"}, {"size": "small", "milk": "soy milk"}, intent="price"),
                ordered({"size": "small"}, {}),
                ordered({"size": "small"}, None),
            ]
        )
        assert scored.slots == {
            "drink": SlotScore(0.0, 0.0, 0.0, 1),
            "milk": SlotScore(0.0, 0.0, 0.0, 0),
            "size": SlotScore(1.0, 2 / 4, 2 * 2 / 6, 4),
        }
        assert scored.slot_f1 is not None
        assert scored.slot_f1.value == pytest.approx(2 * 2 / (5 + 4))
        assert scored.slot_f1.n == 4
        assert scored.understood.value == 0.0
        assert scored.accuracy.value == 2 / 4

    @settings(max_examples=30, deadline=None)
    @given(JUDGED)
    def test_as_scikit_learn_has_it(self, utterances: list[Judged]) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        scored = meanings(utterances)
        pairs = [f"{slot}={value}" for slot in ("drink", "size") for value in ("large", "small", "latte")]
        meant, understood = (
            np.array([[f"{pair}" in said for pair in pairs] for said in side])
            for side in zip(*(_pairs_of(one) for one in utterances), strict=True)
        )
        for slot, score in scored.slots.items():
            columns = [n for n, pair in enumerate(pairs) if pair.startswith(slot)]
            expected = metrics.precision_recall_fscore_support(
                meant[:, columns], understood[:, columns], average="micro", zero_division=0
            )[:3]
            assert (score.precision, score.recall, score.f1) == pytest.approx(expected)
        if scored.slot_f1 is not None:
            expected_f1 = metrics.f1_score(meant, understood, average="micro", zero_division=0)
            assert scored.slot_f1.value == pytest.approx(expected_f1)


def _pairs_of(one: Judged) -> tuple[set[str], set[str]]:
    understood = one.understood.slots if one.understood else {}
    return ({f"{k}={v}" for k, v in one.meant.slots.items()}, {f"{k}={v}" for k, v in understood.items()})


class TestOutOfScope:
    def test_by_hand(self) -> None:
        area, points = out_of_scope(
            [
                *(judged("order", "order", 0.9), judged("order", "order", 0.8), judged("hours", None, 0.3)),
                *(judged(None, None, 0.2), judged(None, "order", 0.8), Judged(Meaning(None), None)),
            ]
        )
        assert area == pytest.approx((3 + 3 + 1.5) / 9)
        assert np.allclose(points, [(0, 0), (0, 2 / 3), (1 / 3, 2 / 3), (2 / 3, 1), (1, 1)])

    def test_a_sure_answer_from_the_knowledge_is_no_intent(self) -> None:
        answered = Judged(Meaning(None), Meaning(None, confidence=0.95, source="knowledge"))
        assert out_of_scope([answered, judged("order", "order", 0.6)]) == (1.0, ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0)))

    @pytest.mark.parametrize("meant", [None, "order"])
    def test_it_takes_both_kinds(self, meant: str | None) -> None:
        assert out_of_scope([judged(meant, "order", 0.5)] * 3) == (None, ())

    @settings(max_examples=30, deadline=None)
    @given(JUDGED)
    def test_as_scikit_learn_has_it(self, utterances: list[Judged]) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        utterances = [*utterances, judged(None, None, 0.4), judged("order", "order", 0.6)]
        beyond = [one.meant.intent is None for one in utterances]
        doubt = [-(one.understood.confidence if one.understood else 0.0) for one in utterances]
        area, points = out_of_scope(utterances)
        assert area == pytest.approx(metrics.roc_auc_score(beyond, doubt))
        alarms, detections, _ = metrics.roc_curve(beyond, doubt, drop_intermediate=True)
        known = set(zip(np.round(alarms, 9), np.round(detections, 9), strict=True))
        assert {(round(x, 9), round(y, 9)) for x, y in points} <= known  # scikit-learn keeps some that are on a line
        assert metrics.auc(*zip(*points, strict=True)) == pytest.approx(area)

    def test_long_curves_are_thinned(self) -> None:
        rng = np.random.default_rng(0)
        many = [judged(None if n % 2 else "order", "order", float(rng.random())) for n in range(3000)]
        area, points = out_of_scope(many)
        assert len(points) == N_ROC_POINTS
        assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
        assert list(points) == sorted(points)
        x, y = np.array(points).T
        assert area == pytest.approx(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2), abs=0.005)


class TestCalibration:
    def test_by_hand(self) -> None:
        error, bins = calibration(
            [
                *(judged("order", "order", 0.92), judged("order", "order", 0.98), judged("hours", "order", 1.0)),
                *(judged("hours", "hours", 0.55), judged(None, "order", 0.5)),
                *(judged("order", None, 0.3), Judged(Meaning("order"), None)),  # taken for no intent: not counted
            ]
        )
        assert [one.n for one in bins] == [2, 3]
        assert [one.confidence for one in bins] == pytest.approx([0.525, 2.9 / 3])
        assert [one.accuracy for one in bins] == pytest.approx([1 / 2, 2 / 3])
        assert error == pytest.approx((2 * 0.025 + 3 * 0.3) / 5)

    def test_nothing_was_believed(self) -> None:
        assert calibration([judged("order", None, 0.3)]) == (0.0, ())

    def test_a_calibrated_model(self) -> None:
        rng = np.random.default_rng(0)
        confidences = rng.random(20_000)
        sure = [judged("order" if rng.random() < one else "hours", "order", float(one)) for one in confidences]
        error, bins = calibration(sure)
        assert error < 0.02
        assert len(bins) == 10

    @settings(max_examples=50)
    @given(JUDGED)
    def test_bins_hold_what_was_believed(self, utterances: list[Judged]) -> None:
        error, bins = calibration(utterances)
        assert 0 <= error <= 1
        assert sum(one.n for one in bins) == sum(bool(one.understood and one.understood.intent) for one in utterances)
        assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)


def test_the_reference_is_judged_beside_what_was_heard() -> None:
    heard = [judged("order", "hours", 0.7), judged(None, None, 0.1)]
    scored = understanding(heard, [judged("order", "order")])
    assert scored.heard == meanings(heard)
    assert scored.reference is not None
    assert scored.reference.accuracy.value == 1.0
    assert scored.out_of_scope_auroc == 1.0
    assert scored.calibration_error == pytest.approx(0.7)
    assert understanding(heard).reference is None
