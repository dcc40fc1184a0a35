"""The voices that are installed, and how they say the domain's terms."""

import pickle
import shutil

import numpy as np
import pytest

from rejoinder.adapt import voices
from rejoinder.adapt.voices import HELD_OUT, Voice, held_out_voices, missing_voices, to_flite, training_voices
from rejoinder.errors import ModelError
from rejoinder.events import Samples
from rejoinder.tts.lexicon import Lexicon, pronounce


def test_nobody_is_both_in_training_and_held_out() -> None:
    training, held_out = ({voice.name for voice in some} for some in (training_voices(), held_out_voices()))
    assert "hibari" in training
    assert not training & held_out
    assert held_out <= set(HELD_OUT)
    assert {voice.name for voice in training_voices(all_installed=True)} == training | held_out


def test_a_voice_that_is_missing_is_left_out_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not any(voice.name.startswith("flite") for voice in training_voices())
    assert "flite" in missing_voices()["flite-rms"]
    assert "hibari" not in missing_voices()


def test_none_at_all_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModelError(f"{name} is not installed")

    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("rejoinder.models.resolve", missing)
    assert held_out_voices() == ()
    with pytest.raises(ModelError, match=r"no voice is installed .*hibari: pip install hibari-tts"):
        training_voices()


@pytest.mark.parametrize(
    ("spoken", "symbols"),
    [
        ("zuh-REL-toe", "z ax r eh1 l t ow"),
        ("WHY-fye", "w ay1 f ay"),
        ("kluh-rith-roh-MYE-sin", "k l ax r ih th r ow m ay1 s ih n"),
        ("al-BYOO-ter-all", "ae l b y uw1 t ax r ae l"),
        ("SUR-truh-leen", "s er1 t r ax l iy n"),
        ("/ˈtʃɛɹi ˈdʒʊŋɡəl/", "ch eh1 r iy jh uh1 ng g ax l"),
    ],
)
def test_phonemes_for_flite(spoken: str, symbols: str) -> None:
    assert to_flite(pronounce(spoken)) == symbols


@pytest.mark.model
@pytest.mark.parametrize("voice", training_voices(all_installed=True), ids=lambda voice: str(voice.name))
def test_each_voice_speaks(voice: Voice) -> None:
    def said(text: str, *, speed: float = 1.0, lexicon: Lexicon | None = None) -> tuple[Samples, float]:
        samples, rate = voice.speak(text, rng=np.random.default_rng(0), speed=speed, lexicon=lexicon)
        return samples, len(samples) / rate

    text = "Do you have <any> Xarelto & something else for $2.50?"
    samples, seconds = said(text)
    assert samples.dtype == np.float32
    assert 2.0 < seconds < 8.0
    assert 0.01 < np.abs(samples).max() <= 1.0
    assert np.array_equal(said(text)[0], samples)
    plain = "Are you open on Sunday morning"
    assert 1.08 < said(plain)[1] / said(plain, speed=1.3)[1] < 1.4  # networks round the length of each sound
    longer = Lexicon({"xarelto": pronounce("zuh-zuh-zuh-zuh-zuh-REL-toe-toe-toe-toe")})
    assert said(text, lexicon=longer)[1] > seconds + 0.5
    assert said("…")[1] == 0.0
    assert voice.fingerprint


@pytest.mark.model
@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_a_flite_that_fails_is_named() -> None:
    voice = voices.FliteVoice("rms", "/bin/false")
    with pytest.raises(ModelError, match="voice 'flite-rms': /bin/false failed"):
        voice.speak("Yes.", rng=np.random.default_rng(0))


@pytest.mark.model
def test_another_process_finds_the_same_voice_or_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    (voice,) = (one for one in voices.training_voices() if one.name == "hibari")
    sent = pickle.dumps(voice)
    assert pickle.loads(sent).fingerprint == voice.fingerprint
    monkeypatch.setattr(voices, "SOUND_VERSION", "another")
    with pytest.raises(ModelError, match=r"voice 'hibari': is another version on .*install the same packages"):
        pickle.loads(sent)
    monkeypatch.setattr(voices, "_installed", lambda: ())
    with pytest.raises(ModelError, match="voice 'hibari': is not there on"):
        pickle.loads(sent)
