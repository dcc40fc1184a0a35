"""SQuAD's format, read to the letter."""

import json
from pathlib import Path
from typing import Any

import pytest

from rejoinder.adapt.reader.squad import Question, read_squad, write_squad
from rejoinder.errors import AdaptError

PASSAGE = "We are open from nine to five. Parking is free."


def written(folder: Path, *qas: dict[str, Any], context: Any = PASSAGE) -> Path:
    path = folder / "questions.json"
    data = [{"title": "hours", "paragraphs": [{"context": context, "qas": list(qas)}]}]
    path.write_text(json.dumps({"version": "v2.0", "data": data}))
    return path


def asked(text: str = "when", **more: Any) -> dict[str, Any]:
    return {"id": "q1", "question": text, "answers": [{"answer_start": 12, "text": "from nine to five"}], **more}


def test_a_question_has_its_answer_and_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, asked())
    assert read_squad(path) == (
        Question("when", PASSAGE, ((12, "from nine to five"),), "hours", f"{path}: question q1"),
    )


def test_a_question_may_have_no_answer(tmp_path: Path) -> None:
    (question,) = read_squad(written(tmp_path, {"id": "q1", "question": "who", "answers": [], "is_impossible": True}))
    assert question.answers == ()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    questions = [
        Question("when", PASSAGE, ((12, "from nine to five"),), "hours"),
        Question("is it free", PASSAGE, ((31, "Parking is free"),), "parking"),
        Question("who", "Nobody knows.", (), "hours"),
    ]
    write_squad(tmp_path / "out.json", questions)
    read = read_squad(tmp_path / "out.json")
    assert {(q.text, q.passage, q.answers, q.article) for q in read} == {
        (q.text, q.passage, q.answers, q.article) for q in questions
    }


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            asked(answers=[{"answer_start": 3, "text": "from nine to five"}]),
            r"q1.*'from nine.*character 3; it stands at 12",
        ),
        (asked(answers=[{"answer_start": 3, "text": "at noon"}]), r"q1.*nor anywhere else"),
        (asked(answers=[{"text": "from"}]), r'q1.*needs "text" and "answer_start"'),
        (asked(answers=[]), r'q1: has no answer, and is not marked "is_impossible"'),
        (asked(answers="five"), r'q1: has no list "answers"'),
        ({"answers": []}, r'data\[0\].paragraphs\[0\].qas\[1\]: has no "question"'),
    ],
)
def test_a_wrong_question_is_named(entry: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match=message):
        read_squad(written(tmp_path, asked(), entry))


def test_every_mistake_is_named_in_one_error(tmp_path: Path) -> None:
    bad = [asked(id=f"bad{n}", answers=[]) for n in range(12)]
    with pytest.raises(AdaptError, match=r"12 mistake\(s\)(?s:.*)bad0(?s:.*)bad9(?s:.*)and 2 more"):
        read_squad(written(tmp_path, *bad))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"questions.json:1: is not JSON"),
        (b"[]", 'no list "data"'),
        (b'{"data": []}', "holds no question"),
        (b'{"data": [{"title": "x"}]}', r'data\[0\]: has no list "paragraphs"'),
        (b'{"data": [{"paragraphs": [{"qas": []}]}]}', 'has no text "context"'),
        (b'{"data": [{"paragraphs": [{"context": "x"}]}]}', 'has no list "qas"'),
        (b"\xff\xfe\x00", "is not UTF-8"),
    ],
)
def test_a_file_that_is_not_squad_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "questions.json"
    path.write_bytes(content)
    with pytest.raises(AdaptError, match=message):
        read_squad(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match=r"none.json cannot be read"):
        read_squad(tmp_path / "none.json")
