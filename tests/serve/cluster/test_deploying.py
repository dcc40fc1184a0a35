"""Deploying by the dashboard's REST API, against a dashboard of our own."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rejoinder.errors import SettingsError
from rejoinder.serve.cluster import deploying
from rejoinder.serve.cluster.deploying import PATH, deploy

CONFIG = {"applications": [{"name": "cafe"}, {"name": "bank"}]}


class Dashboard:
    """Answers each question with the next of `answers`, the last one again and again."""

    def __init__(self, *answers: dict[str, str], put: tuple[int, str] = (200, "")) -> None:
        self.answers = list(answers)
        self.put = put
        self.asked: list[tuple[str, str, str | None]] = []
        self.config: Any = None

    @contextmanager
    def listening(self) -> Iterator[str]:
        dashboard = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                length = int(self.headers["content-length"])
                dashboard.config = json.loads(self.rfile.read(length))
                self._answer(*dashboard.put)

            def do_GET(self) -> None:
                answers = dashboard.answers
                statuses = answers.pop(0) if len(answers) > 1 else answers[0]
                found = {name: {"status": status, "message": f"why {name}"} for name, status in statuses.items()}
                self._answer(200, json.dumps({"applications": found}))

            def _answer(self, status: int, text: str) -> None:
                dashboard.asked.append((self.command, self.path, self.headers["authorization"]))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever).start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/"
            finally:
                server.shutdown()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No wait between looks, and no token of whoever runs the tests."""
    monkeypatch.setattr(deploying, "STEP_S", 0.01)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


def told_by(dashboard: Dashboard) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    with dashboard.listening() as address:
        deploy(CONFIG, address, told=lambda name, status: told.append((name, status)))
    return told


def test_each_change_is_told_until_all_run() -> None:
    dashboard = Dashboard(
        {"cafe": "DEPLOYING"},
        {"cafe": "RUNNING", "bank": "DEPLOYING"},
        {"cafe": "RUNNING", "bank": "DEPLOYING"},
        {"cafe": "RUNNING", "bank": "RUNNING"},
    )
    assert told_by(dashboard) == [
        *(("cafe", "DEPLOYING"), ("bank", "NOT_STARTED"), ("cafe", "RUNNING"), ("bank", "DEPLOYING")),
        ("bank", "RUNNING"),
    ]
    assert dashboard.config == CONFIG
    assert {(method, path) for method, path, _ in dashboard.asked} == {("PUT", PATH), ("GET", PATH)}


def test_what_goes_on_by_itself_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "WAIT_S", 0.05)
    told = told_by(Dashboard({"cafe": "RUNNING", "bank": "DEPLOYING"}))
    assert [name for name, status in told if "goes on by itself" in status] == ["bank"]


@pytest.mark.parametrize("status", ["DEPLOY_FAILED", "UNHEALTHY"])
def test_what_cannot_be_deployed_is_said_with_the_reason(status: str) -> None:
    with pytest.raises(SettingsError, match=f"bank: {status.lower()}: why bank"):
        told_by(Dashboard({"cafe": "RUNNING", "bank": status}))


def test_a_config_that_is_refused_is_said_with_the_reason() -> None:
    with pytest.raises(SettingsError, match=r"http://127.*no such option"):
        told_by(Dashboard({}, put=(400, "…\nno such option\n")))


@pytest.mark.parametrize("status", [401, 403])
def test_a_cluster_that_wants_a_token_says_so(status: int) -> None:
    with pytest.raises(SettingsError, match="RAY_AUTH_TOKEN"):
        told_by(Dashboard({}, put=(status, "")))


def test_the_token_is_found_where_ray_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dashboard = Dashboard({"cafe": "RUNNING", "bank": "RUNNING"})
    kept = tmp_path / ".ray" / "auth_token"
    kept.parent.mkdir()
    kept.write_text("kept\n")
    told_by(dashboard)
    (tmp_path / "elsewhere").write_text("elsewhere\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "elsewhere"))
    told_by(dashboard)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "given")
    told_by(dashboard)
    sent = [token for method, _, token in dashboard.asked if method == "PUT"]
    assert sent == ["Bearer kept", "Bearer elsewhere", "Bearer given"]


@pytest.mark.parametrize("address", ["/", "10.0.0.1:8265", "http://127.0.0.1:1"])
def test_an_address_without_a_dashboard_is_said(address: str) -> None:
    with pytest.raises(SettingsError, match="no Ray cluster's dashboard"):
        deploy(CONFIG, address, told=lambda *_: None)


@pytest.mark.parametrize("says", [b"220 a mail server\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>"])
def test_something_else_that_listens_is_no_dashboard(says: bytes) -> None:
    def answer() -> None:
        with suppress(OSError):  # the server is closed
            while connection := taken.accept()[0]:
                with connection, suppress(OSError):
                    connection.recv(65_536)
                    connection.sendall(says)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(SettingsError, match="no Ray cluster's dashboard"):
            deploy(CONFIG, f"http://127.0.0.1:{taken.getsockname()[1]}", told=lambda *_: None)
        taken.shutdown(socket.SHUT_RDWR)
