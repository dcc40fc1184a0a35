"""EM and F1 as SQuAD's script counts them."""

import pytest

from rejoinder.adapt.reader.measure import exact, f1, recall


@pytest.mark.parametrize(
    ("found", "answers", "em", "overlap"),
    [
        ("The Denver Broncos", ["Denver Broncos"], 1, 1),
        ("denver broncos.", ["Denver Broncos", "Broncos"], 1, 1),
        ("Broncos", ["Denver Broncos"], 0, 2 / 3),
        ("Carolina", ["Denver Broncos"], 0, 0),
        ("", [], 1, 1),
        ("Carolina", [], 0, 0),
        ("", ["Carolina"], 0, 0),
        ("a b b", ["b b c"], 0, 0.8),
    ],
)
def test_words_are_compared_without_articles_and_marks(
    found: str, answers: list[str], em: float, overlap: float
) -> None:
    assert exact(found, answers) == em
    assert f1(found, answers) == pytest.approx(overlap)


def test_recall_is_what_of_an_answer_was_said() -> None:
    assert recall("You can park for one hour.", ["one hour"]) == 1
    assert recall("You can park for an hour.", ["one hour"]) == 0.5
    assert recall("", ["one hour"]) == 0
