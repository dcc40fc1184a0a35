"""A tiny reader learns from made-up facts, comes out as a folder that the runtime opens, and the gate gets measures."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from rejoinder.adapt.reader.adaptation import ReaderAdaptation, answer_measures
from rejoinder.adapt.reader.calibration import Library
from rejoinder.adapt.reader.facts import fact_questions
from rejoinder.adapt.reader.measure import f1
from rejoinder.adapt.reader.network import Example, collate, logits, open_network
from rejoinder.adapt.reader.squad import Question, write_squad
from rejoinder.adapt.reader.training import ReaderRecipe, export, fine_tune, split_by_article
from rejoinder.domain import Domain, Passage
from rejoinder.errors import AdaptError, ModelError
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.reader import Reader, ReaderSettings
from rejoinder.nlu.reader_input import ReaderTokenizer
from rejoinder.nlu.retrieval import Window
from rejoinder.progress import silent

QUICK = ReaderRecipe(
    n_made=0, n_facts=20, n_made_epochs=1, made_learning_rate=3e-3, n_epochs=30, learning_rate=3e-3, device="cpu"
)


def owned(n: int, *, seed: int) -> list[Question]:
    """Questions as an owner would have them, each passage an article of its own."""
    return [replace(question, article=f"{seed}-{at}") for at, question in enumerate(fact_questions(n, seed=seed))]


@pytest.fixture(scope="module")
def folder(tiny_bert: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader that was trained for some seconds."""
    work = tmp_path_factory.mktemp("reader")
    return fine_tune(owned(40, seed=5), (), encoder, base=f"file:{tiny_bert}", recipe=QUICK, folder=work)


