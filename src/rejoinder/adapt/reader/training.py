"""Training a reader: first on questions that are made, then on the owner's own; then it is calibrated and exported."""

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from rejoinder.adapt.graph import export_graph
from rejoinder.adapt.reader.calibration import calibrate
from rejoinder.adapt.reader.cloze import made_questions
from rejoinder.adapt.reader.facts import fact_questions
from rejoinder.adapt.reader.network import (
    BASE,
    Example,
    SpanNetwork,
    collate,
    freeze_vocabulary,
    open_network,
    span_loss,
)
from rejoinder.adapt.reader.squad import Question
from rejoinder.adapt.trainer import TrainingOptions, train
from rejoinder.domain import Passage
from rejoinder.errors import AdaptError
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.reader import MODEL_FILE, SETTINGS_FILE, TOKENIZER_FILE, Reader, ReaderSettings
from rejoinder.nlu.reader_input import ReaderTokenizer
from rejoinder.nlu.retrieval import N_WINDOW
from rejoinder.progress import Progress, silent
from rejoinder.text import sentence_spans

N_LEAST_QUESTIONS = 20
"""With fewer, nothing can be said of a reader: a fifth of them calibrates it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRecipe:
    """How a reader is trained. The defaults take about ten minutes of one core, most of them for made questions."""

    n_made: int = 20
    """Questions made from each passage, at most."""
    n_facts: int = 500
    """Questions to made-up businesses."""
    n_made_epochs: int = 2
    made_learning_rate: float = 2e-4
    n_epochs: int = 4
    """Over the owner's own questions."""
    learning_rate: float = 1e-4
    unanswered: float = 0.3
    """For each question, how many windows of its passage without the answer are shown."""
    calibration_share: float = 0.15
    """Of the owner's questions, by article: kept out of training, for the threshold of "no answer"."""
    batch_size: int = 16
    seed: int = 0
    device: str = "auto"


def fine_tune(
    questions: Sequence[Question],
    passages: Sequence[Passage],
    encoder: Encoder,
    *,
    base: str = BASE,
    recipe: ReaderRecipe | None = None,
    folder: Path,
    progress: Progress = silent,
) -> Path:
    """Train a reader on the owner's `questions` and on what is made from `passages`; the folder with its files.

    `encoder` ranks the windows that the reader is calibrated on, as it will when questions are answered. `folder` holds
    the checkpoints: the same call goes on where an earlier one was killed. Raises `AdaptError` for too few questions,
    and what `train` raises.
    """
    recipe = recipe or ReaderRecipe()
    own, kept_out = split_by_article(questions, share=recipe.calibration_share, seed=recipe.seed)
    if len(questions) < N_LEAST_QUESTIONS or not own or not kept_out:
        raise AdaptError(
            f"a reader needs at least {N_LEAST_QUESTIONS} questions to two passages or more to learn from, and there "
            f"are {len(questions)}; write some more, in SQuAD's format"
        )
    network, tokenizer = open_network(base, seed=recipe.seed)
    inputs = ReaderTokenizer(tokenizer, has_segments=network.has_segments)
    freeze_vocabulary(network)
    made = made_questions(passages, n_each=recipe.n_made, seed=recipe.seed)
    general = (*made, *fact_questions(recipe.n_facts, seed=recipe.seed))
    _train_on_made(network, _examples(general, inputs, recipe), recipe, folder, progress)
    _train(
        network,
        _examples(own, inputs, recipe),
        options=_options(recipe, recipe.n_epochs, recipe.learning_rate),
        folder=folder / "own",
        progress=progress,
    )
    unsettled = ReaderSettings(rank_weight=0.0, threshold=0.0, has_segments=network.has_segments)
    model = export(network, tokenizer, unsettled, folder / "exported")
    settings = calibrate(Reader.load(model), kept_out, passages, encoder, progress=progress)
    settings.write(model / SETTINGS_FILE)
    return model


