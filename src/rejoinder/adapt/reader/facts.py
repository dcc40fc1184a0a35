"""Passages of made-up businesses with questions to them, for what a reader has to know whatever the business.

`data/reader/facts.txt` holds sentences with their questions and the words to fill into both. They teach which answer
"how long", "until when" or "who" wants, which questions made from passages (`cloze`) show only roughly.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from rejoinder.adapt.reader.squad import Question

ARTICLE = "made-up facts"

_BLANK = re.compile(r"{(\w+)}")
_ANSWER = re.compile(r"\[([^\]]*):(\d)\]")


@dataclass(frozen=True, slots=True)
class _Fact:
    sentence: str
    questions: tuple[tuple[int, tuple[str, ...]], ...]
    """For each numbered answer, the ways to ask for it."""


def fact_questions(n_questions: int, *, seed: int) -> tuple[Question, ...]:
    """Questions to passages of two to four facts each; equal input gives equal questions."""
    rng = random.Random(seed)
    facts, words = _facts()
    made = []
    for _ in range(n_questions):
        chosen = rng.sample(facts, rng.randint(2, 4))
        asked = rng.randrange(len(chosen))
        passage, answer, question = "", (0, ""), ""
        for index, fact in enumerate(chosen):
            drawn = _draw(fact, words, rng)
            sentence, answers = _filled(fact.sentence, drawn)
            if index == asked:
                number, wordings = rng.choice(fact.questions)
                start, text = answers[number]
                answer = (len(passage) + start, text)
                question = _BLANK.sub("{}", wording := rng.choice(wordings)).format(
                    *(drawn[name][0] for name in _BLANK.findall(wording))
                )
            passage += f"{sentence} "
        made.append(Question(question + rng.choice(("?", "")), passage.rstrip(), (answer,), ARTICLE))
    return tuple(made)


def _draw(fact: _Fact, words: Mapping[str, tuple[str, ...]], rng: random.Random) -> dict[str, list[str]]:
    """Words for every blank, enough for each of its occurrences to have its own."""
    names = _BLANK.findall(fact.sentence) + [
        name for _, wordings in fact.questions for wording in wordings for name in _BLANK.findall(wording)
    ]
    return {name: rng.sample(words[name], min(3, len(words[name]))) for name in dict.fromkeys(names)}


def _filled(sentence: str, drawn: Mapping[str, list[str]]) -> tuple[str, dict[int, tuple[int, str]]]:
    """The sentence with its blanks filled and its brackets gone, and where each answer stands."""
    left = {name: iter(choices) for name, choices in drawn.items()}
    text = _BLANK.sub(lambda blank: next(left[blank[1]]), sentence)
    answers: dict[int, tuple[int, str]] = {}
    plain, end = "", 0
    for match in _ANSWER.finditer(text):
        plain += text[end : match.start()]
        answers[int(match[2])] = (len(plain), match[1])
        plain, end = plain + match[1], match.end()
    plain += text[end:]
    plain = plain[0].upper() + plain[1:]
    return plain, {number: (start, plain[start : start + len(text)]) for number, (start, text) in answers.items()}


@cache
def _facts() -> tuple[tuple[_Fact, ...], Mapping[str, tuple[str, ...]]]:
    """The facts and the words for their blanks."""
    text = (files("rejoinder") / "data" / "reader" / "facts.txt").read_text(encoding="utf-8")
    words: dict[str, tuple[str, ...]] = {}
    facts: list[_Fact] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("{") and " = " in line:
            name, _, choices = line.partition(" = ")
            words[name.strip("{} ")] = tuple(choice.strip() for choice in choices.split("|"))
        elif line[0].isdigit():
            fact = facts[-1]
            wordings = tuple(wording.strip() for wording in line[1:].split("|"))
            facts[-1] = _Fact(fact.sentence, (*fact.questions, (int(line[0]), wordings)))
        else:
            facts.append(_Fact(line, ()))
    return tuple(facts), words
