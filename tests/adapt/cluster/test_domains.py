"""Several domains at the same time: each comes to its own end, and to the same as without Ray."""

from pathlib import Path

import pytest

from rejoinder.adapt.cluster.domains import DomainOrder, Hearing, side_by_side
from rejoinder.adapt.plan import AdaptOptions, plan
from rejoinder.adapt.run import Outcome, adapt
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError, DomainError
from tests.adapt.asr.small import moonshine_folder
from tests.adapt.cluster.orders import DyingOrder, QuickOrder
from tests.adapt.shop import make_quick, make_shop

pytestmark = [
    pytest.mark.model,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.usefixtures("ray_here"),
    pytest.mark.timeout(600),
]


def heard_by(outcomes: dict[str, list[Outcome]], tasks: set[tuple[str, str]]) -> Hearing:
    def hear(name: str, report: Outcome | tuple[str, int, int, str]) -> None:
        if isinstance(report, Outcome):
            outcomes.setdefault(name, []).append(report)
        else:
            tasks.add((name, report[0]))

    return hear


def test_one_is_broken_one_dies_and_the_other_ends_as_on_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"n_sentences": "12", "n_replayed": "0", "learning_rate": "0.001", "n_epochs": "1"}
    base = moonshine_folder(tmp_path / "small")
    options = AdaptOptions(base=f"file:{base}", settings=settings, device="cpu")
    here, there, broken = (make_shop(tmp_path / name) for name in ("here", "there", "broken"))
    (broken / "domain.yaml").write_text("name: broken\nintents: 3\n")
    outcomes: dict[str, list[Outcome]] = {}
    tasks: set[tuple[str, str]] = set()

    errors = side_by_side(
        {
            "there": QuickOrder(DomainOrder(folder=there, stages=(Stage.ASR,), options=options)),
            "broken": QuickOrder(DomainOrder(folder=broken, stages=(Stage.ASR,), options=options)),
            "dying": DyingOrder(tmp_path / "begun"),
        },
        heard_by(outcomes, tasks),
    )

    assert errors.keys() == {"broken", "dying"}
    assert isinstance(errors["broken"], DomainError)
    assert "domain.yaml" in str(errors["broken"])
    assert isinstance(errors["dying"], AdaptError)
    assert "type the same command to go on" in str(errors["dying"])
    assert (tmp_path / "begun").read_text().count("once more") == 3
    assert {("there", "synthesizing"), ("there", "training"), ("there", "measuring")} <= tasks
    ((by_ray,),) = outcomes.values()

    make_quick(monkeypatch)
    alone = adapt(plan(Domain.load(here), Stage.ASR, options))
    assert by_ray.folder.is_relative_to(there)
    assert by_ray.card.before == alone.card.before
    assert by_ray.card.after == alone.card.after
    assert by_ray.card.hashes == alone.card.hashes
    assert by_ray.card.data == alone.card.data


def test_what_cannot_be_searched_is_said(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop")
    given = AdaptOptions(
        n_epochs=1, settings=dict.fromkeys(("learning_rate", "frozen_share", "label_smoothing"), "0.1")
    )
    errors = side_by_side(
        {"shop": DomainOrder(folder=shop, stages=(Stage.NLU,), options=given, n_tries=2)}, lambda *_: None
    )
    assert "all settings that it searches are given" in str(errors["shop"])
