"""Replies kept in memory and on disk."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rejoinder.events import Samples
from rejoinder.tts.cache import CachedSynthesizer, fingerprint
from rejoinder.tts.lexicon import Lexicon


class Counting:
    """Says each word as one clause of constant samples, and counts how often it was asked."""

    sample_rate = 8_000

    def __init__(self, name: str = "one", *, n_samples: int = 100) -> None:
        self.fingerprint = name
        self.n_made: dict[str, int] = {}
        self.n_samples = n_samples

    def synthesize(self, text: str) -> Iterator[Samples]:
        self.n_made[text] = self.n_made.get(text, 0) + 1
        for word in text.split():
            if word == "fail":
                raise RuntimeError("no voice")
            yield np.full(self.n_samples, len(word) / 10, np.float32)


def lengths(clauses: Iterator[Samples]) -> list[float]:
    return [round(float(clause[0]) * 10, 2) for clause in clauses]


def test_the_same_text_is_made_once() -> None:
    inner = Counting()
    cached = CachedSynthesizer(inner)
    assert lengths(cached.synthesize("a bb ccc")) == lengths(cached.synthesize("a bb ccc")) == [1, 2, 3]
    assert inner.n_made == {"a bb ccc": 1}
    assert cached.sample_rate == 8_000


def test_shared_audio_cannot_be_changed() -> None:
    clause = next(iter(CachedSynthesizer(Counting()).synthesize("a")))
    with pytest.raises(ValueError, match="read-only"):
        clause[0] = 1


def test_a_reply_dropped_half_way_is_finished_by_the_next_caller() -> None:
    inner = Counting()
    cached = CachedSynthesizer(inner)
    dropped = cached.synthesize("a bb ccc")
    next(iter(dropped))
    del dropped
    assert lengths(cached.synthesize("a bb ccc")) == [1, 2, 3]
    assert inner.n_made == {"a bb ccc": 1}


def test_many_threads_make_one_recording() -> None:
    inner = Counting()
    cached, heard = CachedSynthesizer(inner), []
    barrier = threading.Barrier(8)

    def listen() -> None:
        barrier.wait()
        heard.append(lengths(cached.synthesize("a bb ccc dddd")))

    threads = [threading.Thread(target=listen) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [[1, 2, 3, 4]] * 8
    assert inner.n_made == {"a bb ccc dddd": 1}


def test_a_failure_is_raised_and_tried_again() -> None:
    inner = Counting()
    cached = CachedSynthesizer(inner)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no voice"):
            list(cached.synthesize("a fail"))
    assert inner.n_made == {"a fail": 2}


def test_the_least_recently_used_leaves_the_memory() -> None:
    inner = Counting(n_samples=2**18)  # 1 MB each
    cached = CachedSynthesizer(inner, max_mb=2.5)
    for text in ("a", "b", "a", "c", "a", "b"):
        list(cached.synthesize(text))
    assert inner.n_made == {"a": 1, "b": 2, "c": 1}


def test_warmed_replies_are_on_disk_for_the_next_process_and_others_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "replies"
    first = CachedSynthesizer(Counting(), folder)
    first.warm(["a bb", "ccc"])
    list(first.synthesize("private"))
    assert len(list(folder.iterdir())) == 2

    inner = Counting()
    again = CachedSynthesizer(inner, folder)
    assert lengths(again.synthesize("a bb")) == [1, 2]
    again.warm(["a bb", "ccc"])
    assert inner.n_made == {}

    other_voice = Counting("two")
    CachedSynthesizer(other_voice, folder).warm(["ccc"])
    assert other_voice.n_made == {"ccc": 1}


def test_a_damaged_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    CachedSynthesizer(Counting(), tmp_path).warm(["a bb"])
    (file,) = tmp_path.iterdir()
    for damaged in (b"", b"PK\x03\x04 nonsense", file.read_bytes()[:100]):
        file.write_bytes(damaged)
        inner = Counting()
        assert lengths(CachedSynthesizer(inner, tmp_path).synthesize("a bb")) == [1, 2]
        assert inner.n_made == {"a bb": 1}
    assert "made anew" in caplog.text


def test_a_disk_that_cannot_be_written_warns_once_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    cached = CachedSynthesizer(Counting(), tmp_path / "file" / "folder")
    with caplog.at_level(logging.WARNING):
        cached.warm(["a", "bb"])
    assert lengths(cached.synthesize("bb")) == [2]
    assert len([record for record in caplog.records if "cannot be kept" in record.message]) == 1


def test_the_fingerprint_changes_with_what_is_heard() -> None:
    lexicon = Lexicon({"xarelto": "zəɹˈɛltO"})
    prints = {
        fingerprint(voice, words, speed) for voice in "ab" for words in (Lexicon(), lexicon) for speed in (1, 1.1)
    }
    assert len(prints) == 8
    assert fingerprint("a", lexicon, 1.0) == fingerprint("a", Lexicon(dict(lexicon.pronunciations)), 1.0)
