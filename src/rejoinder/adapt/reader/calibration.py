"""When to believe a reader: fitted on questions that it was not trained on, half of them without their passage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rejoinder.adapt.reader.measure import f1
from rejoinder.adapt.reader.squad import Question
from rejoinder.domain import Passage, Thresholds
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.reader import N_WINDOWS, Reader, ReaderSettings
from rejoinder.nlu.retrieval import Answer, Knowledge, Window
from rejoinder.progress import Progress, silent
from rejoinder.text import sentences

RANK_WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Candidates for what a window's rank counts; the network's scores go from about -10 to 20, those of rank to 2."""


@dataclass(frozen=True, slots=True)
class Library:
    """Passages to be asked about, indexed, and where each text stands among them."""

    knowledge: Knowledge
    numbers: dict[str, int]
    encoder: Encoder

    @classmethod
    def build(cls, questions: Sequence[Question], passages: Sequence[Passage], encoder: Encoder) -> "Library":
        """The domain's passages and those of the questions that are not among them."""
        known = {passage.text for passage in passages}
        others = dict.fromkeys(question.passage for question in questions if question.passage not in known)
        every = (*passages, *(Passage(f"questions#{number}", "", text) for number, text in enumerate(others)))
        return cls(Knowledge.build(every, encoder), {p.text: number for number, p in enumerate(every)}, encoder)

    def windows(self, question: Question, *, given: bool = False, without: bool = False) -> tuple[Window, ...]:
        """The windows to read: of all passages, of the right one (`given`), or of all but that (`without`)."""
        vector = self.encoder.encode([question.text])[0]
        own = self.numbers[question.passage]
        return self.knowledge.windows(
            question.text, vector, n=N_WINDOWS, passage=own if given else None, besides=own if without else None
        )

    def answer(self, question: Question, *, without: bool = False) -> Answer | None:
        """What is answered without a reader: from all passages, or from all but the right one (`without`)."""
        vector = self.encoder.encode([question.text])[0]
        besides = self.numbers[question.passage] if without else None
        return self.knowledge.answer(question.text, vector, besides=besides)

    def best_sentence(self, question: str, text: str) -> str:
        """The sentence of a text that is closest to the question."""
        parts = sentences(text)
        vectors = self.encoder.encode([question, *parts])
        return parts[int(np.argmax(vectors[1:] @ vectors[0]))]


def calibrate(
    reader: Reader,
    questions: Sequence[Question],
    passages: Sequence[Passage],
    encoder: Encoder,
    *,
    threshold: float = Thresholds().knowledge,
    progress: Progress = silent,
) -> ReaderSettings:
    """The weight of the rank and the threshold with which a reader answers `questions` best.

    Each question is asked twice: of all passages, and of all but its own, where no answer is right. What ranks with a
    confidence below `threshold` is never read, so it does not count. The reader's own threshold is the one with the
    best sum of F1, less one for every answer where there is none, as SQuAD 2.0's script chooses it.
    """
    library = Library.build(questions, passages, encoder)
    asked = []
    for n_done, question in enumerate(questions):
        progress("calibrating", n_done, len(questions))
        for without in (False, True):
            answer = library.answer(question, without=without)
            if answer is not None and answer.confidence >= threshold:
                answers = [] if without else [text for _, text in question.answers]
                asked.append((answers, reader.spans(question.text, library.windows(question, without=without))))
    progress("calibrating", len(questions), len(questions))
    best: tuple[float, ReaderSettings] | None = None
    for weight in RANK_WEIGHTS:
        weighed = reader.with_settings(replace(reader.settings, rank_weight=weight))
        scores, values, is_right = [], [], []
        for answers, spans in asked:
            if (found := weighed.choose(spans)) is not None:
                scores.append(found.score)
                values.append(f1(found.text, answers) if answers else -1.0)  # as much is lost by a wrong answer
                is_right.append(bool(answers))
        least, value = _best_threshold(np.array(scores), np.array(values)) if scores else (0.0, 0.0)
        slope = _slope(np.array(scores) - least, np.array(is_right, dtype=bool)) if scores else 1.0
        if best is None or value > best[0]:
            best = value, replace(weighed.settings, threshold=least, slope=slope)
    return best[1] if best is not None else reader.settings


def _best_threshold(scores: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """The score from which answering is worth most, and the sum of `values` above it."""
    order = np.argsort(-scores, kind="stable")
    worth = np.cumsum(values[order])
    at = int(np.argmax(worth))
    if worth[at] <= 0:  # no answer is worth giving
        return float(scores.max()) + 1.0, 0.0
    last = scores[order[at]]
    following = scores[order[at + 1]] if at + 1 < len(order) else last - 1.0
    return float(last + following) / 2, float(worth[at])


def _slope(margins: NDArray[np.float64], is_right: NDArray[np.bool_]) -> float:
    """Of the logistic through the threshold that fits best (Platt 1999 with one parameter), by Newton's method."""
    slope = 0.5
    for _ in range(20):
        chance = 1 / (1 + np.exp(-np.clip(slope * margins, -30, 30)))
        gradient = float(((chance - is_right) * margins).mean()) + 0.01 * slope
        curvature = float((chance * (1 - chance) * margins**2).mean()) + 0.01
        slope = min(max(slope - gradient / curvature, 0.05), 5.0)
    return slope
