"""Adapting the answers from a domain's knowledge: its owner's questions in, a reader out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rejoinder import models
from rejoinder.adapt.gate import DOMAIN_ERROR
from rejoinder.adapt.reader.calibration import Library
from rejoinder.adapt.reader.measure import f1, recall
from rejoinder.adapt.reader.network import BASE
from rejoinder.adapt.reader.squad import Question, read_squad
from rejoinder.adapt.reader.training import ReaderRecipe, fine_tune, split_by_article
from rejoinder.adapt.workforce import THIS_PROCESS, Workforce
from rejoinder.build import Stage, digest, promoted
from rejoinder.domain import Domain, Passage
from rejoinder.errors import AdaptError
from rejoinder.models import sha256_of
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.reader import Reader, spoken
from rejoinder.progress import Progress

QUESTIONS = "questions.json"
"""In the domain's folder: its owner's questions, in SQuAD's format."""

TEST_SHARE = 0.3
"""Of the questions, by article: never trained on, they decide whether a reader is promoted."""

LEAST_TESTS = 10


class ReaderAdaptation:
    """The reader's `Adaptation`."""

    stage = Stage.READER
    consent = None

    def __init__(
        self,
        domain: Domain,
        *,
        base: str | None = None,
        questions: Sequence[Path] = (),
        recipe: ReaderRecipe | None = None,
        device: str = "auto",
        workforce: Workforce = THIS_PROCESS,
    ) -> None:
        """`questions` are SQuAD files; none: `questions.json` in the domain's folder."""
        self.domain = domain
        self.base = base or BASE
        self._files = tuple(questions) or (domain.folder / QUESTIONS,)
        self._recipe = recipe or ReaderRecipe()
        self._device = device
        self._workforce = workforce
        self._train: tuple[Question, ...] = ()
        self._test: tuple[Question, ...] = ()

    @property
    def recipe(self) -> Mapping[str, Any]:
        return asdict(self._recipe)

    def gather(self, progress: Progress) -> Mapping[str, Any]:
        """Read the owner's questions and keep some out, whole articles of them."""
        progress("reading questions", 0, 1)
        if not self._files[0].is_file():
            raise AdaptError(
                f"{self._files[0]} is not there: a reader learns from questions to the domain's knowledge, with their "
                "answers, in SQuAD's format (at least 30; write them there, or name another file)"
            )
        every = tuple(dict.fromkeys(question for path in self._files for question in read_squad(path)))
        self._train, self._test = split_by_article(every, share=TEST_SHARE, seed=self._recipe.seed)
        if len(self._test) < LEAST_TESTS or not self._train:
            raise AdaptError(
                f"{self._files[0]}: {len(every)} questions are too few to learn from some and measure on others; write "
                f"some more, to several passages ({LEAST_TESTS} or more are kept out)"
            )
        progress("reading questions", 1, 1)
        passages = [passage.text for passage in self.domain.passages]
        return {
            "train": {
                "n_questions": len(self._train),
                "n_passages": len(passages),
                "sha256": digest([str(question) for question in self._train], passages),
            },
            "test": {"n_questions": len(self._test), "sha256": digest([str(question) for question in self._test])},
            "files": {str(path): sha256_of(path) for path in self._files},
        }

    def train(self, folder: Path, progress: Progress) -> Path:
        """Train on made questions, then on the owner's."""
        training = partial(
            _fine_tune,
            self.domain.models.encoder,
            self._train,
            self.domain.passages,
            self.base,
            replace(self._recipe, device=self._device),
        )
        return self._workforce.train(training, folder, progress, alone=True)

    def measure(self, candidate: Path | None, progress: Progress) -> Mapping[str, float]:
        """What is answered to the questions kept out, asked of all passages, and of all but their own.

        Without a reader the answer is the best sentence of the best window, and what is spoken is the whole window.
        """
        folder = candidate or promoted(self.domain.folder, Stage.READER)
        reader = Reader.load(folder) if folder is not None else None
        return answer_measures(
            self._test,
            Library.build(self._test, self.domain.passages, self._encoder()),
            reader,
            threshold=self.domain.thresholds.knowledge,
            progress=progress,
        )

    def _encoder(self) -> Encoder:
        return Encoder.load(models.resolve(self.domain.models.encoder), device=self._device)


def _fine_tune(
    encoder: str,
    questions: Sequence[Question],
    passages: Sequence[Passage],
    base: str,
    recipe: ReaderRecipe,
    *,
    folder: Path,
    progress: Progress,
) -> Path:
    """`fine_tune` with an encoder that is opened where the training is."""
    opened = Encoder.load(models.resolve(encoder), device=recipe.device)
    return fine_tune(questions, passages, opened, base=base, recipe=recipe, folder=folder, progress=progress)


def answer_measures(
    questions: Sequence[Question],
    library: Library,
    reader: Reader | None,
    *,
    threshold: float,
    progress: Progress,
) -> dict[str, float]:
    """Answers with a reader, or without one, by the measures of the gate.

    `domain_error` is 1 - F1 of the answers, `missed` the share of questions with an answer that what is spoken does not
    hold, `false_alarms` the share of questions that got an answer from passages that hold none. `threshold` is the
    confidence in a passage below which nothing is answered.
    """
    errors: list[float] = []
    missed: list[float] = []
    alarms: list[float] = []
    for n_done, question in enumerate(questions):
        progress("measuring", n_done, len(questions))
        answers = [text for _, text in question.answers]
        text, said = _answer(question, library, reader, threshold=threshold, without=not answers)
        if answers:
            errors.append(1 - f1(text, answers))
            missed.append(recall(said, answers) < 1)
            text, _ = _answer(question, library, reader, threshold=threshold, without=True)
        alarms.append(bool(text))
    progress("measuring", len(questions), len(questions))
    shares = {DOMAIN_ERROR: errors, "missed": missed, "false_alarms": alarms}
    return {name: round(sum(values) / max(1, len(values)), 4) for name, values in shares.items()}


def _answer(
    question: Question, library: Library, reader: Reader | None, *, threshold: float, without: bool
) -> tuple[str, str]:
    """(the answer, what is spoken), as the assistant gives them; both empty where it gives none."""
    answer = library.answer(question, without=without)
    if answer is None or answer.confidence < threshold:
        return "", ""
    if reader is None:
        return library.best_sentence(question.text, answer.text), answer.text
    found = reader.read(question.text, library.windows(question, without=without))
    return (found.text, spoken(found)) if found is not None else ("", "")
