"""The default voice: text to phonemes, audio of clauses, and whether a recognizer hears what was written."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from rejoinder.audio import resample
from rejoinder.domain import Term
from rejoinder.errors import ModelError
from rejoinder.events import Samples
from rejoinder.models import resolve
from rejoinder.text import normalize
from rejoinder.tts.hibari import HibariSynthesizer
from rejoinder.tts.lexicon import compile_lexicon
from rejoinder.tts.phonemizer import unzip
from rejoinder.tts.shaping import LEAD_S, TAIL_S, pause_after, shape
from rejoinder.tts.verbalize import verbalize

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def voice() -> HibariSynthesizer:
    return HibariSynthesizer.load(
        lexicon=compile_lexicon([Term("Xarelto", "zuh-REL-toe"), Term("A1C", "/eɪ wʌn siː/")])
    )


def spoken(voice: HibariSynthesizer, text: str) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *voice.synthesize(text)])


def test_terms_are_spoken_as_the_domain_says_and_numbers_as_people_do(voice: HibariSynthesizer) -> None:
    assert voice.phonemize("Xarelto's $2.50") == "zəɹˈɛltOz tˈu dˈɑləɹz ænd fˈɪfti sˈɛnts"
    assert voice.phonemize("your a1c") == "jʊɹ ˈA wˈʌn sˈi"


def test_the_tables_opened_lazily_hold_what_is_in_the_files(voice: HibariSynthesizer) -> None:
    folder = resolve("hibari")
    silver = json.loads(unzip(folder / "lexicon_us_silver.json.gz"))
    weights = json.loads(unzip(folder / "tagger.json.gz"))["weights"]
    assert all(voice._phonemizer._g2p.lexicon.silvers.d.get(word) == phonemes for word, phonemes in silver.items())
    assert all(voice._phonemizer._g2p.tagger.weights.get(feature) == by_tag for feature, by_tag in weights.items())
    assert voice._phonemizer._g2p.lexicon.silvers.d.get("no such word") is None


def test_phonemes_are_those_of_hibari_itself(voice: HibariSynthesizer) -> None:
    from hibari.g2p import G2P

    original = G2P()
    for text in (
        "I read the record that they record live.",
        "The zorblaxian's lead, to use a use.",
        "Would you like it?",
    ):
        assert voice.phonemize(text) == original(text)


def test_the_first_clause_starts_at_once_and_each_ends_with_its_pause(voice: HibariSynthesizer) -> None:
    clauses = list(voice.synthesize("Sure, one large latte, with oat milk. Anything else?"))
    assert len(clauses) == 3
    for clause, mark in zip(clauses, ",.?", strict=True):
        assert clause.dtype == np.float32
        heard = np.flatnonzero(np.abs(clause) > 0.002)
        assert heard[0] / voice.sample_rate < LEAD_S + 0.01
        silence_s = (len(clause) - heard[-1]) / voice.sample_rate
        assert pause_after(mark) <= silence_s < pause_after(mark) + TAIL_S + 0.05
        assert 0.05 < np.sqrt(np.mean(clause[heard[0] : heard[-1]] ** 2)) < 0.2
        assert np.abs(clause).max() <= 1.0


def test_the_same_text_gives_the_same_samples_in_every_thread(voice: HibariSynthesizer) -> None:
    text, heard = "Your Xarelto is ready.", []
    threads = [threading.Thread(target=lambda: heard.append(spoken(voice, text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 4
    assert all(np.array_equal(audio, spoken(voice, text)) for audio in heard)


def test_speed_shortens_the_audio() -> None:
    text = "This is one sentence of some length."
    slow, fast = (len(spoken(HibariSynthesizer.load(speed=speed), text)) for speed in (1.0, 1.4))
    assert 0.6 < fast / slow < 0.85


@pytest.mark.parametrize("text", ["", "   ", "...", "***", "日本語", "\x00", "[a](/zz9/)", "]]((", "😀"])
def test_odd_text_is_silence_or_speech_but_no_error(voice: HibariSynthesizer, text: str) -> None:
    assert all(np.isfinite(clause).all() for clause in voice.synthesize(text))


def test_a_very_long_word_and_a_very_long_text_are_spoken(voice: HibariSynthesizer) -> None:
    assert len(spoken(voice, "b" * 900)) > 0
    assert len(spoken(voice, "and so on " * 60)) > 20 * voice.sample_rate
    assert (
        len(spoken(voice, "1234" * 70)) > 60 * voice.sample_rate
    )  # 280 digits are more than the network takes at once


def test_a_folder_without_the_voice_is_an_error_that_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="rejoinder doctor"):
        HibariSynthesizer.load(tmp_path)
    (tmp_path / "hibari.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=str(tmp_path)):
        HibariSynthesizer.load(tmp_path)


def test_shaping_trims_silence_and_keeps_peaks_below_one() -> None:
    samples = np.concatenate([np.zeros(8_000), 0.9 * np.ones(8_000), np.zeros(8_000)]).astype(np.float32)
    shaped = shape(samples, 8_000, gain=4.0, pause_s=0.5)
    assert len(shaped) == 8_000 + round((LEAD_S + TAIL_S + 0.5) * 8_000)
    assert np.abs(shaped).max() == pytest.approx(0.95)
    assert len(shape(np.zeros(100, np.float32), 8_000, pause_s=0.5)) == 0


WRITTEN = (
    "Your total is $2.50.",
    "That comes to $4, or €5.",
    "Your appointment is on 2026-11-30.",
    "We close on 11/24 at 5 pm.",
    "Please come at 14:30 tomorrow.",
    "The code of your order is GMEF39.",
    "One 20 oz latte with almond milk.",
    "Take 5 mg, twice a day.",
    "Keep it below 8°C in the fridge.",
    "You get 50% off, this is your 3rd refill.",
    "Call us at 555-123-4567.",
    "It takes 5-10 days, Dr. Smith will call you back.",
    "Sure, one large latte with oat milk, that will be $4.75, and it is ready in 10 minutes.",
    "I found 3 refills, the next one is due on November 30. Shall I order it now?",
    "Yes. Your prescription is ready. Please bring your card, your letter, and 2 photos.",
    "It was founded in 1987, and it has 1,250 members.",
)


def test_a_recognizer_hears_the_words_that_were_written(voice: HibariSynthesizer) -> None:
    """Nothing is lost at the borders of clauses, and numbers, money, dates and codes are understood."""
    jiwer = pytest.importorskip("jiwer")
    from rejoinder.asr.moonshine import MoonshineRecognizer

    recognizer = MoonshineRecognizer.load(resolve("moonshine-tiny"))
    said = [normalize(verbalize(text)) for text in WRITTEN]
    heard = [
        normalize(recognizer.transcribe(resample(spoken(voice, text), voice.sample_rate, 16_000)).text)
        for text in WRITTEN
    ]
    assert jiwer.wer(said, heard) <= 0.1, list(zip(said, heard, strict=True))
