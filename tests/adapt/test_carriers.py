"""Everyday sentences and frames, and how sentences are written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.adapt.carriers import Style, as_written, framed, general_sentences
from rejoinder.adapt.sets import canary_sentences
from rejoinder.text import normalize


@pytest.fixture(scope="module")
def many() -> tuple[str, ...]:
    return general_sentences(1500, seed=3)


def test_everyday_sentences_are_as_many_as_asked_and_all_different(many: tuple[str, ...]) -> None:
    assert len(many) == len(set(map(normalize, many))) == 1500
    assert len(general_sentences(1)) == 1
    assert general_sentences(0) == ()


def test_the_seed_decides() -> None:
    assert general_sentences(50, seed=1) == general_sentences(50, seed=1)
    assert len(set(general_sentences(50, seed=1)) & set(general_sentences(50, seed=2))) < 25


def test_none_is_what_the_gate_measures_with(many: tuple[str, ...]) -> None:
    assert not set(map(normalize, many)) & set(map(normalize, canary_sentences()))


def test_they_are_of_every_kind(many: tuple[str, ...]) -> None:
    words = {word for text in many for word in normalize(text).split()}
    assert {"seven", "hundred", "tuesday", "monday", "london", "please", "why", "goodbye", "dollars"} <= words
    assert sum(text.endswith("?") for text in many) > 150
    assert sum(all(len(word) == 1 for word in text.strip(".").split()) for text in many) >= 5, "spelled letters"
    assert len({text.split()[0] for text in many}) > 150


def test_they_are_written_as_recognizers_write(many: tuple[str, ...]) -> None:
    for text in many:
        assert text[0].isupper(), text
        assert text[-1] in ".?", text
        assert not any(char.isdigit() or char in "{}[]()|" for char in text), text
        assert " i " not in text, text
    plain = general_sentences(100, seed=3, style=Style.PLAIN)
    assert all(text == normalize(text) for text in plain)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("can i get a latte", "Can I get a latte?"),
        ("i'm out of my Xarelto", "I'm out of my Xarelto."),
        ("what is the copay for aspirin", "What is the copay for aspirin?"),
        ("what's a latte cost", "What's a latte cost?"),
        ("yes can you help me", "Yes can you help me?"),
        ("don't forget", "Don't forget."),
        ("when she arrived the room was quiet", "When she arrived the room was quiet."),
        ("may I come in", "May I come in?"),
        ("on march third at seven p m", "On March third at seven p.m."),
        ("the second of may", "The second of May."),
        ("we march on monday", "We march on Monday."),
        ("a espresso and an large latte", "An espresso and a large latte."),
        ("an hour", "An hour."),
        ("a unicorn", "A unicorn."),
        ("it is spelled s m i t h", "It is spelled S M I T H."),
        ("code k seven x two", "Code K seven X two."),
        ("make it a two", "Make it a two."),
        ("amoxicillin", "Amoxicillin."),
        ("iPhone please", "iPhone please."),
        ("Really?", "Really?"),
        ("", ""),
    ],
)
def test_how_a_sentence_is_written(text: str, written: str) -> None:
    assert as_written(text, names=["iPhone", "amoxicillin", "Xarelto"]) == written


@settings(max_examples=50)
@given(st.text("abi' mp.?", max_size=30))
def test_writing_changes_no_word(text: str) -> None:
    articles = {"a", "an"}
    before, after = (
        [word for word in normalize(form).split() if word not in articles] for form in (text, as_written(text))
    )
    assert "".join(before) == "".join(after)


def test_frames() -> None:
    sentences = framed("Xarelto", n=30, seed=1)
    assert sentences[0] == "Xarelto"
    assert len(sentences) == len(set(sentences)) == 30
    assert all("Xarelto" in text and "{" not in text for text in sentences)
    assert framed("Xarelto", n=30, seed=1) == sentences
    assert framed("Xarelto", n=0, seed=1) == []
    assert len(framed("a (strange) name", n=5, seed=1)) == 5
