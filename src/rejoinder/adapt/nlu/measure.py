"""How well intents and slots are read: of a model by itself, and of all that the assistant does with it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.adapt.nlu.data import Example
from rejoinder.nlu.classifier import OUT_OF_SCOPE, Prediction
from rejoinder.nlu.joint import BEGIN, OUTSIDE, JointModel
from rejoinder.nlu.understand import Understander
from rejoinder.progress import Progress, silent

BELIEVED = 0.5
"""The confidence from which on an intent is believed."""


def measure(model: JointModel, examples: Sequence[Example], *, progress: Progress = silent) -> dict[str, float]:
    """The figures of `of_predictions`, and "slots_f1" (values with their borders, Tjong Kim Sang and Buchholz 2000)."""
    predictions = []
    n_right = n_found = n_wanted = 0
    for n, example in enumerate(examples, 1):
        reading = model.read(example.words)
        predictions.append(reading.prediction)
        found = {span[:3] for span in reading.spans}
        wanted = values(example.tags)
        n_right += len(found & wanted)
        n_found += len(found)
        n_wanted += len(wanted)
        progress("measuring", n, len(examples))
    figures = of_predictions(predictions, [example.intent for example in examples])
    if n_wanted:
        figures["slots_f1"] = 2 * n_right / (n_found + n_wanted)
    return figures


def of_predictions(predictions: Sequence[Prediction], intents: Sequence[str]) -> dict[str, float]:
    """Figures of predictions for sentences whose intents are known (`OUT_OF_SCOPE`: none).

    "accuracy" is the share of what is in scope whose first intent is right, whatever its confidence; "auroc" the chance
    that a sentence in scope has a higher confidence than one that is not; "believed" the share of what is in scope that
    is right and believed; "false_alarms" the share of the rest that is believed.
    """
    confidence = np.array([prediction.confidence for prediction in predictions])
    in_scope = np.array([intent != OUT_OF_SCOPE for intent in intents])
    right = np.array(
        [bool(p.ranking) and p.ranking[0][0] == intent for p, intent in zip(predictions, intents, strict=True)]
    )
    figures: dict[str, float] = {}
    if in_scope.any():
        figures["accuracy"] = float(right[in_scope].mean())
        figures["believed"] = float((right & (confidence >= BELIEVED))[in_scope].mean())
    if not in_scope.all():
        figures["false_alarms"] = float((confidence >= BELIEVED)[~in_scope].mean())
        if in_scope.any():
            figures["auroc"] = auroc(confidence[in_scope], confidence[~in_scope])
    return figures


def understood(
    understander: Understander, examples: Sequence[Example], *, progress: Progress = silent
) -> dict[str, float]:
    """The measures of the gate, of everything that understanding does with a sentence.

    "domain_error" is the share of the sentences in scope whose intent or a slot's value is wrong, missing or too many;
    "false_alarms" the share of the others that are taken for an intent. Sampled dates are those of `REFERENCE_DAY`: it
    has to be the understander's `today`.
    """
    wrong, alarms = [], []
    for n, example in enumerate(examples, 1):
        meant = understander.understand(example.text)
        if example.intent == OUT_OF_SCOPE:
            alarms.append(meant.intent is not None)
        else:
            wrong.append(meant.intent != example.intent or dict(meant.slots) != dict(example.values))
        progress("measuring", n, len(examples))
    return {
        "domain_error": float(np.mean(wrong)) if wrong else 0.0,
        "false_alarms": float(np.mean(alarms)) if alarms else 0.0,
    }


def values(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The slots in tags, with the words from and to (exclusive) which they stand."""
    found: list[tuple[str, int, int]] = []
    for at, tag in enumerate(tags):
        if tag.startswith(BEGIN):
            found.append((tag.removeprefix(BEGIN), at, at + 1))
        elif tag != OUTSIDE:
            slot, start, _ = found.pop()
            found.append((slot, start, at + 1))
    return set(found)


def auroc(positive: NDArray[Any], negative: NDArray[Any]) -> float:
    """The chance that a positive score is above a negative one, ties counting half (Mann and Whitney)."""
    below = np.searchsorted(np.sort(negative), positive, side="left")
    not_above = np.searchsorted(np.sort(negative), positive, side="right")
    return float((below + not_above).mean() / 2 / len(negative))
