"""What a run leaves behind, and what is made of it after a kill."""

from pathlib import Path

import pytest

from rejoinder.errors import RejoinderError
from rejoinder.evaluate.records import TURNS, Meaning, Stage, Turn, append, read, read_run


def turn(utterance: str) -> Turn:
    return Turn(
        "base",
        "clean",
        utterance,
        duration_s=1.0,
        said="un café\u2028s'il vous plaît",
        heard="",
        confidence=0.0,
        meant=Meaning("order", {"drink": "café"}),
        understood=None,
        lost=Stage.RECOGNITION,
    )


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    turns = [turn("1.wav"), turn("été.wav")]
    append(tmp_path, TURNS, *turns)
    assert list(read(tmp_path, TURNS, Turn)) == turns
    assert list(read(tmp_path, "waits.jsonl", Turn)) == []


def test_a_line_may_be_cut_short_anywhere_even_within_a_letter(tmp_path: Path) -> None:
    append(tmp_path, TURNS, turn("1.wav"), turn("2.wav"))
    written = (tmp_path / TURNS).read_bytes()
    begin = written.index(b"\n") + 1
    for end in range(begin, len(written) - 1):
        (tmp_path / TURNS).write_bytes(written[:end])
        append(tmp_path, TURNS, turn("3.wav"))
        assert [one.utterance for one in read(tmp_path, TURNS, Turn)] == ["1.wav", "3.wav"], written[begin:end]


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RejoinderError, match=r"is no run of an evaluation: it has no run\.json"):
        read_run(tmp_path)
