"""What callers meant against what they were taken to mean: intents, slots, what is out of scope, and confidence.

The conventions are scikit-learn's, and the tests compare with it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rejoinder.evaluate.records import Meaning
from rejoinder.evaluate.scores import CalibrationBin, Meanings, SlotScore, Understanding
from rejoinder.evaluate.significance import ratio, share

NONE = "none"
"""The label of what no intent covers, and of turns that were taken for no intent."""

N_BINS = 10
N_ROC_POINTS = 200


class Judged(NamedTuple):
    """One utterance: what was meant and what was understood; None when the session heard no turn."""

    meant: Meaning
    understood: Meaning | None

    @property
    def labels(self) -> tuple[str, str]:
        """The intents meant and understood."""
        return self.meant.intent or NONE, (self.understood and self.understood.intent) or NONE

    @property
    def is_right(self) -> bool:
        """Whether intent and every slot are right."""
        return self.understood is not None and self.understood.same_as(self.meant)


def understanding(heard: Sequence[Judged], reference: Sequence[Judged] = ()) -> Understanding:
    """All about the understanding of at least one utterance: of the words heard, and of the reference words.

    Detection of what is out of scope and confidence are judged on the words heard.
    """
    auroc, roc = out_of_scope(heard)
    error, bins = calibration(heard)
    return Understanding(
        heard=meanings(heard),
        reference=meanings(reference) if reference else None,
        out_of_scope_auroc=auroc,
        roc=roc,
        calibration_error=error,
        calibration=bins,
    )


def meanings(judged: Sequence[Judged]) -> Meanings:
    """Intents and slots of at least one utterance.

    Macro F1 is over every intent that was meant or understood. A slot's value is right when it is the very canonical
    one, whatever the intent; a wrong one is both missed and false.
    """
    labels = [one.labels for one in judged]
    intents = tuple(sorted({label for pair in labels for label in pair}, key=lambda label: (label == NONE, label)))
    confusion = np.zeros((len(intents), len(intents)), np.int64)
    for meant, understood in labels:
        confusion[intents.index(meant), intents.index(understood)] += 1
    counts = [_slot_counts(one) for one in judged]
    # F1 of all slots together is a ratio of sums: twice what is right, over what was meant and what was understood.
    parts = [2 * sum(right.values()) for right, _, _ in counts]
    wholes = [sum(meant.values()) + sum(understood.values()) for _, meant, understood in counts]
    return Meanings(
        accuracy=share([meant == understood for meant, understood in labels]),
        macro_f1=macro_f1(confusion),
        intents=intents,
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        slot_f1=ratio(parts, wholes) if any(wholes) else None,
        slots=_slot_scores(counts),
        understood=share([one.is_right for one in judged]),
    )


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """The mean of every label's F1; rows of `confusion`, (n_labels, n_labels), are the truth."""
    right, meant, understood = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return float(np.mean(2 * right / np.maximum(meant + understood, 1)))


_SlotCounts = tuple[Counter[str], Counter[str], Counter[str]]
"""By slot: values that were right, meant, and understood."""


def _slot_counts(judged: Judged) -> _SlotCounts:
    meant = judged.meant.slots
    understood = judged.understood.slots if judged.understood else {}
    right = [slot for slot, value in meant.items() if understood.get(slot) == value]
    return Counter(right), Counter(meant.keys()), Counter(understood.keys())


def _slot_scores(counts: Sequence[_SlotCounts]) -> dict[str, SlotScore]:
    """By slot, in the order of their names."""
    right, meant, understood = (sum((one[n] for one in counts), Counter[str]()) for n in range(3))
    return {
        slot: SlotScore(
            precision=right[slot] / max(understood[slot], 1),
            recall=right[slot] / max(meant[slot], 1),
            f1=2 * right[slot] / (meant[slot] + understood[slot]),
            n=meant[slot],
        )
        for slot in sorted(meant.keys() | understood.keys())
    }


def out_of_scope(judged: Sequence[Judged]) -> tuple[float | None, tuple[tuple[float, float], ...]]:
    """How well confidence tells what no intent covers from the rest: area under the ROC, and its points.

    The less confident, the likelier out of scope, whatever was decided; a turn that was not heard has no confidence in
    any intent, and neither has one that the knowledge answered. None and no points unless there are utterances of both
    kinds.
    """
    beyond = np.array([one.meant.intent is None for one in judged], bool)
    if beyond.all() or not beyond.any():
        return None, ()
    confidence = np.array([_confidence_in_intent(one.understood) for one in judged])
    alarms, detections = roc_curve(beyond, -confidence)
    kept = _corners(alarms, detections)
    if len(kept) > N_ROC_POINTS:
        kept = kept[np.linspace(0, len(kept) - 1, N_ROC_POINTS).round().astype(int)]
    return area(alarms, detections), tuple((float(alarms[at]), float(detections[at])) for at in kept)


def _confidence_in_intent(understood: Meaning | None) -> float:
    """That some intent was meant; a confident answer from the knowledge says that none was."""
    return 0.0 if understood is None or understood.source == "knowledge" else understood.confidence


def roc_curve(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False alarm and detection rates at every threshold, from (0, 0) to (1, 1); both have the same shape.

    `positive` and `scores`, both (n,), hold at least one of either kind; equal scores share a threshold.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each run of equal scores
    hits = np.cumsum(positive[order])[last]
    alarms = last + 1 - hits
    return np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])


def area(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Under the lines between points that are in the order of `x`."""
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


def _corners(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which points of a curve are not on a line between their neighbours: the ends, and where it turns."""
    dx, dy = np.diff(x), np.diff(y)
    turns = ~np.isclose(dx[:-1] * dy[1:], dx[1:] * dy[:-1], rtol=1e-9, atol=1e-15)
    return np.concatenate([[0], np.flatnonzero(turns) + 1, [len(x) - 1]])


def calibration(judged: Sequence[Judged]) -> tuple[float, tuple[CalibrationBin, ...]]:
    """Expected calibration error of the intents' confidence, and its bins that have turns, from the least confident.

    The mean over turns of how far the accuracy of their bin is from its confidence, with `N_BINS` bins of equal width
    ("Obtaining well calibrated probabilities using Bayesian binning", Naeini et al. 2015). Turns that were taken for no
    intent are left out: their confidence is that of an intent that was not believed. 0 where there are no others.
    """
    believed = [one for one in judged if one.understood is not None and one.understood.intent is not None]
    by_bin: dict[int, list[tuple[float, bool]]] = {}
    for one in believed:
        assert one.understood is not None
        confidence = one.understood.confidence
        at = min(max(int(confidence * N_BINS), 0), N_BINS - 1)
        by_bin.setdefault(at, []).append((confidence, one.understood.intent == one.meant.intent))
    bins = []
    for _, turns in sorted(by_bin.items()):
        confidence, accuracy = np.mean(turns, axis=0)
        bins.append(CalibrationBin(float(confidence), float(accuracy), len(turns)))
    error = sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / max(len(believed), 1)
    return error, tuple(bins)
