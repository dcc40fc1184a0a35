"""The real recognizer on real and synthetic speech."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rejoinder import models
from rejoinder.asr.biasing import bias_phrases, likely_sentences
from rejoinder.asr.decoder import TokenTree, differences
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.asr.recognizer import BiasPhrase
from rejoinder.audio import SAMPLE_RATE
from rejoinder.domain import Domain
from rejoinder.errors import ModelError
from rejoinder.events import Samples
from rejoinder.text import normalize
from tests.asr.conftest import say

pytestmark = pytest.mark.model

DRUGS = ("Xarelto", "metformin", "Eliquis", "lisinopril", "atorvastatin", "gabapentin", "Jardiance", "omeprazole")
ORDINARY = ("what is the weather like today", "please set an alarm for six in the morning", "how far is the airport")


def test_speech_becomes_words(recognizer: MoonshineRecognizer) -> None:
    heard = recognizer.transcribe(say("Can I get a large latte with whole milk?"))
    assert normalize(heard.text) == "can i get a large latte with whole milk"
    assert " ".join(word.text for word in heard.words) == heard.text
    assert all(0 < word.confidence <= 1 for word in heard.words)
    assert 0.5 < heard.confidence <= 1


def test_silence_and_scraps_of_audio_are_empty(recognizer: MoonshineRecognizer) -> None:
    for n_samples in (0, 1, 1_599, SAMPLE_RATE, 5 * SAMPLE_RATE):
        assert recognizer.transcribe(np.zeros(n_samples, np.float32)).text == ""
    assert recognizer.transcribe(say("yes")[4_000:5_000]).text == ""


@pytest.mark.parametrize("seconds", [0.1, 0.35, 1.0, 8.0])
def test_noise_makes_few_words(recognizer: MoonshineRecognizer, seconds: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, int(seconds * SAMPLE_RATE)).astype(np.float32)
    heard = recognizer.transcribe(noise)
    assert len(heard.tokens) <= seconds * 6.5 + 8
    if seconds > 1:
        assert heard.confidence < 0.9


@pytest.mark.parametrize("biased", [False, True])
def test_a_draft_saves_calls_and_changes_nothing(
    recognizer: MoonshineRecognizer, cafe: Domain, orders: list[Samples], biased: bool
) -> None:
    bias = recognizer.compile_bias(bias_phrases(cafe)) if biased else None
    n_plain = n_drafted = 0
    for samples in orders[::8]:
        plain = recognizer.transcribe(samples, bias=bias)
        part = recognizer.transcribe(samples[: len(samples) * 2 // 3], bias=bias)
        wrong = recognizer.transcribe(orders[0], bias=bias)
        for draft in (part, plain, wrong):
            drafted = recognizer.transcribe(samples, bias=bias, draft=draft)
            assert replace(drafted, n_decoder_calls=0, confidence=0, words=()) == replace(
                plain, n_decoder_calls=0, confidence=0, words=()
            )
            assert drafted.confidence == pytest.approx(plain.confidence, abs=1e-3)
        n_plain += plain.n_decoder_calls
        n_drafted += recognizer.transcribe(samples, bias=bias, draft=plain).n_decoder_calls
    assert n_drafted < n_plain / 2


def test_guesses_save_calls_and_change_nothing(
    recognizer: MoonshineRecognizer, cafe: Domain, orders: list[Samples]
) -> None:
    phrases = bias_phrases(cafe)
    plain, guessing = (
        [recognizer.transcribe(samples, bias=bias) for samples in (*orders[::8], say(ORDINARY[0]))]
        for bias in (
            recognizer.compile_bias(phrases),
            recognizer.compile_bias(phrases, sentences=likely_sentences(cafe)),
        )
    )
    for one, other in zip(plain, guessing, strict=True):
        assert (other.text, other.tokens) == (one.text, one.tokens)
        assert other.confidence == pytest.approx(one.confidence, abs=1e-3)
        assert other.n_decoder_calls <= one.n_decoder_calls
    assert sum(heard.n_decoder_calls for heard in guessing) < 0.8 * sum(heard.n_decoder_calls for heard in plain)


def test_several_threads_hear_the_same(recognizer: MoonshineRecognizer, orders: list[Samples]) -> None:
    some = orders[:6]
    alone = [recognizer.transcribe(samples).text for samples in some]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda samples: recognizer.transcribe(samples).text, some * 2)) == alone * 2


def test_bias_brings_out_names_that_were_said(recognizer: MoonshineRecognizer) -> None:
    bias = recognizer.compile_bias([BiasPhrase(drug) for drug in DRUGS])
    speech = [(drug, say(f"I need a refill of my {drug} please.")) for drug in DRUGS]

    def n_right(with_bias: bool) -> int:
        heard = (recognizer.transcribe(samples, bias=bias if with_bias else None).text for _, samples in speech)
        return sum(drug.lower() in text.lower() for drug, text in zip(DRUGS, heard, strict=True))

    assert n_right(with_bias=True) >= n_right(with_bias=False) + 3
    assert n_right(with_bias=True) >= 6


def test_bias_does_not_bring_in_names_that_were_not(recognizer: MoonshineRecognizer, cafe: Domain) -> None:
    for phrases in ([BiasPhrase(drug) for drug in DRUGS], bias_phrases(cafe)):
        bias = recognizer.compile_bias(phrases)
        for text in ORDINARY:
            plain = recognizer.transcribe(say(text))
            assert normalize(recognizer.transcribe(say(text), bias=bias).text) == normalize(plain.text)


def test_bias_changes_between_calls(recognizer: MoonshineRecognizer) -> None:
    samples = say("I need a refill of my Jardiance please.")
    plain = recognizer.transcribe(samples).text
    biased = recognizer.transcribe(samples, bias=recognizer.compile_bias([BiasPhrase("Jardiance")])).text
    assert "Jardiance" in biased
    assert recognizer.transcribe(samples, bias=recognizer.compile_bias([])).text == plain
    assert recognizer.transcribe(samples).text == plain


def test_other_hypotheses_come_when_asked_for(recognizer: MoonshineRecognizer, orders: list[Samples]) -> None:
    heard = recognizer.transcribe(orders[0], n_best=4)
    assert 1 <= len(heard.alternatives) <= 3
    texts = [heard.text, *(other.text for other in heard.alternatives)]
    assert len(set(texts)) == len(texts)
    assert recognizer.transcribe(orders[0]).alternatives == ()


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no encoder_model\.ort"):
        MoonshineRecognizer.load(tmp_path)
    whole = models.resolve("moonshine-tiny")
    for name in ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"):
        (tmp_path / name).symlink_to(whole / name)
    (tmp_path / "encoder_model.ort").unlink()
    (tmp_path / "encoder_model.ort").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"encoder_model\.ort: is damaged"):
        MoonshineRecognizer.load(tmp_path)


def test_a_tree_holds_each_beginning_once() -> None:
    tree, ways = TokenTree.of([[5, 6, 7], [5, 6, 8], [5]])
    assert tree.tokens == [1, 5, 6, 7, 8]
    assert ways == [[0, 1, 2, 3], [0, 1, 2, 4], [0, 1]]
    assert (tree.mask()[4] == 0).tolist() == [True, True, True, False, True]


def test_differences_reach_a_little_beyond_the_last_one() -> None:
    same, shorter = differences([1, 2, 3, 4, 5, 6], [[1, 2, 9, 4, 5, 6], [1, 2]], n_after=1)
    assert same == (range(2, 4), range(2, 4))
    assert shorter == (range(2, 7), range(2, 3))
