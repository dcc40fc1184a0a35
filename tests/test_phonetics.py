"""Pronunciations and the distance between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.phonetics import OMISSION, PHONEMES, SUBSTITUTION, PhoneticIndex, distance, phonemes, word_phonemes

PRONUNCIATIONS = st.text(alphabet=PHONEMES, max_size=12)


def test_words_have_pronunciations_of_known_phonemes() -> None:
    assert phonemes("almond milk") == "ɑlmənd mɪlk"
    for text in ("Xarelto", "20 ounces", "don't", "water", "Ol kf 545", "naïve"):
        assert phonemes(text).strip()
        assert set(phonemes(text)) <= {*PHONEMES, " "}


def test_punctuation_and_emptiness_have_none() -> None:
    assert phonemes("") == ""
    assert phonemes("... !?") == ""
    assert word_phonemes("hello, there") == (phonemes("hello"), phonemes("there"))


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (("double shot", "dull shot"), ("double shot", "single shot")),
        (("espresso", "expresso"), ("espresso", "impress her")),
        (("metformin", "met for men"), ("metformin", "met a woman")),
        (("cream", "green"), ("cream", "milk")),
        (("Xarelto", "czar alto"), ("Xarelto", "Zoloft")),
        (("bat", "pat"), ("bat", "sat")),
    ],
)
def test_what_sounds_alike_is_nearer(near: tuple[str, str], far: tuple[str, str]) -> None:
    assert distance(*map(phonemes, near)) < distance(*map(phonemes, far))


@given(PRONUNCIATIONS, PRONUNCIATIONS)
def test_distance_is_symmetric_and_bounded(a: str, b: str) -> None:
    assert distance(a, a) == 0.0
    assert 0.0 <= distance(a, b) <= 1.0
    assert distance(a, b) == pytest.approx(distance(b, a), abs=1e-5)


def test_costs_are_those_of_a_distance() -> None:
    assert np.allclose(SUBSTITUTION, SUBSTITUTION.T)
    assert np.all(np.diag(SUBSTITUTION) == 0)
    assert np.all(SUBSTITUTION[~np.eye(len(PHONEMES), dtype=bool)] > 0)
    assert np.all(OMISSION > 0)


def _best_by_force(phrase: str, words: list[str], end: int) -> float:
    """The least cost of `phrase` against the words up to `end`, from any word on."""
    weight = sum(OMISSION[PHONEMES.index(p)] for p in phrase)
    least = np.inf
    for start in range(end):
        heard = "".join(words[start:end])
        mean = (weight + sum(OMISSION[PHONEMES.index(p)] for p in heard)) / 2
        row = [0.0]
        for q in heard:
            row.append(row[-1] + OMISSION[PHONEMES.index(q)])
        for p in phrase:
            omission = OMISSION[PHONEMES.index(p)]
            new = [row[0] + omission]
            for j, q in enumerate(heard, 1):
                new.append(
                    min(
                        row[j - 1] + SUBSTITUTION[PHONEMES.index(p), PHONEMES.index(q)],
                        row[j] + omission,
                        new[-1] + OMISSION[PHONEMES.index(q)],
                    )
                )
            row = new
        assert mean > 0
        least = min(least, row[-1])
    return float(least / weight)


@given(
    st.lists(st.text(alphabet="pbtdɪæsn", min_size=1, max_size=5), min_size=1, max_size=3),
    st.lists(st.text(alphabet="pbtdɪæsn", min_size=1, max_size=4), min_size=1, max_size=4),
)
def test_the_index_finds_what_comparing_everything_finds(phrases: list[str], words: list[str]) -> None:
    found = {(phrase, end): cost for phrase, _, end, cost in PhoneticIndex(phrases).search(words, most=10.0)}
    for phrase, pronunciation in enumerate(phrases):
        for end in range(1, len(words) + 1):
            assert found[phrase, end] == pytest.approx(_best_by_force(pronunciation, words, end), abs=1e-4)


def test_the_index_says_where() -> None:
    index = PhoneticIndex([phonemes("double shot"), phonemes("almond milk"), ""])
    heard = word_phonemes("a dull shot with almond milk")
    found = index.search(heard, most=0.4)
    assert (1, 4, 6, 0.0) in found
    assert any(match[0] == 0 and match[2] == 3 for match in found)
    assert all(phrase != 2 for phrase, *_ in found)
    assert index.search((), most=1.0) == ()
    assert PhoneticIndex(()).search(heard, most=1.0) == ()
