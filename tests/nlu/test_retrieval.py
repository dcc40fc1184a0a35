"""Answers from the knowledge."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from rejoinder.domain import Passage
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.retrieval import Knowledge, Lexicon
from tests.nlu.domains import PASSAGES


def test_the_text_with_the_rare_words_scores_highest() -> None:
    lexicon = Lexicon(["the wifi password is free", "parking is free", "opening hours are long"])
    scores = lexicon.scores("what is the password of the wifi".split())
    assert scores.argmax() == 0
    assert scores[1] == scores[2] == 0


@pytest.mark.parametrize(
    ("said", "written"), [("transferring", "transfer"), ("allergies", "allergy"), ("parked", "parks")]
)
def test_endings_do_not_matter_to_words(said: str, written: str) -> None:
    assert Lexicon([written, "something else"]).scores([said])[0] > 0


@pytest.mark.parametrize(("said", "written"), [("wifi", "Wi-Fi is free"), ("wi fi", "the wifi"), ("cakes", "a cake")])
def test_joined_and_parted_words_are_the_same(said: str, written: str) -> None:
    scores = Lexicon(["parking is free", written]).scores(said.split())
    assert scores[1] > 0 == scores[0]


@pytest.mark.parametrize("question", ["", "the of and", "zyzzyva"])
def test_a_question_without_known_words_scores_nothing(question: str) -> None:
    assert not Lexicon(["parking is free"]).scores(question.split()).any()


def test_windows_are_two_sentences_and_remember_their_passage() -> None:
    whole, windows = Knowledge.texts(PASSAGES)
    assert len(whole) == 3
    assert [owner for owner, _ in windows] == [0, 1, 2, 2]
    assert windows[2][1] == "There is a car park behind the building. It is free for two hours."


def test_without_knowledge_there_is_no_answer() -> None:
    knowledge = Knowledge((), (), np.zeros((0, 4), np.float32))
    assert knowledge.answer("where can I park", np.ones(4, np.float32)) is None


@pytest.mark.model
@pytest.mark.parametrize(
    ("question", "source", "part"),
    [
        ("do you have wifi", "about.md#Wifi", "wireless internet"),
        ("is there wi fi", "about.md#Wifi", "wireless internet"),
        ("can I park my car", "about.md#Parking", "car park"),
        ("are there nuts in the almond milk", "about.md#Allergies", "contains nuts"),
        ("what does parking cost after two hours", "about.md#Parking", "a dollar an hour"),
    ],
)
def test_a_question_is_answered_by_the_right_sentences(question: str, source: str, part: str, encoder: Encoder) -> None:
    answer = Knowledge.build(PASSAGES, encoder).answer(question, encoder.encode([question])[0])
    assert answer is not None
    assert answer.passage.source == source
    assert part in answer.text
    assert answer.confidence > 0.55


@pytest.mark.model
@pytest.mark.parametrize("question", ["who won the game last night", "asdf gleep", "how tall is mount everest", "two"])
def test_a_question_about_something_else_has_no_confidence(question: str, encoder: Encoder) -> None:
    answer = Knowledge.build(PASSAGES, encoder).answer(question, encoder.encode([question])[0])
    assert answer is not None
    assert answer.confidence < 0.3


@pytest.mark.model
@pytest.mark.data
def test_the_right_paragraph_comes_first_on_xquad(encoder: Encoder) -> None:
    """A third of the odd articles, on which no weight was tuned; all of them give 97.7%."""
    file = Path(os.environ.get("REJOINDER_DATA", "../shared/data")) / "xquad" / "dev.json"
    if not file.is_file():
        pytest.skip(f"needs {file}")
    articles = json.loads(file.read_text())["data"][1::6]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    knowledge = Knowledge.build([Passage(str(i), "", p["context"]) for i, p in enumerate(paragraphs)], encoder)
    questions = [(qa["question"], index) for index, p in enumerate(paragraphs) for qa in p["qas"]][::2]
    vectors = encoder.encode([question for question, _ in questions])
    firsts = [
        knowledge.rank(question, vector)[0].passage for (question, _), vector in zip(questions, vectors, strict=True)
    ]
    right = [first == index for first, (_, index) in zip(firsts, questions, strict=True)]
    assert sum(right) / len(right) >= 0.95
