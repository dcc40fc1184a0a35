"""Tags on what was heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.adapt.nlu.alignment import carry
from rejoinder.nlu.joint import BEGIN, INSIDE, OUTSIDE

WORDS = st.lists(st.sampled_from("a large latte with soy milk please so relto xarelto two".split()), max_size=8)


@st.composite
def tagged(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Words with tags that make sense."""
    words = draw(WORDS)
    tags: list[str] = []
    for _ in words:
        going_on = [f"{INSIDE}{tags[-1][2:]}"] if tags and tags[-1] != OUTSIDE else []
        tags.append(draw(st.sampled_from([OUTSIDE, f"{BEGIN}size", f"{BEGIN}drink", *going_on])))
    return words, tags


@given(tagged())
def test_what_was_heard_as_it_was_said_keeps_its_tags(sentence: tuple[list[str], list[str]]) -> None:
    words, tags = sentence
    assert list(carry(words, tags, words)) == tags


@given(tagged(), WORDS)
def test_tags_always_make_sense(sentence: tuple[list[str], list[str]], heard: list[str]) -> None:
    words, tags = sentence
    carried = carry(words, tags, heard)
    assert len(carried) == len(heard)
    for before, tag in zip((OUTSIDE, *carried), carried, strict=False):
        assert not tag.startswith(INSIDE) or before[2:] == tag[2:]
    assert {tag[2:] for tag in carried} <= {tag[2:] for tag in (*tags, OUTSIDE)}


@pytest.mark.parametrize(
    ("said", "tags", "heard", "expected"),
    [
        ("refill my xarelto today", "O O B-drug B-day", "refill my so relto today", "O O B-drug I-drug B-day"),
        ("with soy milk", "O B-milk I-milk", "with soymilk", "O B-milk"),
        ("a large latte", "O B-size B-drink", "large lattes", "B-size B-drink"),
        ("with soy milk please", "O B-milk I-milk O", "with milk please", "O B-milk O"),
        ("a large latte", "O B-size B-drink", "", ""),
        ("large latte", "B-size B-drink", "uh large latte", "O B-size B-drink"),
        ("from savings to checking", "O B-source O B-target", "from savings checking", "O B-source B-target"),
    ],
)
def test_values_survive_what_recognizers_do(said: str, tags: str, heard: str, expected: str) -> None:
    assert " ".join(carry(said.split(), tags.split(), heard.split())) == expected
