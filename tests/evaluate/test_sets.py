"""The sets that models are measured on: read, checked, told apart."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from rejoinder.audio import SAMPLE_RATE
from rejoinder.domain import Domain
from rejoinder.errors import ManifestError
from rejoinder.evaluate.sets import Recording, TestSet, domain_tests, read_tests, spoken, utterances_of
from rejoinder.manifest import Utterance, refuse_overlap

DOMAIN = """
name: shop
slots: {size: [small, large]}
intents:
  order:
    slots: {size: {required: true, ask: Which size?}}
    patterns: ["a {size} one"]
    reply: Done.
"""


def write(path: Path, *entries: dict[str, Any] | str) -> Path:
    path.parent.mkdir(exist_ok=True)
    lines = (entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Domain:
    (tmp_path / "domain.yaml").write_text(DOMAIN)
    rng = np.random.default_rng(0)
    for n in range(3):
        soundfile.write(tmp_path / f"{n}.wav", rng.normal(0, 0.1, SAMPLE_RATE), SAMPLE_RATE)
    return Domain.load(tmp_path)


def test_a_domain_without_recordings(shop: Domain) -> None:
    assert domain_tests(shop) is None


def test_words_meanings_or_both(shop: Domain) -> None:
    write(shop.folder / "recordings.jsonl", {"audio_filepath": "0.wav", "intent": "order", "slots": {"size": "large"}})
    write(
        shop.folder / "tests" / "calls.jsonl",
        {"audio_filepath": "../1.wav", "text": "a small one", "intent": "order", "slots": {"size": "small"}},
        "",
        {"audio_filepath": "../2.wav", "text": "Nothing.", "offset": 0.5, "duration": 0.25},
    )
    tests = domain_tests(shop)
    assert tests is not None
    assert tests.recordings == (
        Recording(shop.folder / "0.wav", intent="order", slots={"size": "large"}),
        Recording(shop.folder / "tests/../1.wav", text="a small one", intent="order", slots={"size": "small"}),
        Recording(shop.folder / "tests/../2.wav", text="Nothing.", offset_s=0.5, duration_s=0.25),
    )
    assert [recording.has_meaning for recording in tests.recordings] == [True, True, False]


def test_what_no_intent_covers_has_a_meaning_too(shop: Domain) -> None:
    path = write(
        shop.folder / "recordings.jsonl",
        {"audio_filepath": "0.wav", "intent": None},
        {"audio_filepath": "1.wav", "text": "do you sell cars", "intent": None, "slots": {}},
        {"audio_filepath": "2.wav", "text": "do you sell cars"},
    )
    tests = read_tests(path, shop)
    assert [one.has_meaning for one in tests.recordings] == [True, True, False]
    assert [one.is_out_of_scope for one in tests.recordings] == [True, True, False]


class TestOneFile:
    def test_paths_are_relative_to_it_and_names_as_it_has_them(self, shop: Domain) -> None:
        fine = {"text": "a large one"}
        path = write(
            shop.folder / "calls" / "may.jsonl",
            {**fine, "audio_filepath": "../0.wav"},
            {**fine, "audio_filepath": "../0.wav", "offset": 0.5, "duration": 0.25},
            {**fine, "audio_filepath": "../0.wav"},
            {**fine, "audio_filepath": str(shop.folder / "1.wav")},
        )
        tests = read_tests(path, shop)
        assert tests.name == "may.jsonl"
        assert tests.names == ("../0.wav", "../0.wav@0.5", "../0.wav#2", "1.wav")
        assert tests.recordings[0].load().shape == (SAMPLE_RATE,)
        assert tests.recordings[1].load().shape == (SAMPLE_RATE // 4,)

    def test_missing_or_empty_says_what_to_write(self, shop: Domain) -> None:
        with pytest.raises(ManifestError, match=r"none\.jsonl: no such file.*\n.*\"audio_filepath\""):
            read_tests(shop.folder / "none.jsonl", shop)
        empty = write(shop.folder / "empty.jsonl", "", " ")
        with pytest.raises(ManifestError, match=r"empty\.jsonl: lists no recordings.*\n.*\"audio_filepath\""):
            read_tests(empty, shop)

    def test_wrong_lines_are_named(self, shop: Domain) -> None:
        path = write(
            shop.folder / "calls.jsonl",
            {"audio_filepath": "0.wav", "text": "a large one", "slots": {"size": "large"}},
            {"audio_filepath": "0.wav", "text": "a large one", "offset": "soon"},
            {"audio_filepath": "0.wav", "text": "a large one", "offset": 1, "duration": None},
        )
        with pytest.raises(ManifestError) as raised:
            read_tests(path, shop)
        problems = str(raised.value).splitlines()
        assert [problem.split(": ")[0] for problem in problems] == [f"{path}:{n}" for n in (1, 2, 3)]
        assert '"slots" need the "intent"' in problems[0]

    def test_not_text(self, shop: Domain) -> None:
        (shop.folder / "calls.jsonl").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ManifestError, match=r"calls\.jsonl: not text in UTF-8"):
            read_tests(shop.folder / "calls.jsonl", shop)


def test_every_wrong_line_is_named(shop: Domain) -> None:
    fine = {"audio_filepath": "0.wav", "text": "a large one"}
    path = write(
        shop.folder / "recordings.jsonl",
        fine,
        "{",
        "[]",
        {**fine, "audio_filepath": "missing.wav"},
        {"audio_filepath": "0.wav"},
        {**fine, "text": 3},
        {**fine, "intent": "ordr"},
        {**fine, "intent": "order", "slots": {"colour": "red"}},
        {**fine, "slots": ["large"]},
        fine,
    )
    with pytest.raises(ManifestError) as raised:
        domain_tests(shop)
    problems = str(raised.value).splitlines()
    assert [problem.split(": ")[0] for problem in problems] == [f"{path}:{n}" for n in range(2, 10)]
    for problem, words in zip(
        problems,
        (
            *("property name", "must be a JSON object", "missing.wav: no such file", "needs the words", '"text" must'),
            *("did you mean 'order'?", "slot 'colour' is not the domain's (known: size)", '"slots" must'),
        ),
        strict=True,
    ):
        assert words in problem


def test_a_description_tells_sets_apart(shop: Domain) -> None:
    one = Recording(shop.folder / "0.wav", text="a large one")
    sets = [
        TestSet("calls", (one,)),
        TestSet("calls", (Recording(shop.folder / "1.wav", text="a large one"),)),
        TestSet("calls", (Recording(shop.folder / "0.wav", text="a small one"),)),
        TestSet("calls", (Recording(shop.folder / "0.wav", intent="order", slots={}),)),
        TestSet("calls", (Recording(shop.folder / "0.wav", slots={}),)),
        TestSet("calls", (Recording(shop.folder / "0.wav"),)),
        *(TestSet("calls", (replace(one, offset_s=1.0, duration_s=duration_s),)) for duration_s in (None, 1.0, 2.0)),
    ]
    assert len({str(one.describe()["sha256"]) for one in sets}) == len(sets)
    assert sets[0].describe() == TestSet("calls", (one,)).describe()
    assert (sets[0].describe()["name"], sets[0].describe()["n"]) == ("calls", 1)


def test_recordings_that_are_trained_on_are_found(shop: Domain) -> None:
    trained = Utterance(shop.folder / "0.wav", "a large one", 1.0)
    tests = spoken("calls", [trained, Utterance(shop.folder / "1.wav", "a small one", 1.0)])
    with pytest.raises(ManifestError, match=r"1 of the 2 test recordings.*\n.*0\.wav"):
        refuse_overlap([trained], utterances_of(tests.recordings))
