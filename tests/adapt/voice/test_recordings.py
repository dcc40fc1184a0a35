"""Recordings of a speaker: read, checked, and brought into the form that training takes."""

from pathlib import Path

import numpy as np
import pytest

from rejoinder import audio
from rejoinder.acoustics import speech_rms
from rejoinder.adapt.voice.model import HOP, SAMPLE_RATE
from rejoinder.adapt.voice.recordings import highest_frequency, prepare, read_recordings, trim
from rejoinder.errors import AdaptError, ManifestError
from rejoinder.events import Samples
from rejoinder.manifest import Utterance, write_manifest


def hum(seconds: float, rate: int = SAMPLE_RATE, level: float = 0.1) -> Samples:
    """Noise over all frequencies that the rate can hold, with silence on both sides."""
    speech = np.random.default_rng(0).standard_normal(round(seconds * rate)) * level
    silence = np.zeros(round(0.3 * rate))
    return np.concatenate([silence, speech, silence]).astype(np.float32)


def ljspeech(folder: Path, lines: str, *, names: tuple[str, ...], seconds: float = 100.0) -> Path:
    (folder / "wavs").mkdir()
    for name in names:
        audio.save(folder / "wavs" / f"{name}.wav", np.zeros(round(seconds * 8_000), np.float32), 8_000)
    (folder / "metadata.csv").write_text(lines)
    return folder


def test_a_folder_as_ljspeech_has_it_is_read_with_the_words_written_out(tmp_path: Path) -> None:
    found = read_recordings(ljspeech(tmp_path, "a|On 5th St.|On fifth street\nb|Hello\n", names=("a", "b")))
    assert [(one.audio.name, one.text) for one in found] == [("a.wav", "On fifth street"), ("b.wav", "Hello")]
    assert found[0].duration_s == pytest.approx(100.0)


def test_every_wrong_line_is_named_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as error:
        read_recordings(ljspeech(tmp_path, "a|Yes\nb\nc|No\n", names=("a", "b")))
    assert "metadata.csv:2: no text" in str(error.value)
    assert "metadata.csv:3: no wavs/c.wav" in str(error.value)
    assert ":1:" not in str(error.value)


def test_a_folder_of_another_kind_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no metadata\.csv; give a folder as LJSpeech has it, or a manifest"):
        read_recordings(tmp_path)


def test_too_little_and_two_speakers_are_refused(tmp_path: Path) -> None:
    audio.save(tmp_path / "a.wav", np.zeros(80_000, np.float32), 8_000)
    manifest = tmp_path / "list.jsonl"
    write_manifest(manifest, [Utterance(tmp_path / "a.wav", "Yes.", 10.0, speaker="anna")])
    with pytest.raises(AdaptError, match=r"0\.2 minutes of speech; a voice needs 3"):
        read_recordings(manifest)
    halves = [Utterance(tmp_path / "a.wav", "Yes.", 5.0, name, at) for name, at in (("anna", 0.0), ("ben", 5.0))]
    write_manifest(manifest, halves)
    with pytest.raises(AdaptError, match="from one speaker, and here are 2: anna, ben"):
        read_recordings(manifest)


def test_clips_come_at_the_voice_s_rate_and_level_without_the_silence_around_them(tmp_path: Path) -> None:
    audio.save(tmp_path / "a.wav", hum(2.0, rate=16_000, level=0.02), 16_000)
    audio.save(tmp_path / "short.wav", hum(0.2, rate=16_000), 16_000)
    utterances = [Utterance(tmp_path / name, "Hello.", 1.0) for name in ("a.wav", "short.wav")]
    utterances = [Utterance(one.audio, one.text, 3.0) for one in utterances]
    (clip,) = prepare(utterances, phoneme_ids=lambda _: range(20), level=0.06)
    assert len(clip.samples) == clip.n_frames * HOP
    assert clip.seconds == pytest.approx(2.1, abs=0.03)
    assert speech_rms(clip.samples) == pytest.approx(0.06, rel=0.05)
    assert highest_frequency([clip]) == pytest.approx(8_000, abs=300)
    with pytest.raises(AdaptError, match=r"no recording lasts from 0\.74"):
        prepare(utterances, phoneme_ids=lambda _: range(1_000), level=0.06)


def test_silence_alone_is_trimmed_to_nothing() -> None:
    assert len(trim(np.zeros(SAMPLE_RATE, np.float32))) == 0
