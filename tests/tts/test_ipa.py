"""Phonemes in the alphabet that voices of the Piper family take."""

from pathlib import Path

import pytest

from rejoinder.errors import ModelError
from rejoinder.tts.ipa import Alphabet, to_voice_ipa

PATH = Path("voice.onnx")


@pytest.mark.parametrize(
    ("phonemes", "ipa"),
    [
        ("hˈæpi", "hˈæpi"),
        ("mi", "miː"),
        ("sˈi", "sˈiː"),
        ("sˈɪɹiəs", "sˈɪɹiəs"),
        ("bˈɜɹd hˈɜɹi", "bˈɜːd hˈɜːɹi"),
        ("bˈæTəɹi wˈɔTəɹ", "bˈæɾɚɹi wˈɔːɾɚ"),
        ("əbˈWt pˈitsə", "ɐbˈaʊt pˈiːtsə"),
        ("bˈʌtn ˈæpᵊl", "bˈʌʔn̩ ˈæpəl"),
        ("lˈɔst wˈɔk", "lˈɔst wˈɔːk"),
        ("ʤˈʌmp ʧˈAnʤ bˈY nˈO mˈI", "dʒˈʌmp tʃˈeɪndʒ bˈɔɪ nˈoʊ mˈaɪ"),
        ("wˈʌn—tˈu…", "wˈʌn, tˈuː."),
    ],
)
def test_sounds_are_written_as_the_voices_learnt_them(phonemes: str, ipa: str) -> None:
    assert to_voice_ipa(phonemes) == ipa


def test_ids_have_a_pad_after_every_symbol_and_unknown_symbols_are_left_out() -> None:
    config = {"phoneme_id_map": {"^": [1], "$": [2], "_": [0], "b": [15], "ˈ": [120], "i": [21], "ː": [122, 7]}}
    assert Alphabet.read(config, PATH).encode("bˈ☃i") == (1, 0, 15, 0, 120, 0, 21, 0, 122, 7, 0, 2)


@pytest.mark.parametrize("phonemes", ["", " ", ".", "?!", "ˈ☃"])
def test_what_has_no_sound_has_no_ids(phonemes: str) -> None:
    config = {"phoneme_id_map": {"^": [1], "$": [2], "_": [0], ".": [10], "?": [13], "!": [4], " ": [3]}}
    assert Alphabet.read(config, PATH).encode(phonemes) == ()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "no '\\^' and no"),
        ({"phoneme_id_map": {"^": [1], "$": [2], "_": [0]}, "language": {"code": "de_DE"}}, "speaks 'de_DE'"),
        ({"phoneme_id_map": {"^": [1], "$": [2], "_": [0]}, "espeak": {"voice": "fr"}}, "speaks 'fr'"),
    ],
)
def test_a_voice_that_cannot_be_given_phonemes_is_named(config: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Alphabet.read(config, PATH)