@pytest.mark.model
def test_a_reader_learns_what_it_is_taught(folder: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """So small a network, taught so few questions, learns them by heart and no more."""
    untrained, tokenizer = open_network(f"file:{tiny_bert}", seed=0)
    settings = ReaderSettings(rank_weight=0.0, threshold=0.0)
    taught, _ = split_by_article(owned(40, seed=5), share=QUICK.calibration_share, seed=QUICK.seed)
    before, after = (
        sum(
            f1(found.text, [question.answers[0][1]])
            for question in taught
            if (found := reader.best(question.text, [Window(0, question.passage, 0.0)])) is not None
        )
        / len(taught)
        for reader in (Reader.load(export(untrained, tokenizer, settings, tmp_path / "it")), Reader.load(folder))
    )
    assert before < 0.25
    assert after > 0.4


@pytest.mark.model
def test_the_exported_graph_computes_what_the_network_does(tiny_bert: Path, tmp_path: Path) -> None:
    network, tokenizer = open_network(f"file:{tiny_bert}", seed=3)
    (piece,) = ReaderTokenizer(tokenizer).inputs(
        "where is the gym?", "The gym is behind the library. It opens at 9 a.m."
    )
    folder = export(network, tokenizer, ReaderSettings(rank_weight=0.0, threshold=0.0), tmp_path / "made")
    with torch.no_grad():
        starts, ends = logits(network, collate([Example(piece)]))
    found = Reader.load(folder)._logits(piece)
    spread = float(starts[0, piece.first : -1].std())
    for exact, rounded in zip((starts[0], ends[0]), found, strict=True):  # 8 bits, and few dimensions to average over
        inside = slice(piece.first, -1)
        assert abs(exact[inside].numpy() - rounded[inside]).mean() < 0.2 * spread


def test_padding_changes_no_logit(tiny_bert: Path) -> None:
    network, tokenizer = open_network(f"file:{tiny_bert}", seed=0)
    inputs = ReaderTokenizer(tokenizer)
    short, long = (
        Example(next(inputs.inputs("who", text))) for text in ("Tom Becker.", "Tom Becker runs the gym, and more.")
    )
    network.eval()
    with torch.no_grad():
        alone, _ = logits(network, collate([short]))
        together, _ = logits(network, collate([short, long]))
    n_tokens = len(short.piece.ids)
    torch.testing.assert_close(alone[0], together[0, :n_tokens], atol=1e-4, rtol=1e-4)


@pytest.mark.model
def test_a_finished_part_is_not_trained_again(folder: Path, tiny_bert: Path, encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "made.safetensors").write_bytes((folder.parent / "made.safetensors").read_bytes())
    told: list[int] = []

    def progress(task: str, n_done: int, n_total: int, note: str = "") -> None:  # noqa: ARG001
        if task == "training":
            told.append(n_total)

    again = fine_tune(
        owned(40, seed=5), (), encoder, base=f"file:{tiny_bert}", recipe=QUICK, folder=tmp_path, progress=progress
    )
    assert len(set(told)) == 1  # only the owner's own questions
    assert (again / "reader.json").read_text() == (folder / "reader.json").read_text()


def test_no_passage_is_on_both_sides() -> None:
    passages = [f"passage {n % 7}" for n in range(60)]
    questions = [Question(f"question {n}", text, ((0, "passage"),), f"{n % 5}") for n, text in enumerate(passages)]
    rest, kept_out = split_by_article(questions, share=0.2, seed=0)
    assert {question.passage for question in rest}.isdisjoint(question.passage for question in kept_out)
    assert len(rest) + len(kept_out) == 60


def test_one_article_is_split_by_passage() -> None:
    questions = [Question(f"question {n}", f"passage {n % 10}", (), "all") for n in range(50)]
    rest, kept_out = split_by_article(questions, share=0.3, seed=1)
    assert len(kept_out) == 15
    assert {question.passage for question in rest}.isdisjoint(question.passage for question in kept_out)


def test_too_few_questions_are_refused(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match=r"at least 20 questions .* there are 5"):
        fine_tune(owned(5, seed=0), (), encoder, recipe=QUICK, folder=tmp_path)


def test_a_vocabulary_that_is_not_berts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no encoder that transformers can open"):
        open_network(f"file:{tmp_path}", seed=0)


@pytest.mark.model
def test_the_gate_gets_measures_with_and_without_a_reader(folder: Path, encoder: Encoder) -> None:
    questions = list(islice(owned(30, seed=9), 30))
    library = Library.build(questions, (Passage("a", "", "Dogs are welcome on the terrace."),), encoder)
    reader = Reader.load(folder)
    before = answer_measures(questions, library, None, threshold=0.5, progress=silent)
    after = answer_measures(questions, library, reader, threshold=0.5, progress=silent)
    assert before.keys() == after.keys() == {"domain_error", "missed", "false_alarms"}
    silent_reader = reader.with_settings(replace(reader.settings, threshold=1e9))
    nothing = answer_measures(questions, library, silent_reader, threshold=0.5, progress=silent)
    assert nothing == {"domain_error": 1.0, "missed": 1.0, "false_alarms": 0.0}
    assert after["false_alarms"] <= before["false_alarms"]


@pytest.mark.model
def test_an_owners_questions_are_split_and_described(tmp_path: Path) -> None:
    domain = Domain.load("examples/cafe")
    write_squad(tmp_path / "questions.json", owned(60, seed=2))
    adaptation = ReaderAdaptation(domain, questions=[tmp_path / "questions.json"])
    data = adaptation.gather(silent)
    assert data["train"]["n_questions"] + data["test"]["n_questions"] == 60
    assert data["test"]["n_questions"] >= 18
    assert adaptation.gather(silent) == data


def test_an_owner_without_questions_is_told_what_to_write(tmp_path: Path) -> None:
    adaptation = ReaderAdaptation(Domain.load("examples/cafe"), questions=[tmp_path / "questions.json"])
    with pytest.raises(AdaptError, match=r"questions.json is not there.*SQuAD's format"):
        adaptation.gather(silent)
