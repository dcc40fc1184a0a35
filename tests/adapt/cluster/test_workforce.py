"""Work and training by the processes of a Ray: the same results as in one process, and what becomes of failures."""

from pathlib import Path

import pytest
import torch

from rejoinder.adapt.cluster.workforce import RayWorkforce
from rejoinder.adapt.hearing import Listening, domain_measures, listen, term_forms
from rejoinder.adapt.synthetic import speak
from rejoinder.adapt.voices import training_voices
from rejoinder.adapt.workforce import THIS_PROCESS
from rejoinder.assistant import AssistantOptions
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError, ModelError
from rejoinder.evaluate.sets import domain_tests
from rejoinder.progress import silent
from tests.adapt.cluster import trainings
from tests.adapt.cluster.halving import Halving
from tests.adapt.shop import make_shop
from tests.adapt.voices import Beeper

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.usefixtures("ray_here"),
    pytest.mark.timeout(600),
]

SENTENCES = tuple(f"This is sentence {word}." for word in "one two three four five six seven eight nine ten".split())


@pytest.mark.model
def test_what_is_spoken_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    voices = (*training_voices(), Beeper())
    here = speak(SENTENCES, voices=voices, folder=tmp_path / "here", seed=3)
    told: list[int] = []
    there = speak(
        SENTENCES,
        voices=voices,
        folder=tmp_path / "there",
        seed=3,
        progress=lambda _task, n, _total, _note="": told.append(n),
        workforce=RayWorkforce(n_workers=2),
    )
    assert told == list(range(1, len(SENTENCES) + 1))
    assert [one.text for one in there] == list(SENTENCES)
    for one, other in zip(here, there, strict=True):
        assert (one.audio.name, one.duration_s, one.speaker) == (other.audio.name, other.duration_s, other.speaker)
        assert one.audio.read_bytes() == other.audio.read_bytes()


@pytest.mark.model
def test_what_is_measured_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path / "cache"))
    shop = Domain.load(make_shop(tmp_path / "shop"))
    test = domain_tests(shop)
    assert test is not None
    measures = []
    for workforce in (THIS_PROCESS, RayWorkforce()):
        with workforce.crew(Listening(shop.folder, AssistantOptions(device="cpu", cache=False), listen)) as ears:
            measures.append(domain_measures(ears, test, term_forms(shop)))
    assert measures[0] == measures[1]


def test_an_error_of_ours_comes_through_and_nothing_needs_nobody() -> None:
    with RayWorkforce(n_workers=2).crew(Halving()) as halve:
        assert list(halve(range(0, 60, 2))) == list(range(30))
        assert list(halve([])) == []
        with pytest.raises(AdaptError, match=r"^21 is odd$"):
            list(halve([2, 4, 21, 6]))
    with RayWorkforce().crew(Halving("gone")) as halve, pytest.raises(ModelError, match="no model 'gone'"):
        list(halve([2]))


def test_one_worker_that_is_killed_ends_with_the_weights_of_one_process(tmp_path: Path) -> None:
    expected = trainings.noisy(folder=tmp_path / "here", progress=silent)
    there = tmp_path / "there"
    there.mkdir()
    steps: list[int] = []
    made = RayWorkforce().train(trainings.noisy_and_killed, there, lambda _task, n, _total, _note="": steps.append(n))
    assert (there / trainings.KILLED).exists()
    assert steps[-1] == 18
    assert steps.count(1) == 1, "it began once"
    assert torch.equal(trainings.made_by(expected), trainings.made_by(made))
    assert not (there / "ray").exists()


def test_two_workers_end_close_to_one(tmp_path: Path) -> None:
    expected = trainings.plain(folder=tmp_path / "here", progress=silent)
    there = tmp_path / "there"
    there.mkdir()
    made = RayWorkforce(n_workers=2).train(trainings.plain, there, silent)
    assert torch.allclose(trainings.made_by(expected), trainings.made_by(made), atol=1e-5)


def test_what_cannot_be_trained_is_said_and_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match=r"^2 of 3 utterances cannot be learned$"):
        RayWorkforce().train(trainings.refused, tmp_path, silent)
    assert (tmp_path / trainings.BEGUN).read_text() == "once more\n"
