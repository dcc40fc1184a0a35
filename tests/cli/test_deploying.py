"""`rejoinder deploy`, up to where a cluster would begin to serve."""

from pathlib import Path

import pytest
import yaml

from rejoinder.domain.scaffold import create
from tests.cli.command import run

pytest.importorskip("ray.serve", reason="Ray is not installed")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    create(tmp_path / "shop")
    return tmp_path / "shop"


def test_a_config_for_serve_is_written(shop: Path, tmp_path: Path) -> None:
    config = tmp_path / "serve.yaml"
    done = run("deploy", shop, "--config-out", config, "--replicas", "2-8", "--cpus", 2, "--drain-s", 60)
    assert done.output == f"Written. Type: serve deploy {config}\n"
    (one,) = yaml.safe_load(config.read_text())["applications"]
    assert (one["name"], one["route_prefix"]) == ("shop", "/")
    assert one["args"]["domain"] == str(shop)
    assert one["args"]["n_threads"] == 2
    assert config.stat().st_mode & 0o077 == 0  # it may hold the password of a database
    (options,) = one["deployments"]
    assert options["autoscaling_config"]["max_replicas"] == 8
    assert options["graceful_shutdown_timeout_s"] == 60


def test_files_are_named_as_replicas_find_them(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("keys.txt").write_text("")
    Path("server.yaml").write_text("keys: keys.txt\n")
    assert run("deploy", shop, "--config", "server.yaml", "--config-out", "serve.yaml").exit_code == 0
    (one,) = yaml.safe_load(Path("serve.yaml").read_text())["applications"]
    assert one["args"]["settings"]["keys"] == str(tmp_path / "keys.txt")


def test_what_is_missing_or_wrong_is_said(shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "shop"
    create(other)
    to = tmp_path / "out.yaml"
    assert "--image NAME" in run("deploy", shop, "--kuberay", to).output
    assert (
        "pods see no files"
        in run("deploy", shop, "--kuberay", to, "--image", "x", "--config", reachable(tmp_path)).output
    )
    assert "within a pod only" in run("deploy", shop, "--kuberay", to, "--image", "x").output
    assert "the same name" in run("deploy", shop, other, "--config-out", to).output
    assert "--replicas is a number" in run("deploy", shop, "--replicas", "many", "--config-out", to).output
    assert "no Ray cluster's dashboard" in run("deploy", shop, "--address", "http://127.0.0.1:1").output
    assert "domain.yaml" in run("deploy", tmp_path, "--config-out", to).output
    assert not to.exists()


def reachable(folder: Path) -> Path:
    """Settings with which other machines are let in."""
    (folder / "keys.txt").write_text("")
    file = folder / "server.yaml"
    file.write_text(f"host: 0.0.0.0\nkeys: {folder / 'keys.txt'}\n")
    return file
