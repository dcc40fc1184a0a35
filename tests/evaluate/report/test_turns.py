"""Failed turns: what is told of each, and which recordings a page takes in."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np

from rejoinder import audio
from rejoinder.evaluate.records import Meaning, Stage, Turn
from rejoinder.evaluate.report.results import Mark
from rejoinder.evaluate.report.sound import Sounds, peaks
from rejoinder.evaluate.report.turns import card, grouped, in_words, is_failed, stage_of
from tests.evaluate.report.sample import speech
from tests.evaluate.report.test_markup import seen

MARKS = {"base": Mark("s0", 0), "deep": Mark("s1", 1)}
LATTE = Meaning("order", {"drink": "latte", "size": "large"})
LOST = Turn(
    *("base", "clean", "one", 2.0, "a large latte please", "a large la tay please", 0.9, LATTE),
    Meaning("order", {"size": "large", "milk": "oat"}, 0.7),
    speech_end_s=1.5,
    heard_until_s=1.5,
    decided_s=1.8,
    n_turns=1,
    reply="Which drink?",
    lost=Stage.RECOGNITION,
)


def folder_with(tmp_path: Path, *names: str) -> Path:
    for n, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        audio.save(tmp_path / name, speech(2, n))
    return tmp_path


def test_a_card_tells_what_was_said_and_heard_meant_and_understood(tmp_path: Path) -> None:
    html = card([LOST], MARKS, Sounds(tmp_path, [tmp_path]))
    assert "a large <del>latte</del> <ins>la tay</ins> please" in html
    shown = seen(html).text
    assert "sizelargelarge" in shown.replace("same", "").replace("✓", "")
    for part in ("milk", "oat", "recognition", "decided after 300 ms", "Which drink?", "confidence 90.0%"):
        assert part in shown
    assert html.count("<mark>") == 2  # the drink that is missing and the milk that nobody wanted


def test_a_card_names_those_that_understood(tmp_path: Path) -> None:
    fine = replace(LOST, system="deep", understood=LATTE, lost=None)
    html = card([LOST, fine], MARKS, Sounds(tmp_path, [tmp_path]))
    assert "Understood by deep." in seen(html).text
    assert html.count('<section class="attempt"') == 1


def test_without_a_transcript_the_meaning_is_the_title(tmp_path: Path) -> None:
    html = card([replace(LOST, said=None)], MARKS, Sounds(tmp_path, [tmp_path]))
    assert "order: drink latte, size large" in seen(html).text
    assert "<del>" not in html
    assert in_words(Meaning(None)) == "none"


def test_a_turn_that_never_ended(tmp_path: Path) -> None:
    silent = replace(LOST, heard="", understood=None, decided_s=None, heard_until_s=None, n_turns=0, said=None)
    assert "nothing: no turn ended" in seen(card([silent], MARKS, Sounds(tmp_path, [tmp_path]))).text


def test_failed_is_misunderstood_or_with_words_alone_misheard() -> None:
    assert is_failed(LOST)
    assert not is_failed(replace(LOST, understood=LATTE))
    words_only = replace(LOST, meant=None, understood=None, lost=None)
    assert is_failed(words_only)
    assert stage_of(words_only) is Stage.RECOGNITION
    assert stage_of(replace(words_only, n_turns=0)) is Stage.TURNS
    assert not is_failed(replace(words_only, heard="A large latte, please."))
    assert not is_failed(replace(words_only, said=None))


def test_turns_of_one_recording_stand_together_by_condition() -> None:
    phone, deep = replace(LOST, condition="phone"), replace(LOST, system="deep")
    assert grouped([phone, LOST, deep], ["clean", "phone"]) == [[LOST, deep], [phone]]


def test_systems_that_heard_the_same_share_a_player(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "audio/a.flac", "audio/b.flac")
    (folder / "audio/same.flac").write_bytes((folder / "audio/a.flac").read_bytes())
    base, deep = replace(LOST, audio="audio/a.flac"), replace(LOST, system="deep", audio="audio/same.flac")
    assert card([base, deep], MARKS, Sounds(folder, [folder])).count("<audio") == 1
    other = replace(deep, audio="audio/b.flac")
    assert card([base, other], MARKS, Sounds(folder, [folder])).count("<audio") == 2


def test_recordings_are_embedded_whole_until_there_is_no_more_room(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "audio/a.flac", "audio/b c#.flac")
    size = (folder / "audio/a.flac").stat().st_size
    sounds = Sounds(folder, [folder], n_left=size)
    first, second = sounds.player("audio/a.flac", "a"), sounds.player("audio/b c#.flac", "b")
    assert first is not None
    source = dict(seen(first).elements[0][1])["src"] or ""
    assert base64.b64decode(source.removeprefix("data:audio/flac;base64,")) == (folder / "audio/a.flac").read_bytes()
    assert second is not None
    assert 'src="audio/b%20c%23.flac"' in second
    assert sounds.n_linked == 1


def test_a_record_names_no_file_outside_of_its_run(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "run", "audio/a.flac")
    folder_with(tmp_path, "secret.flac")
    (folder / "notes.txt").write_text("x")
    (folder / "audio/link.flac").symlink_to(tmp_path / "secret.flac")
    sounds = Sounds(folder, [folder])
    outside = ["../secret.flac", str(tmp_path / "secret.flac"), "audio/link.flac"]
    for name in [*outside, "notes.txt", "audio", "none.flac", "a\0.flac", "", None]:
        assert sounds.player(name, "x") is None
    assert sounds.player("audio/../audio/a.flac", "x") is not None


def test_a_recording_that_cannot_be_read_has_a_player_and_no_waveform(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"no audio")
    html = Sounds(tmp_path, [tmp_path]).player_with_wave("a.flac", "x", [])
    assert html is not None
    assert "<audio" in html
    assert "<svg" not in html


def test_peaks_are_the_loudest_of_each_part() -> None:
    samples = np.zeros(1000, np.float32)
    samples[250], samples[999] = -0.5, 0.25
    found = peaks(samples, 4)
    assert found == [0.0, 1.0, 0.0, 0.5]
    assert peaks(np.ones(2, np.float32), 160) == [1.0, 1.0]
    assert max(peaks(np.zeros(1000, np.float32))) == 0.0
