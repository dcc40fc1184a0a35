"""Two runs side by side."""

from pathlib import Path

import pytest

from rejoinder.errors import RejoinderError
from rejoinder.evaluate.report import write_comparison
from rejoinder.evaluate.report.comparison import side_by_side
from rejoinder.evaluate.report.results import Results
from tests.evaluate.report import sample
from tests.evaluate.report.test_markup import seen


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another evening, with a system less."""
    folder = tmp_path_factory.mktemp("runs") / "second"
    return sample.write_run(folder, systems=("base", "deep"), id="2026-11-24-cafe", seed=1)


def test_shared_systems_are_compared_with_themselves(run_folder: Path, second: Path) -> None:
    runs = [Results.load(folder) for folder in (run_folder, second)]
    merged = side_by_side(runs, run_folder.parent)
    assert merged.systems == (
        *("base (before)", "base (after)"),
        *("deep (before)", "deep (after)"),
    )
    assert merged.main == "deep (after)"
    assert merged.against[merged.main] == "deep (before)"
    found = merged.change("understood", "clean", merged.main)
    assert found is not None
    after, before = (one.scores.heard["deep"]["clean"].understood for one in reversed(runs))
    assert after is not None
    assert before is not None
    assert found.value == pytest.approx(after.value - before.value)


def test_a_run_beside_itself_has_not_changed(run_folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "same"
    link.symlink_to(run_folder)
    runs = [Results.load(folder) for folder in (run_folder, link)]
    merged = side_by_side(runs, tmp_path)
    assert merged.scores.differences
    assert {one.value for one in merged.scores.differences} == {0.0}


def test_the_page_lists_what_was_lost_and_won_with_its_audio(run_folder: Path, second: Path, tmp_path: Path) -> None:
    page = write_comparison([run_folder, second], tmp_path / "out" / "both.html").read_text()
    reader = seen(page)
    ids = [dict(a)["id"] for name, a in reader.elements if name == "section" and "id" in a]
    assert ids[:2] == ["headline", "changes"]
    assert {"lost", "won", "understood", "latency", "runs"} <= set(ids)
    assert "data:audio/flac;base64," in page
    assert sample.HOSTILE not in page
    all_ids = [a["id"] for _, a in reader.elements if "id" in a]
    assert len(all_ids) == len(set(all_ids))


def test_runs_that_share_no_system_are_compared_by_the_ones_callers_would_meet(tmp_path: Path) -> None:
    only_base = sample.write_run(tmp_path / "base", systems=("base",), id="early")
    only_deep = sample.write_run(tmp_path / "deep", systems=("deep",), id="late")
    merged = side_by_side([Results.load(only_base), Results.load(only_deep)], tmp_path)
    assert merged.systems == ("base (before)", "deep (after)")
    assert merged.against == {"deep (after)": "base (before)"}


def test_one_run_is_no_comparison(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RejoinderError, match="at least two"):
        write_comparison([run_folder], tmp_path / "x.html")
