"""`rejoinder adapt --ray`: what it refuses before Ray is begun, and what it says of several domains."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import Result

from rejoinder.build import Stage
from tests.cli import command
from tests.cli.test_adapting import DOMAIN


@pytest.fixture
def shops(tmp_path: Path) -> tuple[Path, Path]:
    found = []
    for name in ("shop", "bank"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "domain.yaml").write_text(DOMAIN)
        found.append(folder)
    return found[0], found[1]


def run(*args: object) -> Result:
    return command.run("adapt", *args)


@pytest.mark.parametrize(
    ("args", "exit_code", "words"),
    [
        (["--ray"], 2, "--ray: only fine-tuning takes this; add --deep"),
        (["--deep", "--workers", "2"], 2, "--workers: goes with --ray"),
        (["--deep", "--tune", "2"], 2, "--tune: goes with --ray"),
        (["--deep", "--ray", "--workers", "0"], 2, "0 is not in the range x>=1"),
        (["voice", "--deep", "--ray", "--tune", "2"], 1, "--tune is for the stages asr and nlu"),
        (["asr", "elsewhere", "--deep", "--ray"], 2, "'elsewhere' is not one of 'asr', 'nlu', 'reader', 'voice'"),
    ],
)
def test_refused(shops: tuple[Path, Path], args: list[str], exit_code: int, words: str) -> None:
    result = run(shops[0], *args)
    assert result.exit_code == exit_code
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize("args", [["--deep"], ["--status"], ["--rollback"], []])
def test_several_domains_need_ray(shops: tuple[Path, Path], args: list[str]) -> None:
    result = run(*shops, *args)
    assert result.exit_code == 2
    assert "several domains are adapted side by side by Ray; add --deep --ray" in " ".join(result.stderr.split())


def test_without_the_ray_extra(shops: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rejoinder.errors.find_spec", lambda name: None if name == "ray" else find_spec(name))
    result = run(shops[0], "--deep", "--ray")
    assert result.exit_code == 1
    assert result.stderr == "Error: this needs the 'ray' extra; type: pip install 'rejoinder[ray]'\n"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The path of a Unix socket has 107 characters, and Ray puts its own in this folder."""
    folder = tempfile.mkdtemp(prefix="rj", dir="/tmp")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.usefixtures("short")
@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.timeout(300)
def test_each_domain_has_its_error(shops: tuple[Path, Path]) -> None:
    pytest.importorskip("ray.train", reason="Ray is not installed")
    (shops[1] / "questions.json").write_text(json.dumps({"data": []}))
    result = run(*shops, Stage.READER, "--deep", "--ray", "--cpus", "1")
    assert result.exit_code == 1, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert errors[0].startswith(f"Error: shop: {shops[0]}/questions.json is not there")
    assert errors[1].startswith("Error: bank: ")
    assert "bank: reading questions" not in errors[0]
    assert not (shops[0] / "build").exists()


def test_a_cluster_that_is_not_there(shops: tuple[Path, Path]) -> None:
    pytest.importorskip("ray.train", reason="Ray is not installed")
    result = run(shops[0], "nlu", "--deep", "--ray", "--address", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "--address 127.0.0.1:1: there is no Ray cluster" in result.stderr
