"""Sentences spoken by a real voice and heard by the real recognizer."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rejoinder.adapt.hearing import Sound
from rejoinder.adapt.nlu.data import Example
from rejoinder.adapt.nlu.noise import as_heard
from rejoinder.adapt.voices import Voice, training_voices
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.models import resolve
from rejoinder.nlu.classifier import OUT_OF_SCOPE

pytestmark = pytest.mark.model

TAGGED = Example(
    tuple("i would like a large coffee with milk please".split()),
    ("O", "O", "O", "O", "B-size", "B-drink", "O", "B-milk", "O"),
    "order",
    (("drink", "coffee"), ("milk", "milk"), ("size", "large")),
)
WEATHER = Example.plain("what is the weather like today", OUT_OF_SCOPE)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def voices() -> tuple[Voice, ...]:
    return tuple(voice for voice in training_voices() if voice.name == "hibari")


def test_what_was_heard_keeps_intent_and_tags(voices: tuple[Voice, ...]) -> None:
    recognizer = MoonshineRecognizer.load(resolve("moonshine-tiny"))

    def transcribe(sounds: Sequence[Sound]) -> Iterator[str]:
        return (recognizer.transcribe(sound.samples()).text for sound in sounds)

    heard = as_heard((TAGGED, WEATHER), transcribe, voices=voices, conditions=("clean",))
    assert list(heard) == [TAGGED, WEATHER]
    order = heard[TAGGED]
    assert (order.intent, order.values) == (TAGGED.intent, TAGGED.values)
    assert len(order.tags) == len(order.words)
    assert order.tags[order.words.index("coffee")] == "B-drink"
    assert heard[WEATHER].intent == OUT_OF_SCOPE


def test_nothing_is_heard_twice_and_nothing_heard_is_left_out(voices: tuple[Voice, ...], tmp_path: Path) -> None:
    n_heard = 0

    def transcribe(sounds: Sequence[Sound]) -> Iterator[str]:
        nonlocal n_heard
        for sound in sounds:
            assert sound.samples().any()
            n_heard += 1
            yield "" if n_heard == 2 else "Can I have a large coffee?"

    def again() -> dict[Example, Example]:
        return as_heard((TAGGED, WEATHER), transcribe, voices=voices, conditions=("phone",), kept=tmp_path / "kept")

    first = again()
    assert [example.words for example in first.values()] == [tuple("can i have a large coffee".split())]
    assert again() == first
    assert n_heard == 2
    with (tmp_path / "kept").open("a") as file:
        file.write('{"said": "cut o')
    assert again() == first
