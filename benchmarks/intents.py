"""Intents on public sets: frozen against fine-tuned, and trained on clean text against the recognizer's mistakes."""

import csv
import json
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import CAFE, PHARMACY, data_folder
from rejoinder.adapt.nlu.data import Example, domain_examples, in_scope, split, spread, unseen_sentences
from rejoinder.adapt.nlu.measure import measure, of_predictions
from rejoinder.adapt.nlu.noise import as_heard
from rejoinder.adapt.voices import held_out_voices, training_voices
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.domain import Domain, Term
from rejoinder.errors import AdaptError
from rejoinder.models import resolve
from rejoinder.nlu.classifier import OUT_OF_SCOPE
from rejoinder.nlu.joint import JointModel
from rejoinder.progress import Progress, silent

Examples = tuple[Example, ...]
Figures = dict[str, Any]

N_SPOKEN_EACH = 10
"""Sentences of each intent that are spoken to learn from."""
N_TESTED_EACH = 3
"""Sentences of each intent that are spoken to test on."""
N_WRITTEN, N_SPOKEN = 2_000, 600
"""Sentences of an example domain that are learned from, and how many are spoken, as `rejoinder adapt nlu` does."""
TEST_CONDITIONS = ("noise5", "phone")


def clinc150(folder: Path, progress: Progress = silent) -> Figures:
    """150 intents and what belongs to none; settings and the score were settled on the validation set."""
    parts = read_clinc150()
    test = (*parts["test"], *parts["oos_test"])
    instant = _instant((*parts["train"], *parts["oos_train"]), test, progress)
    deep = _deep(
        (*parts["train"], *parts["oos_train"]),
        (*parts["val"], *parts["oos_val"]),
        test,
        n_epochs=3,
        folder=folder / "deep",
        progress=progress,
    )
    return {"clinc150": {"instant": instant, "deep": deep, "minutes": instant["minutes"] + deep["minutes"]}}


def banking77(folder: Path, progress: Progress = silent) -> Figures:
    """77 intents of a bank's customers; a tenth of the training set is held out to validate on."""
    train, test = (read_banking77(part) for part in ("train", "test"))
    instant = _instant(train, test, progress)
    learned, validation = split(train, share=0.1)
    deep = _deep(learned, validation, test, n_epochs=5, folder=folder / "deep", progress=progress)
    return {"banking77": {"instant": instant, "deep": deep, "minutes": instant["minutes"] + deep["minutes"]}}


def word_errors(folder: Path, progress: Progress = silent) -> Figures:
    """Spoken sentences: understanding trained on clean text against trained on what the recognizer makes of it as well.

    Of CLINC150, whose words are everyone's, and of the example domains, whose terms the recognizer does not know.
    """
    started = time.perf_counter()
    parts = read_clinc150()
    learned, validation, said = (
        some_of_each(parts[name], n) for name, n in (("train", N_SPOKEN_EACH), ("val", 5), ("test", N_TESTED_EACH))
    )
    figures: Figures = {"clinc150": _compared(learned, learned, said, validation, (), folder / "clinc150", progress)}
    for path in (CAFE, PHARMACY):
        domain = Domain.load(path)
        written = domain_examples(domain, n=N_WRITTEN, seed=0)
        spoken = spread(in_scope(written), N_SPOKEN)
        unseen = unseen_sentences(domain, written, seed=1)
        figures[path.name] = _compared(written, spoken, unseen, (), domain.terms, folder / path.name, progress)
    return {"word_errors": {**figures, "minutes": _minutes_since(started)}}


def _compared(
    written: Examples,
    spoken: Examples,
    said: Examples,
    validation: Examples,
    terms: Sequence[Term],
    folder: Path,
    progress: Progress,
) -> Figures:
    """A model trained on `written` and `spoken` once more, and one trained on `written` and `spoken` as it is heard.

    Both learn from as many sentences, so for as many steps. `spoken` is spoken by the training voices and heard in
    varied conditions, by the base recognizer without bias; `said`, which is measured, by voices that are not among
    them, in noise and through a telephone.
    """
    recognizer = MoonshineRecognizer.load(resolve("moonshine-tiny"))

    def heard(examples: Examples, name: str, **how: Any) -> dict[Example, Example]:
        return as_heard(
            examples,
            partial(map, lambda sound: recognizer.transcribe(sound.samples()).text),
            terms=terms,
            kept=folder / name,
            progress=progress,
            **how,
        )

    mistakes = heard(spoken, "train.jsonl", voices=training_voices())
    tested = heard(said, "test.jsonl", voices=held_out_voices(), conditions=TEST_CONDITIONS)
    figures: Figures = {"n_sentences": len(tested), "word_error_rate": round(word_error_rate(tested), 4)}
    for name, added in (("clean", tuple(mistakes)), ("with_word_errors", tuple(mistakes.values()))):
        model = _tuned((*written, *added), validation, n_epochs=6, folder=folder / name, progress=progress)
        for text, examples in (("recognized", tuple(tested.values())), ("typed", tuple(tested))):
            measured = measure(model, examples)
            figures[f"{text}_{name}"] = round(measured["accuracy"], 4)
            if "slots_f1" in measured:
                figures[f"{text}_{name}_slots_f1"] = round(measured["slots_f1"], 4)
    return figures


