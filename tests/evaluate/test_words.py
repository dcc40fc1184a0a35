"""Words said against words heard: by hand, against jiwer, and for any words."""

from itertools import pairwise
from pathlib import Path

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.asr.biasing import bias_phrases
from rejoinder.domain import Domain
from rejoinder.evaluate.words import (
    Errors,
    Missed,
    Pair,
    Piece,
    Place,
    TermHits,
    Terms,
    confusions,
    diff,
    error_rate,
    false_alarms,
    term_recall,
)
from rejoinder.text import normalize

EXAMPLES = Path(__file__).parents[2] / "examples"

WORDS = st.lists(st.sampled_from("a large iced mocha latte soy milk la tay soymilk one two".split()), max_size=8)

DOMAIN = """
name: shop
terms:
  - {written: Xarelto, synonyms: [rivaroxaban], sounds_like: [czar alto]}
  - {written: Wi-Fi}
  - {written: mocha}
slots:
  size: [small, {value: large, synonyms: [big one, large sized]}]
  drink: [latte, iced mocha, mocha]
  milk: [milk, soy milk]
  roast: [{value: dark roast, synonyms: [dark]}, {value: medium roast, synonyms: [medium]}]
  width: [medium, {value: wide, synonyms: [broad]}]
  day: date
intents:
  order:
    slots: {size: {required: true, ask: Which size?}}
    patterns: ["a {size} one"]
    reply: A {size} one.
"""


@pytest.fixture(scope="module")
def terms(tmp_path_factory: pytest.TempPathFactory) -> Terms:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "domain.yaml").write_text(DOMAIN)
    return Terms.of(Domain.load(folder))


def compared(terms: Terms, said: str, heard: str) -> TermHits:
    return terms.compare(Pair.of(said, heard))


class TestErrors:
    @pytest.mark.parametrize(
        ("said", "heard", "errors"),
        [
            ("One, two, three four!", "one two four", (1, 4)),
            ("G M E three nine", "g-m-e-3-9", (0, 5)),
            ("20-ounce latte", "twenty ounces lattes", (1, 3)),
            ("I'd like one", "I would like uh one", (0, 4)),
            ("a b c", "", (3, 3)),
            ("", "a b", (2, 0)),
            ("", "", (0, 0)),
            ("um", "", (0, 0)),
        ],
    )
    def test_words(self, said: str, heard: str, errors: tuple[int, int]) -> None:
        assert Pair.of(said, heard).word_errors == errors

    @pytest.mark.parametrize(
        ("said", "heard", "errors"),
        [("A latte.", "a lattes", (1, 7)), ("soy milk", "soymilk", (1, 8)), ("", "abc", (3, 0)), ("ab", "", (2, 2))],
    )
    def test_characters(self, said: str, heard: str, errors: tuple[int, int]) -> None:
        assert Pair.of(said, heard).char_errors == errors

    def test_the_rate_is_over_all_that_was_said(self) -> None:
        assert error_rate([Errors(1, 4), Errors(0, 2)]) == 1 / 6
        assert error_rate([Errors(2, 1)]) == 2.0
        assert error_rate([Errors(2, 0)]) == 2.0
        assert error_rate([]) == 0.0

    @given(st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=5))
    def test_as_jiwer_counts(self, utterances: list[tuple[list[str], list[str]]]) -> None:
        said, heard = ([" ".join(words) for words in side] for side in zip(*utterances, strict=True))
        pairs = [Pair.of(one, other) for one, other in zip(said, heard, strict=True)]
        assert error_rate(pair.word_errors for pair in pairs) == pytest.approx(jiwer.wer(said, heard))
        assert error_rate(pair.char_errors for pair in pairs) == pytest.approx(jiwer.cer(said, heard))


class TestDifferences:
    def test_neighbours_are_one_piece(self) -> None:
        assert diff("Can I get a latte, please?", "can I get la tay please now") == (
            Piece("equal", ("can", "i", "get"), ("can", "i", "get")),
            Piece("replace", ("a", "latte"), ("la", "tay")),
            Piece("equal", ("please",), ("please",)),
            Piece("insert", (), ("now",)),
        )
        assert diff("a b", "") == (Piece("delete", ("a", "b"), ()),)
        assert diff("", "") == ()

    @given(WORDS, WORDS)
    def test_nothing_is_lost(self, said: list[str], heard: list[str]) -> None:
        pair = Pair(tuple(said), tuple(heard))
        pieces = pair.pieces()
        assert tuple(word for piece in pieces for word in piece.said) == pair.said
        assert tuple(word for piece in pieces for word in piece.heard) == pair.heard
        n_right = sum(len(piece.said) for piece in pieces if piece.kind == "equal")
        assert n_right >= len(said) - pair.word_errors.n_errors
        for one, other in pairwise(pieces):
            assert (one.kind == "equal") != (other.kind == "equal")
        for piece in pieces:
            assert (piece.said == piece.heard) == (piece.kind == "equal")
            assert (piece.kind == "insert") == (not piece.said)
            assert (piece.kind == "delete") == (not piece.heard)

    @pytest.mark.parametrize(
        ("said", "heard", "place", "instead"),
        [
            ("a double shot latte", "a dull shot latte", (1, 3), "dull shot"),
            ("a latte please", "a la tay please", (1, 2), "la tay"),
            ("one espresso please", "one express so please", (1, 2), "express so"),
            ("a latte", "a", (1, 2), ""),
            ("a latte now", "a big latte right now", (1, 2), "latte"),
            ("an iced mocha", "an iced big mocha", (1, 3), "iced big mocha"),
            ("latte", "", (0, 1), ""),
        ],
    )
    def test_what_stands_in_a_place(self, said: str, heard: str, place: tuple[int, int], instead: str) -> None:
        pair = Pair(tuple(said.split()), tuple(heard.split()))
        assert " ".join(pair.heard_for(*place)) == instead

    @given(WORDS, WORDS, st.integers(0, 8), st.integers(0, 8))
    def test_what_stands_in_any_place_was_heard(self, said: list[str], heard: list[str], one: int, other: int) -> None:
        pair = Pair(tuple(said), tuple(heard))
        start, end = sorted((min(one, len(said)), min(other, len(said))))
        instead = pair.heard_for(start, end)
        assert f" {' '.join(instead)} " in f" {' '.join(heard)} " or not instead
        if said == heard:
            assert instead == pair.said[start:end]


