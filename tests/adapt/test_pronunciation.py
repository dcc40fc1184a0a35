"""Pronunciations found by speaking and hearing."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pytest

from rejoinder.adapt.pronunciation import CARRIERS, Speaker, Trial, Tuned, alternatives, difference, keep, tune
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.asr.recognizer import Bias, BiasPhrase, Recognizer, Transcript
from rejoinder.domain import Term
from rejoinder.errors import AdaptError, DomainError
from rejoinder.events import Samples
from rejoinder.models import resolve
from rejoinder.tts.hibari import HibariSynthesizer
from rejoinder.tts.lexicon import VOWELS, Lexicon, compile_lexicon, read_tuned


class Studio:
    """A voice and a recognizer in one: what is said goes over as text, through `hears` (phonemes -> words).

    Of the phonemes in `flattered`, that is so in the first carrier only.
    """

    sample_rate = 16_000

    def __init__(self, hears: dict[str, str], *, flattered: Collection[str] = ()) -> None:
        self._hears = hears
        self._flattered = flattered
        self._said: list[str] = []
        self.n_spoken = 0

    def synthesize(self, text: str, *, lexicon: Lexicon | None = None) -> Iterator[Samples]:
        pieces = (lexicon or Lexicon()).pieces(text)
        is_first = text.startswith(CARRIERS[0].partition("{}")[0])
        hears = {said: words for said, words in self._hears.items() if is_first or said not in self._flattered}
        self._said.append("".join(hears.get(p.phonemes, "mumble") if p.phonemes else p.text for p in pieces))
        self.n_spoken += 1
        yield np.full(10, len(self._said) - 1, np.float32)

    def phonemize(self, text: str, *, lexicon: Lexicon | None = None) -> str:  # noqa: ARG002
        return {"Zoto": "zˈɑtO", "zo toe": "zˈO tˈO"}.get(text, "ˈɑ")

    def compile_bias(self, phrases: object, *, sentences: object = ()) -> Bias:
        raise NotImplementedError

    def transcribe(self, samples: Samples, *, bias: Bias | None = None, **_: object) -> Transcript:  # noqa: ARG002
        text = self._said[int(samples[0])]
        return Transcript(text, confidence=0.9)


def tuned(studio: Studio, term: Term, *, also_spoken: bool = False) -> Tuned:
    speaker: Speaker = studio
    recognizer: Recognizer = studio
    (one,) = tune([term], speaker, recognizer, None, also_spoken=also_spoken)
    return one


def test_what_is_heard_best_is_kept() -> None:
    one = tuned(Studio({"zˈɑtO": "sat oh", "zˈOtˌO": "Zoto"}), Term("Zoto", sounds_like=("zo toe",)))
    assert one.is_changed
    assert one.is_settled
    assert (one.before.heard, one.best.heard) == ("sat oh", "zoto")
    assert (one.best.phonemes, one.best.origin) == ("zˈOtˌO", "like 'zo toe'")


def test_another_stress_or_vowel_is_tried_for_unknown_words() -> None:
    one = tuned(Studio({"zˈɑtO": "sat oh", "zɑtˈO": "Zoto"}), Term("Zoto"))
    assert (one.best.phonemes, one.best.origin) == ("zɑtˈO", "stress")


def test_what_is_heard_well_is_left_alone() -> None:
    studio = Studio({"zˈɑtO": "Zoto", "zˈOtˌO": "Zoto"})
    assert not tuned(studio, Term("Zoto", sounds_like=("zo toe",))).is_changed
    assert studio.n_spoken == len(CARRIERS)  # no other pronunciation was tried


def test_what_is_heard_well_in_one_sentence_only_is_not_heard_well() -> None:
    studio = Studio({"zˈɑtO": "Zoto", "zˈOtˌO": "Zoto"}, flattered={"zˈɑtO"})
    one = tuned(studio, Term("Zoto", sounds_like=("zo toe",)))
    assert (one.before.heard, one.best.phonemes) == ("zoto", "zˈOtˌO")
    assert one.is_settled


def test_what_nothing_settles_is_left_to_a_person() -> None:
    one = tuned(Studio({}), Term("Zoto", sounds_like=("zo toe",)))
    assert not one.is_changed
    assert not one.is_settled


@pytest.mark.parametrize("also_spoken", [False, True])
def test_what_the_owner_wrote_changes_only_when_that_is_asked_for(also_spoken: bool) -> None:
    studio = Studio({"zˈɑtO": "Zoto"})
    one = tuned(studio, Term("Zoto", spoken="zuh-TOO"), also_spoken=also_spoken)
    assert one.before.origin == "as written"
    assert one.is_changed is also_spoken


def test_words_of_the_dictionary_keep_their_vowels() -> None:
    studio = Studio({})
    tuned(studio, Term("coffee"))
    assert studio.n_spoken == len(CARRIERS)  # its own pronunciation in every carrier, and no other


def test_without_terms_there_is_nothing_to_tune() -> None:
    studio = Studio({})
    with pytest.raises(AdaptError, match="no terms"):
        tune([], studio, studio, None)


def test_a_misspelling_is_closer_than_another_word() -> None:
    term = Term("Xarelto", sounds_like=("czar alto",))
    near, far, told, exact = (
        difference(f"I need {heard}.", "I need {}.", term) for heard in ("zerelto", "a burrito", "czar alto", "Xarelto")
    )
    assert exact == told == 0 < near < far <= 1


def test_alternatives_have_one_stress_and_differ() -> None:
    found = dict(alternatives("klˈɑpɪdˌɑɡɹᵊl"))
    assert "klɑpˈɪdɑɡɹᵊl" in found
    assert found["klˈOpɪdˌɑɡɹᵊl"] == "vowel"
    assert "klˈɑpɪdˌɑɡɹᵊl" not in found
    for said in found:
        assert said.count("ˈ") == 1
        assert said[said.index("ˈ") + 1] in VOWELS


def kept(tmp_path: Path) -> Path:
    before, best = Trial("zˈɑtO", "the voice's own", 0.5, "sat oh"), Trial("zˈOTᵊO", "like 'zo toe'", 0.1, "zoto")
    bad = Trial("kɹˈIp", "the voice's own", 0.6, "cripe")
    path = tmp_path / "build" / "pronunciations.yaml"
    keep([Tuned(Term("Zo-To"), before, best), Tuned(Term("crêpe"), bad, bad)], path)
    return path


def test_what_is_kept_is_read_again_and_the_owner_counts_more(tmp_path: Path) -> None:
    path = kept(tmp_path)
    assert read_tuned(path) == {"zo to": "zˈOTᵊO"}
    assert "crêpe: cripe" in path.read_text()
    assert compile_lexicon([], tuned=read_tuned(path)).pronunciations == {"zo to": "zˈOTᵊO"}
    assert compile_lexicon([Term("Zo-To", "toh")], tuned=read_tuned(path)).pronunciations == {"zo to": "tˈO"}


def test_nothing_kept_is_nothing_read(tmp_path: Path) -> None:
    assert read_tuned(tmp_path / "pronunciations.yaml") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pronunciations: {Zoto: /zʘto/}", "'Zoto'.*'ʘ'"),
        ("pronunciations: [", "cannot be read"),
        ("- x", "cannot be read"),
    ],
)
def test_a_file_that_was_broken_by_hand_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pronunciations.yaml"
    path.write_text(text)
    with pytest.raises(DomainError, match=rf"pronunciations.yaml.*{message}"):
        read_tuned(path)


@pytest.mark.model
def test_a_real_voice_learns_to_say_what_a_real_recognizer_understands() -> None:
    """The rules of the voice read "kWh" as no recognizer could hear it: a score of 1.0, letter by letter of 0.08.

    The gap is as wide as can be because the recognizer's 8-bit weights give each kind of processor other scores: "Rx"
    is heard well enough on some, and tuned on others.
    """
    term = Term("kWh")
    recognizer = MoonshineRecognizer.load(resolve("moonshine-tiny"))
    bias = recognizer.compile_bias([BiasPhrase(term.written)])
    (one,) = tune([term], HibariSynthesizer.load(), recognizer, bias)
    assert one.is_changed
    assert one.is_settled
    assert one.best.origin == "letter by letter"
