"""Answers from knowledge on XQuAD: the right passage first, and the reader's words, cross-validated by article.

The English XQuAD dev set (120 paragraphs of 24 articles, 632 questions of SQuAD) is the only data: the reader is
trained on the questions of half of the articles and answers those of the other half, and the other way round. Of the
articles that it answers, it has seen neither questions nor paragraphs.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import data_folder
from rejoinder.adapt.reader.calibration import Library
from rejoinder.adapt.reader.measure import exact, f1
from rejoinder.adapt.reader.network import BASE
from rejoinder.adapt.reader.squad import Question, read_squad
from rejoinder.adapt.reader.training import ReaderRecipe, fine_tune
from rejoinder.domain import Passage
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.reader import Reader
from rejoinder.progress import Progress, silent

TRAINED_ON = (
    "316 of SQuAD's own questions (the other half of XQuAD dev), questions made from the same half's paragraphs, and "
    "questions to made-up facts that ship with Rejoinder; no other question answering data"
)


def xquad(folder: Path, progress: Progress = silent, *, recipe: ReaderRecipe | None = None) -> dict[str, Any]:
    """Retrieval and reading, all in shares; `minutes` for both trainings."""
    data = data_folder("xquad")
    if data is None:
        return {"xquad": {"skipped": "XQuAD is not in the data folder"}}
    started = time.perf_counter()
    questions = read_squad(data / "dev.json")
    encoder = Encoder.load()
    library = Library.build(questions, (), encoder)
    first = right_first(questions, library)
    read = cross_validated(questions, library, recipe=recipe or ReaderRecipe(), folder=folder, progress=progress)
    minutes = round((time.perf_counter() - started) / 60, 1)
    return {"xquad": {"right_passage_first": first, "reader": read, "minutes": minutes}}


def right_first(questions: Sequence[Question], library: Library) -> Mapping[str, float]:
    """How often the right one of all passages ranks first; the weights were tuned on the even articles."""
    titles = list(dict.fromkeys(question.article for question in questions))
    vectors = library.encoder.encode([question.text for question in questions])
    right = np.array(
        [
            library.knowledge.rank(question.text, vector)[0].passage == library.numbers[question.passage]
            for question, vector in zip(questions, vectors, strict=True)
        ]
    )
    odd = np.array([titles.index(question.article) % 2 == 1 for question in questions])
    return {"all": round(float(right.mean()), 4), "odd_articles": round(float(right[odd].mean()), 4)}


def cross_validated(
    questions: Sequence[Question], library: Library, *, recipe: ReaderRecipe, folder: Path, progress: Progress
) -> Mapping[str, object]:
    """A reader for each half of the articles, trained on the other half, and its scores on all questions."""
    titles = list(dict.fromkeys(question.article for question in questions))
    rows: list[dict[str, float]] = []
    for half in (0, 1):
        known = [question for question in questions if titles.index(question.article) % 2 != half]
        asked = [question for question in questions if titles.index(question.article) % 2 == half]
        passages = [Passage(q.article, "", text) for text, q in {q.passage: q for q in known}.items()]
        work = folder / f"half-{half}"
        model = fine_tune(known, passages, library.encoder, recipe=recipe, folder=work, progress=progress)
        reader = Reader.load(model)
        rows += [scores(question, library, reader) for question in asked]
    mean = {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}
    return {"base": BASE, "trained_on": TRAINED_ON, "recipe": asdict(recipe), **mean}


def scores(question: Question, library: Library, reader: Reader) -> dict[str, float]:
    """What a reader makes of one question: in its own paragraph, in all of them, and in all but its own."""
    answers = [text for _, text in question.answers]
    given = reader.best(question.text, library.windows(question, given=True))
    read = reader.read(question.text, library.windows(question))
    text = read.text if read is not None else ""
    instant = library.answer(question)
    sentence = library.best_sentence(question.text, instant.text) if instant is not None else ""
    return {
        "exact_in_paragraph": exact(given.text, answers) if given else 0.0,
        "f1_in_paragraph": f1(given.text, answers) if given else 0.0,
        "f1_of_all_paragraphs": f1(text, answers),
        "f1_of_instant_sentence": f1(sentence, answers),
        "answered": float(read is not None),
        "answered_without_its_paragraph": float(
            reader.read(question.text, library.windows(question, without=True)) is not None
        ),
    }
