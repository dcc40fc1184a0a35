"""Manifests: every wrong line is named, what is written is read again, nobody is in two splits, overlap is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AudioError, ManifestError
from rejoinder.manifest import (
    N_SHOWN,
    Utterance,
    read_manifest,
    refuse_overlap,
    split_by_speaker,
    split_by_text,
    write_manifest,
)


def noise(n_samples: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, n_samples)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, seconds in enumerate((1, 2, 3)):
        soundfile.write(tmp_path / f"{n}.flac", noise(seconds * SAMPLE_RATE, n), SAMPLE_RATE)
    return tmp_path


def write(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def test_whole_files_parts_and_other_keys(folder: Path) -> None:
    utterances = read_manifest(
        write(
            folder,
            {"audio_filepath": "0.flac", "duration": 1.0, "text": "Yes.", "speaker": "anna", "pred_text": "yes"},
            "",
            {"audio_filepath": "1.flac", "duration": 2.1, "text": " two  words ", "speaker": 7},  # rounded
            {"audio_filepath": "2.flac", "duration": 0.5, "offset": 1.25, "text": ""},
            {"audio_filepath": str(folder / "2.flac"), "text": "no duration"},
        )
    )
    assert utterances == (
        Utterance(folder / "0.flac", "Yes.", 1.0, "anna"),
        Utterance(folder / "1.flac", "two words", 2.0, "7"),
        Utterance(folder / "2.flac", "", 0.5, None, 1.25),
        Utterance(folder / "2.flac", "no duration", 3.0),
    )
    whole = utterances[3].samples()
    assert len(whole) == 3 * SAMPLE_RATE
    assert np.array_equal(utterances[2].samples(), whole[20_000:28_000])


def test_the_file_s_rate_and_channels_do_not_matter(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([noise(44_100), noise(44_100)], axis=1), 44_100)
    (utterance,) = read_manifest(write(tmp_path, {"audio_filepath": "a.wav", "duration": 1, "text": "yes"}))
    assert utterance.duration_s == 1.0
    assert utterance.samples().shape == (SAMPLE_RATE,)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON (Expecting property name"),
        ("[" * 100_000, "is nested too deeply"),
        ("[1]", "is not a JSON object"),
        ({"duration": 1.0, "text": "yes"}, '"audio_filepath" must name a file'),
        ({"audio_filepath": "a\0b", "text": "yes"}, '"audio_filepath" must name a file'),
        ({"audio_filepath": "0.flac"}, '"text" must be what is said'),
        ({"audio_filepath": "0.flac", "text": ["yes"]}, '"text" must be what is said'),
        ({"audio_filepath": "0.flac", "text": "yes", "speaker": True}, '"speaker" must be a name'),
        ({"audio_filepath": "9.flac", "text": "yes"}, "9.flac: no such file"),
        ({"audio_filepath": "manifest.jsonl", "text": "yes"}, "not audio that can be read"),
        ({"audio_filepath": "empty.wav", "text": "yes"}, "empty.wav: holds no samples"),
        ({"audio_filepath": "slow.wav", "text": "yes"}, "its header says 100 Hz"),
        ({"audio_filepath": "0.flac", "text": "yes", "duration": "1.0"}, '"duration" must be a number, not "1.0"'),
        ({"audio_filepath": "0.flac", "text": "yes", "duration": 0}, '"duration" must be more than 0'),
        ('{"audio_filepath": "0.flac", "text": "yes", "duration": NaN}', '"duration" must be a number, not NaN'),
        ({"audio_filepath": "0.flac", "text": "yes", "duration": 3.0}, "lasts 1.00 s at its header's 16000 Hz"),
        ({"audio_filepath": "0.flac", "text": "yes", "sample_rate": 8000}, '"sample_rate" is 8000 Hz, but 0.flac'),
        ({"audio_filepath": "0.flac", "text": "yes", "offset": 0.9, "duration": 0.9}, "do not lie within 0.flac"),
        ({"audio_filepath": "0.flac", "text": "yes", "offset": -1, "duration": 0.9}, "do not lie within 0.flac"),
        ({"audio_filepath": "0.flac", "text": "yes", "offset": 2}, "do not lie within 0.flac"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, line: dict[str, Any] | str, said: str) -> None:
    soundfile.write(folder / "empty.wav", np.zeros(0), SAMPLE_RATE)
    soundfile.write(folder / "slow.wav", noise(100), 100)
    good = {"audio_filepath": "0.flac", "duration": 1.0, "text": "yes"}
    with pytest.raises(ManifestError) as raised:
        read_manifest(write(folder, good, line, good))
    assert str(raised.value).startswith(f"{folder / 'manifest.jsonl'}:2: ")
    assert said in str(raised.value)
    assert str(raised.value).count("\n") == 0


def test_all_wrong_lines_are_named_at_once(folder: Path) -> None:
    with pytest.raises(ManifestError) as raised:
        read_manifest(write(folder, *["{}"] * (N_SHOWN + 5)))
    lines = str(raised.value).splitlines()
    assert [line.split(":")[1] for line in lines[:-1]] == [str(n + 1) for n in range(N_SHOWN)]
    assert lines[-1] == "… and 5 more lines"


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_manifest_says_what_to_write(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(
        ManifestError, match=r'm\.jsonl: holds no utterances; write one line for each: {"audio_filepath"'
    ):
        read_manifest(tmp_path / "m.jsonl")


def test_what_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"none\.jsonl: cannot be read \(No such file"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ManifestError, match="is not UTF-8 text"):
        read_manifest(tmp_path / "a.jsonl")


texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=20).map(
    lambda s: " ".join(s.split())
)


@settings(max_examples=30)
@given(
    entries=st.lists(
        st.tuples(
            st.integers(0, 2),
            texts,
            st.none() | texts.filter(bool),
            st.floats(0.0, 0.5),
            st.floats(0.01, 0.5),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, entries: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    for n in range(3):
        soundfile.write(folder / f"{n}.wav", noise(SAMPLE_RATE, n), SAMPLE_RATE)
    utterances = tuple(
        Utterance(folder / f"{n}.wav", text, duration_s, speaker, offset_s)
        for n, text, speaker, offset_s, duration_s in entries
    )
    write_manifest(folder / "lists" / "m.jsonl", utterances)
    assert read_manifest(folder / "lists" / "m.jsonl") == utterances
    assert [path.name for path in (folder / "lists").iterdir()] == ["m.jsonl"]


def test_what_lies_beside_the_manifest_may_move_with_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    write_manifest(folder / "m.jsonl", [Utterance(folder / "0.flac", "yes", 1.0)])
    moved = folder.rename(tmp_path_factory.mktemp("elsewhere") / "moved")
    assert read_manifest(moved / "m.jsonl")[0].audio == moved / "0.flac"


def test_a_manifest_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").mkdir()
    with pytest.raises(ManifestError, match=r"m\.jsonl: cannot be written"):
        write_manifest(tmp_path / "m.jsonl", [])
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


def said(n: int, *, speaker: str | None = None, text: str = "yes", duration_s: float = 1.0) -> Utterance:
    return Utterance(Path(f"{n}.wav"), text, duration_s, speaker)


@given(
    speakers=st.lists(st.sampled_from(["anna", "ben", "carla", "dan", None]), min_size=2, max_size=30).filter(
        lambda names: len(set(names)) > 1
    ),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 5),
)
def test_nobody_is_on_both_sides(speakers: list[str | None], share: float, seed: int) -> None:
    utterances = [said(n, speaker=speaker) for n, speaker in enumerate(speakers)]
    train, held_out = split_by_speaker(utterances, share=share, seed=seed)
    assert train
    assert held_out
    assert not {one.speaker for one in train} & {one.speaker for one in held_out}
    assert sorted(train + held_out, key=lambda one: one.audio) == sorted(utterances, key=lambda one: one.audio)
    assert split_by_speaker(utterances, share=share, seed=seed) == (train, held_out)


def test_the_share_is_of_the_audio() -> None:
    utterances = [said(n, speaker=f"{n % 20}", duration_s=1.0 + n % 3) for n in range(400)]
    _, held_out = split_by_speaker(utterances, share=0.2, seed=1)
    seconds = sum(one.duration_s for one in held_out) / sum(one.duration_s for one in utterances)
    assert seconds == pytest.approx(0.2, abs=0.03)


def test_one_speaker_is_split_by_what_is_said() -> None:
    utterances = [said(n, speaker="anna", text=text) for n, text in enumerate(["Yes.", "yes", "no", "maybe", "no!"])]
    with pytest.raises(ManifestError, match=r"5 utterances of one speaker \(anna\) cannot be split by speaker"):
        split_by_speaker(utterances, share=0.5)
    train, held_out = split_by_text(utterances, share=0.4, seed=3)
    assert train
    assert held_out
    assert not {one.text.lower().strip(".!") for one in train} & {one.text.lower().strip(".!") for one in held_out}


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_to_split(n: int) -> None:
    utterances = [said(n) for n in range(n)]
    counted = "1 utterance" if n == 1 else f"{n} utterances"
    with pytest.raises(ManifestError, match=rf"{counted} of one speaker \(none named\)"):
        split_by_speaker(utterances, share=0.5)
    with pytest.raises(ManifestError, match=f"{counted} cannot be split: two that say different things"):
        split_by_text(utterances, share=0.5)


def test_a_test_recording_under_another_name_and_format_is_found(folder: Path) -> None:
    samples, rate = soundfile.read(folder / "1.flac", dtype="int16")
    soundfile.write(folder / "copy.wav", samples, rate)
    train = [Utterance(folder / "0.flac", "a", 1.0), Utterance(folder / "1.flac", "b", 2.0)]
    with pytest.raises(ManifestError) as raised:
        refuse_overlap(train, [Utterance(folder / "2.flac", "c", 3.0), Utterance(folder / "copy.wav", "b", 2.0)])
    assert str(raised.value).startswith("1 of the 2 test recordings are in the training data too")
    assert f"{folder / 'copy.wav'} (in training: {folder / '1.flac'})" in str(raised.value)


def test_parts_of_one_file_overlap_where_their_times_do(folder: Path) -> None:
    first, second = (Utterance(folder / "2.flac", "a", 1.0, offset_s=offset_s) for offset_s in (0.0, 1.0))
    refuse_overlap([first], [second])
    with pytest.raises(ManifestError, match=r"2\.flac"):
        refuse_overlap([first], [Utterance(folder / ".." / folder.name / "2.flac", "a", 1.0, offset_s=0.9)])


def test_the_same_text_in_both_is_no_overlap(folder: Path) -> None:
    soundfile.write(folder / "other.flac", noise(SAMPLE_RATE, 99), SAMPLE_RATE)  # as long as 0.flac, and another
    refuse_overlap([Utterance(folder / "0.flac", "yes", 1.0)], [Utterance(folder / "other.flac", "yes", 1.0)])


def test_audio_that_went_missing_after_it_was_listed(folder: Path) -> None:
    (utterance,) = read_manifest(write(folder, {"audio_filepath": "0.flac", "text": "yes"}))
    utterance.audio.unlink()
    with pytest.raises(AudioError, match="no such file"):
        utterance.samples()
