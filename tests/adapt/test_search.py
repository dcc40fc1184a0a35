"""How tries of settings are scored: on what was not learned from, and a training that learns nothing scores worse."""

from pathlib import Path

import pytest

from rejoinder.adapt.nlu.data import Example, split
from rejoinder.adapt.nlu.training import held_out_error
from rejoinder.adapt.plan import AdaptOptions, plan
from rejoinder.adapt.search import HELD_OUT_SHARE, SEARCHED, Searchable, current
from rejoinder.adapt.settings import with_settings
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.progress import silent
from tests.adapt.asr.small import moonshine_folder
from tests.adapt.nlu.conftest import QUICK, examples, tiny_bert  # noqa: F401  # fixtures
from tests.adapt.shop import make_quick, make_shop

pytestmark = pytest.mark.model


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Domain:
    monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path / "cache"))
    make_quick(monkeypatch)
    return Domain.load(make_shop(tmp_path / "shop"))


def test_a_recognizer_that_learns_scores_better_than_one_that_does_not(shop: Domain, tmp_path: Path) -> None:
    base = moonshine_folder(tmp_path / "small")
    settings = {"n_sentences": "24", "n_replayed": "8", "batch_size": "4"}
    adaptation = plan(shop, Stage.ASR, AdaptOptions(base=f"file:{base}", settings=settings, device="cpu"))
    assert isinstance(adaptation, Searchable)
    adaptation.gather(silent)
    attempt = adaptation.attempt()
    scores = [attempt({"learning_rate": rate, "p_noise": "0.4"}, tmp_path / rate) for rate in ("1e-3", "1e-9")]
    assert scores[0] < scores[1]


def test_an_understanding_that_learns_scores_better(
    tiny_bert: Path,  # noqa: F811
    examples: tuple[Example, ...],  # noqa: F811
    tmp_path: Path,
) -> None:
    train, held_out = split(examples, share=HELD_OUT_SHARE)
    scores = [
        held_out_error(
            f"file:{tiny_bert}",
            train,
            held_out,
            recipe=with_settings(QUICK, {"learning_rate": rate, "n_epochs": "3"}),
            folder=tmp_path / rate,
        )
        for rate in ("4e-3", "1e-9")
    ]
    assert scores[0] < 0.8 * scores[1]


@pytest.mark.parametrize("stage", SEARCHED)
def test_what_is_searched_are_settings_of_the_recipe(shop: Domain, stage: Stage) -> None:
    adaptation = plan(shop, stage, AdaptOptions(device="cpu"))
    assert isinstance(adaptation, Searchable)
    assert current(adaptation.recipe, adaptation.choices).keys() == adaptation.choices.keys()
    found = dict.fromkeys(adaptation.choices, "1")
    tuned = plan(shop, stage, AdaptOptions(device="cpu"), found=found)
    assert set(current(tuned.recipe, adaptation.choices).values()) == {1.0}
