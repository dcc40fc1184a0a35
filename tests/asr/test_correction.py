"""Finding a domain's words by sound, and replacing what is known to be misheard."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rejoinder.asr.correction import Corrector, PhraseFinder, Replacement, joined, replaced, split_words
from rejoinder.asr.recognizer import BiasPhrase, Transcript, Word
from rejoinder.domain import Choice, Domain, Slot, SlotKind, Term

PHRASES = ("double shot", "almond milk", "milk", "dark roast", "twenty ounce", "iced coffee")
FINDER = PhraseFinder([BiasPhrase(phrase) for phrase in PHRASES])


def _transcript(text: str, confidence: float = 0.5) -> Transcript:
    return Transcript(text, confidence, tuple(Word(word, confidence) for word in text.split()), tokens=(1, 2, 3))


def _found(text: str, confidence: float = 0.5) -> set[tuple[str, str]]:
    words = text.split()
    found = FINDER.find(words, [confidence] * len(words))
    return {(" ".join(words[change.first : change.end]), change.phrase) for change in found}


def test_what_sounds_like_a_phrase_is_found() -> None:
    assert ("dull shot", "double shot") in _found("a dull shot latte")
    assert ("dog roast", "dark roast") in _found("a dog roast please")
    assert ("own a milk", "almond milk") in _found("coffee with own a milk")


def test_what_is_right_or_sure_is_left_alone() -> None:
    assert _found("double shot with almond milk") == set()
    assert _found("a 20-ounce") == set()
    assert _found("a dull shot latte", confidence=0.95) == set()


def test_a_phrase_is_worth_only_what_it_adds() -> None:
    words = "dog roast coffee with own a milk".split()
    changes = {change.phrase: change for change in FINDER.find(words, [0.5] * len(words))}
    full = PhraseFinder([BiasPhrase("almond milk")]).find(words, [0.5] * len(words))[0]
    assert changes["almond milk"].weight < full.weight, "the milk was there already"


def test_neighbouring_replacements_are_weighed_together() -> None:
    words = "a dull shot dog roast coffee".split()
    proposals = FINDER.proposals(words, [0.5] * len(words))
    assert any({change.phrase for change in proposal} >= {"double shot", "dark roast"} for proposal in proposals)
    for proposal in proposals:
        assert not any(a.overlaps(b) for a in proposal for b in proposal if a is not b)


def test_replacing_keeps_punctuation_capitals_and_doubts() -> None:
    words = (Word("Dull", 0.4), Word("shot,", 0.6), Word("please.", 0.9))
    changed = replaced(words, [Replacement(0, 2, "double shot", 0.2, 1.0)])
    assert changed == (Word("Double", 0.4), Word("shot,", 0.4), Word("please.", 0.9))
    assert joined(changed) == "Double shot, please."
    assert split_words([Word("20-ounce", 0.7)]) == (Word("20", 0.7), Word("ounce", 0.7))


def _domain() -> Domain:
    milk = Choice("almond milk", ("almond milk", "all men milk"), ("all men milk",))
    return Domain(
        "test",
        Path(),
        terms=(Term("Xarelto", sounds_like=("czar alto", "Sorelto")),),
        slots={"milk": Slot("milk", SlotKind.CLOSED, (milk,))},
    )


def test_misheard_forms_are_put_right() -> None:
    corrector = Corrector.compile(_domain())
    corrected = corrector.correct(_transcript("Is Czar Alto, or Sorelto, fine with all-men milk?"))
    assert corrected.text == "Is Xarelto, or Xarelto, fine with almond milk?"
    assert corrected.tokens == (1, 2, 3), "it still serves as a draft"
    assert joined(corrected.words) == corrected.text


@given(st.lists(st.sampled_from("is the weather czar alto fine men all today milk".split()), max_size=8))
def test_correcting_twice_changes_no_more(words: list[str]) -> None:
    corrector = Corrector.compile(_domain())
    once = corrector.correct(_transcript(" ".join(words)))
    assert corrector.correct(once) == once
    if "czar alto" not in " ".join(words) and "all men milk" not in " ".join(words):
        assert once.text == " ".join(words)


def test_an_empty_transcript_stays_empty() -> None:
    assert Corrector.compile(_domain()).correct(Transcript("")) == Transcript("")
    assert FINDER.proposals([], []) == []
