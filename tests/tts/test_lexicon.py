"""Pronunciations of the domain's terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.domain import Term
from rejoinder.errors import DomainError
from rejoinder.tts.lexicon import Lexicon, Piece, compile_lexicon, pronounce, to_ipa

XARELTO = Lexicon({"xarelto": "zəɹˈɛltO", "flat white": "flˈæt wˈIt", "a1c": "ˈA wˈʌn sˈi", "lax": "lˈæks"})


@pytest.mark.parametrize(
    ("spoken", "phonemes"),
    [
        ("zuh-REL-toe", "zəɹˈɛltO"),
        ("/zəˈɹɛltoʊ/", "zəɹˈɛltO"),
        ("/zəˈreltəʊ/", "zəɹˈɛltO"),
        ("EL-ih-kwis", "ˈɛlɪkwɪs"),
        ("oh-ZEM-pik", "Ozˈɛmpɪk"),
        ("met-FOR-min", "mɛtfˈɔɹmɪn"),
        ("lye-SIN-oh-pril", "lIsˈɪnOpɹɪl"),
        ("yoo-NEE-korn", "junˈikɔɹn"),
        ("jar-DEE-ance", "ʤɑɹdˈiæns"),
        ("hyoo-MEER-a", "hjumˈɪɹə"),
        ("tine", "tˈIn"),
        ("flat white", "flˈæt wˈIt"),
        ("/tʃaɪ/", "ʧˈI"),
        ("/ˈdʒuːs/", "ʤˈus"),
        ("/t͡ʃɚt͡ʃ/", "ʧˈəɹʧ"),
    ],
)
def test_respellings_and_ipa_become_phonemes(spoken: str, phonemes: str) -> None:
    assert pronounce(spoken) == phonemes


@pytest.mark.parametrize(
    ("spoken", "message"),
    [
        ("/zʙo/", "'ʙ' is no sound of this voice .known: .*ʃ"),
        ("zuh-7", "'7' in a respelling is unknown .known: .*igh"),
        ("zr-toe", "the syllable 'zr' has no vowel"),
        ("/ktp/", "no vowel"),
        ("", "it is empty"),
        ("--", "it is empty"),
    ],
)
def test_a_wrong_pronunciation_names_the_term_the_symbol_and_the_choices(spoken: str, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        compile_lexicon([Term("Zoto", spoken)])
    with pytest.raises(DomainError, match="term 'Zoto'"):
        compile_lexicon([Term("Zoto", spoken)])


def test_terms_without_a_pronunciation_are_left_to_the_voice() -> None:
    assert compile_lexicon([Term("latte"), Term("Chai", "chye")]) == Lexicon({"chai": "ʧˈI"})


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Take Xarelto.", [("Take ", None), ("Xarelto", "zəɹˈɛltO"), (".", None)]),
        ("XARELTO's", [("XARELTO's", "zəɹˈɛltOz")]),
        ("two Xareltos", [("two ", None), ("Xareltos", "zəɹˈɛltOz")]),
        ("Laxes", [("Laxes", "lˈæksᵻz")]),
        ("Xareltonol", [("Xareltonol", None)]),
        ("a flat-white", [("a ", None), ("flat-white", "flˈæt wˈIt")]),
        ("your A1C", [("your ", None), ("A1C", "ˈA wˈʌn sˈi")]),
        ("", []),
    ],
)
def test_whole_words_are_found_in_any_case_plural_and_possessive(
    text: str, pieces: list[tuple[str, str | None]]
) -> None:
    assert list(XARELTO.pieces(text)) == [Piece(*piece) for piece in pieces]


@given(st.text(st.sampled_from("aA1cC xarelto'sLAX-flt white."), max_size=40))
def test_pieces_are_the_text(text: str) -> None:
    assert "".join(piece.text for piece in XARELTO.pieces(text)) == text
    assert "".join(piece.text for piece in Lexicon().pieces(text)) == text


@given(st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzAEIOU-"), min_size=1, max_size=15))
def test_every_respelling_has_phonemes_or_says_what_is_wrong(spoken: str) -> None:
    failure, phonemes = "", ""
    try:
        phonemes = pronounce(spoken)
    except DomainError as error:
        failure = str(error)
    assert "ˈ" in phonemes or "known:" in failure or "empty" in failure


def test_other_voices_get_ordinary_ipa() -> None:
    assert to_ipa("zəɹˈɛltO ʧˈI") == "zəɹˈɛltoʊ tʃˈaɪ"