def split_by_article(
    questions: Sequence[Question], *, share: float, seed: int
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """(rest, kept out): whole articles are kept out, or whole passages where all questions are to one article.

    About `share` of the questions is kept out, and at least one article; no passage is on both sides.
    """
    by_passage = len({question.article for question in questions}) < 2

    def group(question: Question) -> str:
        return question.passage if by_passage else question.article

    groups = list(dict.fromkeys(group(question) for question in questions))
    random.Random(seed).shuffle(groups)
    chosen: set[str] = set()
    n_chosen = 0
    for name in groups[:-1]:
        if n_chosen >= share * len(questions):
            break
        chosen.add(name)
        n_chosen += sum(group(question) == name for question in questions)
    passages = {question.passage for question in questions if group(question) in chosen}
    kept_out = tuple(question for question in questions if question.passage in passages)
    return tuple(question for question in questions if question.passage not in passages), kept_out


def export(network: SpanNetwork, tokenizer: Tokenizer, settings: ReaderSettings, folder: Path) -> Path:
    """Write what `Reader.load` opens to `folder`, which appears whole or not at all."""
    scratch = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * network.has_segments
    tokens = torch.ones((2, 5), dtype=torch.long)
    export_graph(network, dict.fromkeys(names, tokens), ["starts", "ends"], scratch / MODEL_FILE)
    tokenizer.save(str(scratch / TOKENIZER_FILE))
    settings.write(scratch / SETTINGS_FILE)
    shutil.rmtree(folder, ignore_errors=True)
    return scratch.rename(folder)


def _train_on_made(
    network: SpanNetwork, examples: Sequence[Example], recipe: ReaderRecipe, folder: Path, progress: Progress
) -> None:
    """Train on made questions, unless an earlier run of the same adaptation has."""
    done = folder / "made.safetensors"
    if done.is_file():
        network.load_state_dict(load_file(done))
        return
    _train(
        network,
        examples,
        options=_options(recipe, recipe.n_made_epochs, recipe.made_learning_rate),
        folder=folder / "made",
        progress=progress,
    )
    part = done.with_suffix(".part")
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, part)
    part.replace(done)


def _train(
    network: SpanNetwork, examples: Sequence[Example], *, options: TrainingOptions, folder: Path, progress: Progress
) -> None:
    train(
        network,
        examples,
        loss=span_loss,
        collate=collate,
        length=lambda example: len(example.piece.ids),
        options=options,
        folder=folder,
        progress=progress,
    )


def _options(recipe: ReaderRecipe, n_epochs: int, learning_rate: float) -> TrainingOptions:
    return TrainingOptions(
        learning_rate=learning_rate,
        n_epochs=n_epochs,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        device=recipe.device,
    )


def _examples(questions: Sequence[Question], inputs: ReaderTokenizer, recipe: ReaderRecipe) -> list[Example]:
    rng = random.Random(recipe.seed)
    return [
        example
        for question in questions
        for text, start, answer in _windows(question, recipe.unanswered, rng)
        for example in _encoded(question.text, text, start, answer, inputs)
    ]


def _windows(question: Question, unanswered: float, rng: random.Random) -> Iterator[tuple[str, int, str]]:
    """(text, where the answer starts, answer): a window with the answer, and now and then one without."""
    bounds = sentence_spans(question.passage)
    if not bounds:
        return
    starts = range(max(1, len(bounds) - N_WINDOW + 1))
    spans = [(bounds[at][0], bounds[min(at + N_WINDOW, len(bounds)) - 1][1]) for at in starts]
    holding = [span for span in spans if any(_holds(span, answer) for answer in question.answers)]
    others = [span for span in spans if span not in holding]
    if question.answers and not holding:  # it goes over the border of two windows
        yield (question.passage, *question.answers[0])
    elif holding:
        first, last = rng.choice(holding)
        at, answer = next(answer for answer in question.answers if _holds((first, last), answer))
        yield question.passage[first:last], at - first, answer
    if others and (not question.answers or rng.random() < unanswered):
        first, last = rng.choice(others)
        yield question.passage[first:last], 0, ""


def _holds(span: tuple[int, int], answer: tuple[int, str]) -> bool:
    return span[0] <= answer[0] and answer[0] + len(answer[1]) <= span[1]


def _encoded(question: str, text: str, start: int, answer: str, inputs: ReaderTokenizer) -> Iterator[Example]:
    for piece in inputs.inputs(question, text):
        inside = [at for at, (first, last) in enumerate(piece.spans) if first < start + len(answer) and last > start]
        if inside and answer:
            yield Example(piece, piece.first + inside[0], piece.first + inside[-1])
        elif not answer:
            yield Example(piece)
