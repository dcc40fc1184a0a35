"""Questions with their answers in SQuAD's format, versions 1.1 and 2.0, checked to the letter."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.errors import AdaptError

N_ERRORS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a passage. `answers` are (start, text) in it, the first one to train on; none: it has no answer.

    `article` is the title that the passage stands under: questions are kept out of training by article.
    """

    text: str
    passage: str
    answers: tuple[tuple[int, str], ...]
    article: str
    source: str = ""
    """Where it stands, for messages: the file and the question's id."""


def read_squad(path: Path) -> tuple[Question, ...]:
    """The questions of a SQuAD file, in order.

    Raises `AdaptError` when the file cannot be read or is not SQuAD's format; every question that is wrong is named in
    one error, by the file and its id or place.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AdaptError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise AdaptError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise AdaptError(f"{path}:{error.lineno}: is not JSON: {error.msg}") from None
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise AdaptError(f'{path} is not in SQuAD\'s format: it has no list "data" of articles')
    problems: list[str] = []
    questions = tuple(_questions(content["data"], path, problems))
    if problems:
        shown = "\n  ".join(problems[:N_ERRORS_SHOWN])
        more = f"\n  … and {len(problems) - N_ERRORS_SHOWN} more" if len(problems) > N_ERRORS_SHOWN else ""
        raise AdaptError(f"{path} has {len(problems)} mistake(s):\n  {shown}{more}")
    if not questions:
        raise AdaptError(f"{path} holds no question")
    return questions


def write_squad(path: Path, questions: Sequence[Question]) -> None:
    """Write questions in SQuAD 2.0's format, one article for each title."""
    articles: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for number, question in enumerate(questions):
        answers = [{"answer_start": start, "text": text} for start, text in question.answers]
        entry = {"id": str(number), "question": question.text, "answers": answers, "is_impossible": not answers}
        articles.setdefault(question.article, {}).setdefault(question.passage, []).append(entry)
    data = [
        {"title": title, "paragraphs": [{"context": passage, "qas": qas} for passage, qas in paragraphs.items()]}
        for title, paragraphs in articles.items()
    ]
    path.write_text(json.dumps({"version": "v2.0", "data": data}, ensure_ascii=False, indent=1), encoding="utf-8")


def _questions(articles: list[Any], path: Path, problems: list[str]) -> Iterator[Question]:
    for n_article, article in enumerate(articles):
        where = f"data[{n_article}]"
        if not isinstance(article, dict) or not isinstance(article.get("paragraphs"), list):
            problems.append(f'{where}: has no list "paragraphs"')
            continue
        title = str(article.get("title") or where)
        for n_paragraph, paragraph in enumerate(article["paragraphs"]):
            place = f"{where}.paragraphs[{n_paragraph}]"
            if not isinstance(paragraph, dict) or not isinstance(paragraph.get("context"), str):
                problems.append(f'{place}: has no text "context"')
            elif not isinstance(paragraph.get("qas"), list):
                problems.append(f'{place}: has no list "qas"')
            else:
                for n_question, entry in enumerate(paragraph["qas"]):
                    at = f"{place}.qas[{n_question}]"
                    question = _question(entry, paragraph["context"], title, at, path, problems)
                    if question is not None:
                        yield question


def _question(entry: Any, passage: str, title: str, place: str, path: Path, problems: list[str]) -> Question | None:
    if not isinstance(entry, dict) or not str(entry.get("question") or "").strip():
        problems.append(f'{place}: has no "question"')
        return None
    name = f"question {entry['id']}" if entry.get("id") else place
    listed = [] if entry.get("is_impossible") else entry.get("answers")
    if not isinstance(listed, list):
        problems.append(f'{name}: has no list "answers"')
        return None
    if not listed and not entry.get("is_impossible"):
        problems.append(f'{name}: has no answer, and is not marked "is_impossible"')
        return None
    answers = []
    for answer in listed:
        text, start = (answer.get("text"), answer.get("answer_start")) if isinstance(answer, dict) else (None, None)
        if not isinstance(text, str) or not text or not isinstance(start, int) or isinstance(start, bool):
            problems.append(f'{name}: an answer needs "text" and "answer_start" (a number of characters)')
            return None
        if start < 0 or passage[start : start + len(text)] != text:
            there = f"; it stands at {passage.find(text)}" if text in passage else ", nor anywhere else in the passage"
            problems.append(f"{name}: the answer '{text}' does not stand at character {start}{there}")
            return None
        answers.append((start, text))
    return Question(str(entry["question"]).strip(), passage, tuple(dict.fromkeys(answers)), title, f"{path}: {name}")
