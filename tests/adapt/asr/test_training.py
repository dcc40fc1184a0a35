"""Fine-tuning learns, can be cut short at any step, and says what it cannot learn from."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rejoinder import models
from rejoinder.adapt.asr.moonshine import TrainableMoonshine
from rejoinder.adapt.asr.recipe import Recipe
from rejoinder.adapt.asr.training import fine_tune, mix, tune
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.errors import AdaptError
from rejoinder.manifest import Utterance

pytestmark = pytest.mark.model

BASE = "moonshine-tiny"

QUICK = Recipe(
    training=TrainingOptions(learning_rate=3e-4, n_epochs=12, batch_size=3),
    augmentation=None,
    label_smoothing=0.0,
)


class KilledError(Exception):
    """In the place of the signal that no process survives."""


def killed_at(step: int) -> Callable[..., None]:
    def progress(_task: str, n_done: int, _n_total: int, _note: str = "") -> None:
        if n_done == step:
            raise KilledError

    return progress


def test_it_learns_and_the_runtime_hears_what_was_learned(lessons: tuple[Utterance, ...], tmp_path: Path) -> None:
    result = MoonshineRecognizer.load(fine_tune(BASE, lessons, recipe=QUICK, folder=tmp_path))
    base = MoonshineRecognizer.load(models.resolve(BASE))
    for lesson in lessons:
        assert result.transcribe(lesson.samples()).text == lesson.text
        assert base.transcribe(lesson.samples()).text != lesson.text


def test_a_killed_training_ends_with_the_weights_of_one_that_was_not(
    lessons: tuple[Utterance, ...], tmp_path: Path
) -> None:
    recipe = replace(Recipe(), training=replace(QUICK.training, n_epochs=2, batch_size=2, checkpoint_every_s=0.0))
    first, second = tmp_path / "killed", tmp_path / "whole"
    with pytest.raises(KilledError):
        fine_tune(BASE, lessons, recipe=recipe, folder=first, progress=killed_at(3))
    steps: list[int] = []
    fine_tune(BASE, lessons, recipe=recipe, folder=first, progress=lambda _task, n, *_: steps.append(n))
    fine_tune(BASE, lessons, recipe=recipe, folder=second)
    assert steps[0] == 3  # the step that was cut short, and not the first
    for name in ("encoder_model.onnx", "cross_model.onnx", "decoder_model.onnx"):
        assert (first / "recognizer" / name).read_bytes() == (second / "recognizer" / name).read_bytes()


def losses(
    recipe: Recipe, lessons: Sequence[Utterance], folder: Path, replayed: Sequence[Utterance] = ()
) -> list[float]:
    recognizer = TrainableMoonshine.load(models.resolve(BASE))
    return list(tune(recognizer, lessons, recipe=recipe, folder=folder, replayed=replayed).losses)


def test_replayed_speech_costs_nothing_before_anything_changed(lessons: tuple[Utterance, ...], tmp_path: Path) -> None:
    still = replace(QUICK, training=replace(QUICK.training, learning_rate=1e-9, n_epochs=1))
    lesson, *others = lessons
    (mixed,) = losses(still, [lesson], tmp_path / "mixed", replayed=others)
    (learned,) = losses(still, [lesson, *others], tmp_path / "learned")
    assert 0 < mixed < learned


def test_mixing_goes_a_share_of_the_way() -> None:
    base, tuned = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    expected = 0.75 * base.weight + 0.25 * tuned.weight
    mix(tuned, base, 0.25)
    torch.testing.assert_close(tuned.weight, expected)


def test_every_utterance_that_cannot_be_learned_is_named(lessons: tuple[Utterance, ...], tmp_path: Path) -> None:
    one, other, third = lessons
    wrong = [
        replace(one, text="два 🦜"),
        replace(other, duration_s=31.0),
        replace(third, text="many words " * 40),
        one,
    ]
    with pytest.raises(AdaptError) as raised:
        fine_tune(BASE, wrong, folder=tmp_path)
    message = str(raised.value)
    assert "3 of 4 utterances cannot be learned" in message
    assert all(text in message for text in ("'🦜'", "31.00 s", "many words", str(third.audio)))


def test_two_utterances_are_enough(lessons: tuple[Utterance, ...], tmp_path: Path) -> None:
    quick = replace(QUICK, training=replace(QUICK.training, n_epochs=1))
    made = fine_tune(BASE, lessons[:2], recipe=quick, folder=tmp_path)
    assert MoonshineRecognizer.load(made).transcribe(lessons[0].samples()).text


def test_nothing_to_learn_is_said(tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match="nothing to train on"):
        fine_tune(BASE, [], folder=tmp_path)


class Listener(TrainableMoonshine):
    """Notes what it is asked to learn."""

    heard: list[str]

    def tokens(self, text: str) -> tuple[int, ...]:
        self.heard.append(text)
        raise AdaptError("enough")


@pytest.mark.parametrize(
    ("texts", "learned"),
    [
        (("TURN LEFT", "YES", "A B C"), ["turn left", "yes", "a b c"]),
        (("Turn left.", "OK", "Yes, please."), ["Turn left.", "OK", "Yes, please."]),
    ],
)
def test_a_corpus_in_capitals_is_learned_in_lower_case(
    lessons: tuple[Utterance, ...], tmp_path: Path, texts: tuple[str, ...], learned: list[str]
) -> None:
    recognizer = Listener.load(models.resolve(BASE))
    recognizer.heard = []
    said = [replace(lesson, text=text) for lesson, text in zip(lessons, texts, strict=True)]
    with pytest.raises(AdaptError, match="3 of 3"):
        tune(recognizer, said, recipe=QUICK, folder=tmp_path)
    assert recognizer.heard == learned
