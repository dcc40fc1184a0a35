"""The way from an adaptation to a promoted model: gated, resumable, and nothing half-made whatever happens.

The adaptation here is the tests' own: its "model" is a number in a file, its training counts up to it.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rejoinder import build
from rejoinder.adapt.run import LEAST_FREE_BYTES, adapt
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError
from rejoinder.progress import Progress

GOOD = {"domain_error": 0.1, "canary_wer": 0.05, "false_alarms": 0.0}
BASE = {"domain_error": 0.3, "canary_wer": 0.05, "false_alarms": 0.0}


class Counting:
    """Trains by counting to `goal`, a file for each step; resumes where the files end."""

    stage = Stage.ASR
    base = "zero"
    consent = None

    def __init__(
        self, folder: Path, *, goal: int = 3, after: Mapping[str, float] = GOOD, stop_at: int | None = None
    ) -> None:
        self.domain = Domain("shop", folder)
        self.after = after
        self.goal = goal
        self.stop_at = stop_at
        self.trained: list[int] = []
        self.measured: list[str] = []
        self.pause_s = 0.0

    @property
    def recipe(self) -> Mapping[str, Any]:
        return {"goal": self.goal}

    def gather(self, progress: Progress) -> Mapping[str, Any]:
        progress("gathering", 1, 1)
        return {"train": [{"name": "numbers", "sha256": "00"}], "test": []}

    def train(self, folder: Path, progress: Progress) -> Path:
        begun = folder / "steps"
        begun.mkdir(exist_ok=True)
        for step in range(len(list(begun.iterdir())), self.goal):
            if step == self.stop_at:
                raise KeyboardInterrupt
            (begun / str(step)).touch()
            self.trained.append(step)
            progress("training", step + 1, self.goal)
            time.sleep(self.pause_s)
        made = folder / "made"
        made.mkdir()
        (made / "model.txt").write_text(str(self.goal))
        return made

    def measure(self, candidate: Path | None, progress: Progress) -> Mapping[str, float]:
        self.measured.append("base" if candidate is None else (candidate / "model.txt").read_text())
        progress("measuring", 1, 1)
        return BASE if candidate is None else self.after


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


def test_what_is_better_is_promoted(shop: Path) -> None:
    adaptation = Counting(shop)
    tasks: list[str] = []
    outcome = adapt(adaptation, progress=lambda task, *_: tasks.append(task))
    assert outcome.promoted
    assert not outcome.resumed
    assert build.promoted(shop, Stage.ASR) == outcome.folder
    assert (outcome.folder / "model.txt").read_text() == "3"
    assert (outcome.card.before, outcome.card.after) == (BASE, GOOD)
    assert (outcome.card.base, outcome.card.recipe, outcome.card.verdict) == ("zero", {"goal": 3}, "promoted")
    assert "30.0% → 10.0%" in outcome.card.reason
    assert adaptation.measured == ["base", "3"]
    assert tasks == ["gathering", "measuring", *["training"] * 3, "measuring"]
    assert build.interrupted(shop, Stage.ASR) == ()


def test_what_is_worse_is_kept_aside_with_the_reason(shop: Path) -> None:
    first = adapt(Counting(shop))
    outcome = adapt(Counting(shop, goal=4, after={**GOOD, "canary_wer": 0.2}))
    assert not outcome.promoted
    assert outcome.card.verdict == "kept aside"
    assert outcome.card.reason.startswith("word errors on general speech: 5.0% → 20.0%")
    assert build.promoted(shop, Stage.ASR) == first.folder
    assert build.cards(shop, Stage.ASR) == (first.card, outcome.card)


def test_ctrl_c_loses_nothing(shop: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        adapt(Counting(shop, stop_at=2))
    assert build.cards(shop, Stage.ASR) == ()
    assert build.promoted(shop, Stage.ASR) is None
    assert len(build.interrupted(shop, Stage.ASR)) == 1
    again = Counting(shop)
    outcome = adapt(again)
    assert outcome.resumed
    assert again.trained == [2]
    assert build.interrupted(shop, Stage.ASR) == ()


def test_a_changed_recipe_starts_anew(shop: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        adapt(Counting(shop, stop_at=2))
    other = Counting(shop, goal=4)
    assert not adapt(other, keep_work=True).resumed
    assert other.trained == [0, 1, 2, 3]
    assert len(build.interrupted(shop, Stage.ASR)) == 2


def test_killed_while_measuring_it_need_not_train_again(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Counting(shop)

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(build, "publish", full)
        with pytest.raises(OSError, match="No space left"):
            adapt(first)
    assert build.cards(shop, Stage.ASR) == ()
    again = Counting(shop)
    assert adapt(again).promoted
    assert again.trained == []


def test_kill_9_in_the_middle_of_training(shop: Path) -> None:
    code = f"""
from pathlib import Path
from rejoinder.adapt.run import adapt
from tests.adapt.test_run import Counting
counting = Counting(Path({str(shop)!r}), goal=5)
counting.pause_s = 0.2
adapt(counting, progress=lambda *step: print(*step, flush=True))
"""
    first = adapt(Counting(shop))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("training 2 5"):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert build.promoted(shop, Stage.ASR) == first.folder
    assert build.cards(shop, Stage.ASR) == (first.card,)
    again = Counting(shop, goal=5)
    outcome = adapt(again)
    assert outcome.resumed
    assert 0 not in again.trained
    assert build.promoted(shop, Stage.ASR) == outcome.folder


def test_a_disk_without_room_is_refused_at_once(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rejoinder.adapt.run.LEAST_FREE_BYTES", LEAST_FREE_BYTES << 30)
    adaptation = Counting(shop)
    with pytest.raises(AdaptError, match=r"MB are free on this disk.*make room and type the same command"):
        adapt(adaptation)
    assert adaptation.measured == []


def test_the_time_of_all_runs_counts(shop: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        adapt(Counting(shop, stop_at=1))
    (work,) = build.interrupted(shop, Stage.ASR)
    assert json.loads((work / "spent.json").read_text())["seconds"] >= 0
    (work / "spent.json").write_text('{"seconds": 600}')
    assert adapt(Counting(shop)).card.minutes >= 10
