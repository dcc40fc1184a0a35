"""One made-up run for all tests of the report: scoring it takes seconds."""

from pathlib import Path

import pytest

from rejoinder.evaluate.report import write_report
from tests.evaluate.report import sample


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with something in every section, and its report."""
    folder = sample.write_run(tmp_path_factory.mktemp("runs") / "first")
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def page(run_folder: Path) -> str:
    """The report of that run."""
    return (run_folder / "report.html").read_text(encoding="utf-8")
