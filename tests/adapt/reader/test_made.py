"""Questions that are made: from passages, and to made-up businesses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.adapt.reader.cloze import made_questions
from rejoinder.adapt.reader.facts import fact_questions
from rejoinder.domain import Passage

TESLA = Passage(
    "tesla", "Tesla", "Nikola Tesla was born in 1856 in Smiljan. He had 300 patents. He moved because of work."
)


def made(text: str, *, n_each: int = 20, seed: int = 0) -> dict[str, set[str]]:
    """Answer -> the questions that are made for it, over some seeds."""
    found: dict[str, set[str]] = {}
    for at in range(seed, seed + 10):
        for question in made_questions([Passage("x", "x", text)], n_each=n_each, seed=at):
            found.setdefault(question.answers[0][1], set()).add(question.text)
    return found


@pytest.mark.parametrize(
    ("text", "answer", "starts"),
    [
        (TESLA.text, "1856", ("when", "in what year", "on what day", "what date")),
        (TESLA.text, "300", ("how many patents", "what number of patents")),
        (TESLA.text, "Smiljan", ("where", "in what", "in which", "what place")),
        ("The fee for a new card is $12.50 in all shops.", "$12.50", ("how much", "what amount")),
        (
            "It usually takes two to three days to arrive.",
            "two to three days",
            ("how long", "how much time", "for how"),
        ),
        ("About 15 percent of the guests come by train.", "15 percent", ("what percent", "how much", "what share")),
    ],
)
def test_the_kind_of_answer_gives_the_question_word(text: str, answer: str, starts: tuple[str, ...]) -> None:
    questions = made(text)[answer]
    assert all(question.startswith(starts) for question in questions)


def test_the_answer_is_not_in_its_question() -> None:
    assert not any("1856" in question for question in made(TESLA.text)["1856"])


def test_equal_input_gives_equal_questions() -> None:
    assert made_questions([TESLA], n_each=5, seed=3) == made_questions([TESLA], n_each=5, seed=3)
    assert made_questions([TESLA], n_each=5, seed=3) != made_questions([TESLA], n_each=5, seed=4)


def test_no_more_questions_than_asked_for() -> None:
    assert 0 < len(made_questions([TESLA], n_each=2, seed=0)) <= 2


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab AZ01.,;$% \n(the) in of July"), max_size=400))
def test_every_answer_stands_where_it_is_said_to(text: str) -> None:
    for question in made_questions([Passage("x", "x", text)], n_each=5, seed=0):
        ((start, answer),) = question.answers
        assert question.passage[start : start + len(answer)] == answer
        assert question.passage in text


def test_facts_have_their_answers_in_place_and_no_blank_is_left() -> None:
    questions = fact_questions(300, seed=1)
    for question in questions:
        ((start, answer),) = question.answers
        assert question.passage[start : start + len(answer)] == answer
        assert answer
        assert not set("{}[]|") & set(question.text + question.passage)
    assert len({question.text for question in questions}) > 150
    assert questions == fact_questions(300, seed=1)
