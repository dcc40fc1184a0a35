"""Speaking sentences: kept by content, resumed after a kill, varied, and honest about the disk."""

import os
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pytest

from rejoinder.acoustics import speech_rms
from rejoinder.adapt import synthetic
from rejoinder.adapt.synthetic import speak
from rejoinder.domain import Term
from rejoinder.errors import AdaptError, ModelError
from tests.adapt.voices import Beeper

SENTENCES = tuple(f"This is sentence {word}." for word in "one two three four five six seven eight nine ten".split())


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_spoken(tmp_path: Path) -> None:
    voices = (Beeper("anna", "a"), Beeper("ben", "b"))
    utterances = speak(SENTENCES, voices=voices, folder=tmp_path, seed=1)
    assert tuple(one.text for one in utterances) == SENTENCES
    assert Counter(one.speaker for one in utterances) == {"anna": 5, "ben": 5}
    for one in utterances:
        samples = one.samples()
        assert len(samples) / 16_000 == pytest.approx(one.duration_s)
        assert 20 * np.log10(speech_rms(samples)) == pytest.approx(synthetic.LEVEL_DBFS, abs=1.5)
        assert not samples[:800].any(), "there is silence before the speech"
    assert len({one.duration_s for one in utterances}) > 8, "each has its own pace"


def test_what_was_spoken_is_there_at_once_and_the_same(tmp_path: Path) -> None:
    first, again, other = Beeper(), Beeper(), Beeper(fingerprint="beeper-2")
    utterances = speak(SENTENCES, voices=[first], folder=tmp_path, seed=1)
    assert speak(SENTENCES, voices=[again], folder=tmp_path, seed=1) == utterances
    assert len(first.asked) == len(SENTENCES)
    assert not again.asked
    assert speak(SENTENCES, voices=[again], folder=tmp_path, seed=2) != utterances
    assert not {one.audio for one in speak(SENTENCES, voices=[other], folder=tmp_path, seed=1)} & {
        one.audio for one in utterances
    }


def test_the_same_anywhere(tmp_path: Path) -> None:
    here, there = (speak(SENTENCES, voices=[Beeper()], folder=tmp_path / name, seed=1) for name in ("a", "b"))
    assert [path.read_bytes() for path in files(tmp_path / "a")] == [
        path.read_bytes() for path in files(tmp_path / "b")
    ]
    assert [one.audio.name for one in here] == [one.audio.name for one in there]


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    interrupted = Beeper(fails_after=4)
    with pytest.raises(KeyboardInterrupt):
        speak(SENTENCES, voices=[interrupted], folder=tmp_path, seed=1)
    n_kept = len(files(tmp_path))
    assert 0 < n_kept < len(SENTENCES)
    assert all(path.suffix == ".flac" and not path.name.startswith(".") for path in files(tmp_path))
    resumed = Beeper()
    assert len(speak(SENTENCES, voices=[resumed], folder=tmp_path, seed=1)) == len(SENTENCES)
    assert len(resumed.asked) == len(SENTENCES) - n_kept


def test_a_damaged_clip_is_spoken_again(tmp_path: Path) -> None:
    (utterance,) = speak(SENTENCES[:1], voices=[Beeper()], folder=tmp_path)
    whole = utterance.audio.read_bytes()
    utterance.audio.write_bytes(whole[:20])
    assert speak(SENTENCES[:1], voices=[Beeper()], folder=tmp_path) == (utterance,)
    assert utterance.audio.read_bytes() == whole


def test_the_cache_is_where_clips_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path))
    (utterance,) = speak(SENTENCES[:1], voices=[Beeper()])
    assert utterance.audio.is_relative_to(tmp_path / "synthetic")


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int, str]] = []
    speak(SENTENCES, voices=[Beeper()], folder=tmp_path, progress=lambda *step: told.append(step))
    assert [n_done for _, n_done, _, _ in told] == list(range(1, 11))
    assert told[-1] == ("synthesizing", 10, 10, "beeper")


def test_nothing_to_say_and_nobody_to_say_it(tmp_path: Path) -> None:
    assert speak(["…", "Yes."], voices=[Beeper()], folder=tmp_path)[0].text == "Yes."
    assert speak([], voices=[Beeper()], folder=tmp_path) == ()
    with pytest.raises(ModelError, match="no voices"):
        speak(["Yes."], voices=[], folder=tmp_path)


def test_terms_are_said_as_the_domain_says_as_a_reader_would_and_as_they_are_misheard(tmp_path: Path) -> None:
    terms = (
        Term("Xarelto", spoken="zuh-REL-toe", sounds_like=("czar alto",)),
        Term("Wi-Fi", spoken="WHY-fye"),
        Term("espresso", sounds_like=("expresso",)),
    )
    texts = [f"{n} Do you have Xarelto and espresso on the wi fi?" for n in range(300)]
    voice = Beeper()
    utterances = speak(texts, voices=[voice], terms=terms, folder=tmp_path)
    assert [one.text for one in utterances] == texts, "what is to be recognized stays"
    said = [text for text, _, _ in voice.asked]
    lexicons = [lexicon for _, _, lexicon in voice.asked]
    share = {
        "misheard": sum("czar alto" in text for text in said) / 300,
        "as spoken": sum("xarelto" in lexicon for lexicon in lexicons) / 300,
        "expresso": sum("expresso" in text for text in said) / 300,
        "wi fi": sum("wi fi" in lexicon for lexicon in lexicons) / 300,
    }
    assert share["misheard"] == pytest.approx(0.1, abs=0.06)
    assert share["expresso"] == pytest.approx(0.1, abs=0.06)
    assert share["as spoken"] == pytest.approx(0.7, abs=0.1)
    assert share["wi fi"] == pytest.approx(0.75, abs=0.1)
    assert 0 < sum(text.startswith(("Um", "Uh")) for text in said) < 40


Usage = namedtuple("Usage", "total used free")


def test_a_disk_without_room_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1, 1, 100_000))
    voice = Beeper()
    with pytest.raises(
        AdaptError, match=r"10 clips of speech need about 1 MB, and 0 MB are free; make room or set REJ"
    ):
        speak(SENTENCES, voices=[voice], folder=tmp_path / "not" / "yet")
    assert not voice.asked


@pytest.mark.skipif(not Path("/dev/full").exists() or os.name != "posix", reason="needs a file system of POSIX")
def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file where the folder should be")
    with pytest.raises(AdaptError, match="speech cannot be kept there"):
        speak(SENTENCES[:1], voices=[Beeper()], folder=tmp_path / "clips")