class TestTerms:
    def test_all_forms_but_misheard_ones(self, terms: Terms) -> None:
        assert terms.forms == {
            **{"xarelto": "Xarelto", "rivaroxaban": "Xarelto", "wi fi": "Wi-Fi", "mocha": "mocha", "latte": "latte"},
            **{"iced mocha": "iced mocha", "small": "small", "large": "large", "big one": "large"},
            **{"large sized": "large", "milk": "milk", "soy milk": "soy milk"},
            **{"dark roast": "dark roast", "dark": "dark roast", "medium roast": "medium roast"},
            **{"medium": "medium", "wide": "wide", "broad": "wide"},  # as it is written, before a synonym
        }

    @pytest.mark.parametrize("example", ["cafe", "pharmacy"])
    def test_they_are_what_recognition_listens_for(self, example: str) -> None:
        domain = Domain.load(EXAMPLES / example)
        assert Terms.of(domain).forms.keys() == {normalize(phrase.text) for phrase in bias_phrases(domain)}

    def test_the_longest_is_found(self, terms: Terms) -> None:
        words = "a large sized iced mocha with soymilk and a mocha".split()
        assert terms.find(words) == (
            Place("large", 1, 3),
            Place("iced mocha", 3, 5),
            Place("soy milk", 6, 7),
            Place("mocha", 9, 10),
        )
        assert terms.find([]) == Terms({}).find(words) == ()
        assert terms.find(["lattes", "smaller"]) == ()  # whole words

    @pytest.mark.parametrize(
        ("said", "heard"),
        [
            ("my Xarelto", "my rivaroxaban"),
            ("a big one", "a large"),
            ("a large sized one", "large"),
            ("the Wi-Fi", "the wifi"),
            ("soy milk", "soymilk"),
            ("a mocha", "an iced mocha"),
        ],
    )
    def test_a_term_is_heard_in_any_form(self, terms: Terms, said: str, heard: str) -> None:
        hits = compared(terms, said, heard)
        assert len(hits.said) == 1
        assert not hits.missed

    def test_a_term_within_another(self, terms: Terms) -> None:
        assert compared(terms, "an iced mocha", "a nice mocha") == TermHits(
            ("iced mocha",), (Missed("iced mocha", "nice mocha"),), ()
        )
        assert compared(terms, "a mocha", "an iced mocha") == TermHits(("mocha",), (), ("iced mocha",))
        assert compared(terms, "an iced mocha", "iced mocha and a mocha").false == ()  # a mocha is in what was said

    def test_a_term_said_twice(self, terms: Terms) -> None:
        hits = compared(terms, "a latte and a latte", "a lottery and a latte")
        assert hits == TermHits(("latte", "latte"), (Missed("latte", "lottery"),), ())
        assert compared(terms, "a latte", "a latte latte").false == ("latte",)

    def test_nothing_said_and_nothing_heard(self, terms: Terms) -> None:
        assert compared(terms, "", "a latte") == TermHits((), (), ("latte",))
        assert compared(terms, "a latte", "") == TermHits(("latte",), (Missed("latte", ""),), ())
        assert compared(terms, "", "") == TermHits((), (), ())

    def test_together(self, terms: Terms) -> None:
        hits = [
            compared(terms, "a latte", "a lottery"),
            compared(terms, "a small latte", "a small lottery"),
            compared(terms, "a small mocha", "a smell mocha"),
            compared(terms, "good morning", "good mocha"),
            compared(terms, "good evening", "good evening"),
        ]
        assert term_recall(hits) == 2 / 5
        assert term_recall(hits[3:]) is None
        assert false_alarms(hits) == (True, False)
        assert confusions(hits) == (("latte", "lottery", 2), ("small", "smell", 1))

    @given(said=WORDS, heard=WORDS)
    def test_counts_add_up(self, said: list[str], heard: list[str]) -> None:
        terms = Terms({"iced mocha": "iced mocha", "mocha": "mocha", "soy milk": "soy milk", "large": "l", "one": "l"})
        hits = terms.compare(Pair(tuple(said), tuple(heard)))
        assert len(hits.said) == len(terms.find(said))
        assert not {one.term for one in hits.missed} - set(hits.said)
        assert len(hits.missed) <= len(hits.said)
        assert len(hits.false) <= len(terms.find(heard))
        if said == heard:
            assert not hits.missed
            assert not hits.false

    @given(WORDS)
    def test_found_terms_stand_apart(self, words: list[str]) -> None:
        terms = Terms({form: form for form in ("a", "a large", "large iced", "iced mocha latte", "soymilk", "one two")})
        places = terms.find(words)
        for place, following in pairwise(places):
            assert place.end <= following.start
        for place in places:
            assert "".join(words[place.start : place.end]) == place.term.replace(" ", "")


def test_a_domain_without_terms(tmp_path: Path) -> None:
    (tmp_path / "domain.yaml").write_text("name: bare\nintents:\n  greet:\n    examples: [hello]\n    reply: Hello.\n")
    terms = Terms.of(Domain.load(tmp_path))
    assert compared(terms, "hello there", "yellow there") == TermHits((), (), ())
