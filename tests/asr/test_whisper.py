"""Whisper through faster-whisper, with the packaged weights."""

from pathlib import Path

import numpy as np
import pytest

from rejoinder import models
from rejoinder.asr.recognizer import BiasPhrase
from rejoinder.asr.whisper import LONGEST_HINT_CHARS, HotWords, WhisperRecognizer
from rejoinder.errors import ModelError
from rejoinder.text import normalize
from tests.asr.conftest import say

pytest.importorskip("faster_whisper")
pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def whisper() -> WhisperRecognizer:
    return WhisperRecognizer.load(models.resolve("whisper-base"))


def test_speech_becomes_words(whisper: WhisperRecognizer) -> None:
    heard = whisper.transcribe(say("Can I get a large latte with whole milk?"))
    assert normalize(heard.text) == "can i get a large latte with whole milk"
    assert " ".join(word.text for word in heard.words) == heard.text
    assert 0 < heard.confidence <= 1


def test_silence_is_empty(whisper: WhisperRecognizer) -> None:
    for n_samples in (0, 100, 16_000):
        assert whisper.transcribe(np.zeros(n_samples, np.float32)).text == ""


def test_hot_words_help(whisper: WhisperRecognizer) -> None:
    samples = say("I need a refill of my Xarelto please.")
    bias = whisper.compile_bias([BiasPhrase("Xarelto"), BiasPhrase("metformin")])
    assert "xarelto" in whisper.transcribe(samples, bias=bias).text.lower()


def test_the_most_boosted_phrases_fit_in(whisper: WhisperRecognizer) -> None:
    phrases = [BiasPhrase(f"phrase number {i}") for i in range(100)] + [BiasPhrase("first of all", boost=2.0)]
    bias = whisper.compile_bias(phrases)
    assert isinstance(bias, HotWords)
    assert bias.hint.startswith("first of all, phrase number 0")
    assert len(bias.hint) <= LONGEST_HINT_CHARS


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no model\.bin"):
        WhisperRecognizer.load(tmp_path)