def some_of_each(examples: Examples, n: int) -> Examples:
    """At most `n` examples of each intent, always the same."""
    chosen: dict[str, list[Example]] = defaultdict(list)
    for example in random.Random(0).sample(examples, len(examples)):
        if len(chosen[example.intent]) < n:
            chosen[example.intent].append(example)
    return tuple(example for intent in sorted(chosen) for example in chosen[intent])


def word_error_rate(heard: Mapping[Example, Example]) -> float:
    """Word errors over the words said, from what was said to what was heard."""
    from rapidfuzz.distance import Levenshtein

    n_errors = sum(Levenshtein.distance(one.words, other.words) for one, other in heard.items())
    return n_errors / sum(len(one.words) for one in heard)


def _instant(train: Examples, test: Examples, progress: Progress) -> Figures:
    """The tier without PyTorch: a head on frozen vectors."""
    from rejoinder.nlu.classifier import IntentClassifier
    from rejoinder.nlu.encoder import Encoder

    started = time.perf_counter()
    encoder = Encoder.load()
    progress("instant", 0, 3, "embedding")
    vectors = encoder.encode([example.text for example in train])
    progress("instant", 1, 3, "fitting")
    classifier = IntentClassifier.fit(vectors, [example.intent for example in train])
    minutes = _minutes_since(started)
    progress("instant", 2, 3, "measuring")
    tested = encoder.encode([example.text for example in test])
    predictions = [one for part in np.array_split(tested, 20) for one in classifier.predict_many(part)]
    progress("instant", 3, 3)
    return {**_rounded(of_predictions(predictions, [example.intent for example in test])), "minutes": minutes}


def _deep(
    train: Examples, validation: Examples, test: Examples, *, n_epochs: int, folder: Path, progress: Progress
) -> Figures:
    """The encoder fine-tuned, as the assistant opens it: int8."""
    started = time.perf_counter()
    model = _tuned(train, validation, n_epochs=n_epochs, folder=folder, progress=progress)
    minutes = _minutes_since(started)
    return {**_rounded(measure(model, test, progress=progress)), "minutes": minutes}


def _tuned(train: Examples, validation: Examples, *, n_epochs: int, folder: Path, progress: Progress) -> JointModel:
    from rejoinder.adapt.nlu.model import BASE
    from rejoinder.adapt.nlu.training import Recipe, fine_tune

    recipe = Recipe()
    recipe = replace(recipe, training=replace(recipe.training, n_epochs=n_epochs))
    made = fine_tune(BASE, train, validation=validation, recipe=recipe, folder=folder, progress=progress)
    return JointModel.load(made)


def read_clinc150() -> dict[str, Examples]:
    """The parts of CLINC150 ("train", "val", "test", and "oos_…" of each: out of scope)."""
    entries = json.loads((_folder("clinc150") / "data_full.json").read_text(encoding="utf-8"))
    return {
        part: tuple(Example.plain(text, OUT_OF_SCOPE if intent == "oos" else intent) for text, intent in rows)
        for part, rows in entries.items()
    }


def read_banking77(part: str) -> Examples:
    """One part of banking77: "train" or "test"."""
    with (_folder("banking77") / f"{part}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Example.plain(row["text"], row["category"]) for row in csv.DictReader(file))


def _folder(name: str) -> Path:
    folder = data_folder(name)
    if folder is None:
        raise AdaptError(f"the set '{name}' is not there; put it into $REJOINDER_DATA/{name}")
    return folder


def _minutes_since(started: float) -> float:
    return round((time.perf_counter() - started) / 60, 2)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}
