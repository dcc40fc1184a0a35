"""Where settings come from, which come first, and which are refused."""

from pathlib import Path

import pytest
import yaml

from rejoinder.errors import SettingsError
from rejoinder.serve.settings import Settings, resolve


def test_the_command_line_comes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text("port: 1\nhost: localhost\nmax_sessions: 5\n")
    found = resolve(file=file, environment={"REJOINDER_PORT": "2", "REJOINDER_MAX_SESSIONS": "6"}, flags={"port": 3})
    settings = found.settings
    assert (settings.port, settings.max_sessions, settings.host, settings.max_requests) == (3, 6, "localhost", 8)
    assert found.sources == {"port": "--port", "max_sessions": "REJOINDER_MAX_SESSIONS", "host": str(file)}


def test_flags_that_were_not_given_change_nothing() -> None:
    assert resolve(environment={}, flags={"port": None, "origins": ()}).settings == Settings()


def test_origins_in_the_environment_are_a_list() -> None:
    found = resolve(environment={"REJOINDER_ORIGINS": "https://a.example,https://b.example"})
    assert found.settings.origins == ("https://a.example", "https://b.example")


def test_what_is_printed_sets_the_same_again(tmp_path: Path) -> None:
    found = resolve(environment={"REJOINDER_ORIGINS": "https://a.example"}, flags={"keys": tmp_path / "keys.txt"})
    file = tmp_path / "server.yaml"
    file.write_text(found.as_yaml())
    assert resolve(file=file, environment={}).settings == found.settings
    assert "# REJOINDER_ORIGINS" in found.as_yaml()
    assert set(yaml.safe_load(found.as_yaml())) == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot: 8080", r"server.yaml: there is no setting 'prot' \(known: .*port"),
        ("port: 70000", "server.yaml: port: .*65535, not 70000"),
        ("max_audio_s: .inf", "max_audio_s"),
        ("- port", "must be a mapping"),
        ("a: [", "server.yaml:1"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        resolve(file=file, environment={})


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="REJOINDER_PORT: port"):
        resolve(environment={"REJOINDER_PORT": "http"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])
def test_other_machines_are_not_let_in_without_a_key(host: str) -> None:
    with pytest.raises(SettingsError, match="--new-key"):
        Settings(host=host).check()


def test_what_contradicts_itself_is_refused(tmp_path: Path) -> None:
    there = tmp_path / "file"
    there.touch()
    for wrong, message in (
        (Settings(tls_certificate=there), "go together"),
        (Settings(keys=tmp_path / "none"), "no such file"),
        (Settings(origins=("shop.example",)), "no origin"),
        (Settings(origins=("https://shop.example/",)), "no origin"),
    ):
        with pytest.raises(SettingsError, match=message):
            wrong.check()
    Settings(host="0.0.0.0", keys=there, origins=("https://shop.example:8443",)).check()


def test_a_password_is_not_printed() -> None:
    found = resolve(environment={"REJOINDER_STORE": "postgresql://calls:hunter2@db:5432/calls"})
    assert "postgresql://calls:***@db:5432/calls" in found.as_yaml()
    assert "hunter2" not in found.as_yaml()


def test_networks_in_the_environment_are_a_list() -> None:
    found = resolve(environment={"REJOINDER_TRUSTED": "10.0.0.0/8,192.168.7.0/24"}).settings
    assert [str(network) for network in found.trusted] == ["10.0.0.0/8", "192.168.7.0/24"]
