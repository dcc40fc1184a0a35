"""What tells one state of a domain from another."""

from pathlib import Path

import pytest

from rejoinder.serve.cluster.plan import models_of


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "build" / "asr" / "work-1").mkdir(parents=True)
    (tmp_path / "domain.yaml").write_text("name: Shop\n")
    (tmp_path / "knowledge" / "hours.md").write_text("From nine.\n")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["domain.yaml", "knowledge/hours.md", "knowledge/more.txt", "corrections.jsonl", "build/pronunciations.yaml"],
)
def test_what_the_assistant_reads_makes_another(domain: Path, name: str) -> None:
    before = models_of(domain)
    (domain / name).write_text("changed\n")
    assert models_of(domain) != before


def test_a_name_counts(domain: Path) -> None:
    before = models_of(domain)
    (domain / "knowledge" / "hours.md").rename(domain / "knowledge" / "opening.md")
    assert models_of(domain) != before


@pytest.mark.parametrize("name", ["build/asr/work-1/manifest.jsonl", "reply.flac"])
def test_what_it_does_not_read_does_not(domain: Path, name: str) -> None:
    before = models_of(domain)
    (domain / name).write_text("changed\n")
    assert models_of(domain) == before


def test_a_promotion_makes_another(domain: Path) -> None:
    before = models_of(domain)
    (domain / "build" / "asr" / "20261123-164502-1f3a9c").mkdir()
    (domain / "build" / "asr" / "promoted.json").write_text('{"id": "20261123-164502-1f3a9c", "history": []}')
    assert models_of(domain) != before
