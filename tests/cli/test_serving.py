"""`rejoinder serve`, up to where it would begin to serve."""

from pathlib import Path

from rejoinder.serve.security import Keys
from tests.cli.command import run


def test_a_new_key_is_printed_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    made = run("serve", "--new-key", "--keys", file, "--name", "kiosk")
    key = made.stdout.strip()
    assert Keys.load(file).owner(key) == "kiosk"
    assert key not in file.read_text()


def test_settings_are_shown_with_where_they_come_from() -> None:
    shown = run("serve", "--port", 9000, "--print-config").stdout
    assert "port: 9000  # --port" in shown


def test_what_is_missing_or_unsafe_is_said(tmp_path: Path) -> None:
    assert "which DOMAIN" in run("serve").output
    assert "--keys FILE" in run("serve", "--new-key").output
    assert "need a key" in run("serve", tmp_path, "--host", "0.0.0.0").output
