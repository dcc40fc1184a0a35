"""`rejoinder serve --ray`: a Ray of its own, from its start to its end."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rejoinder.errors import SettingsError
from tests.serve.page.serving import page

pytest.importorskip("ray.serve", reason="Ray is not installed")

from rejoinder.serve.cluster.environment import free_port
from rejoinder.serve.cluster.local import _is_ready, _starting, serve
from rejoinder.serve.cluster.plan import Plan, Scale
from rejoinder.serve.settings import Settings

CAFE = Path(__file__).parents[3] / "examples" / "cafe"

pytestmark = pytest.mark.timeout(600)


@contextmanager
def served(*options: str) -> Iterator[subprocess.Popen[str]]:
    """The command, which is killed if it does not end."""
    command = [sys.executable, "-m", "rejoinder", "serve", str(CAFE), "--ray", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.model
def test_a_call_goes_on_when_the_server_is_told_to_end_and_then_it_ends() -> None:
    port = free_port()
    with served("--port", str(port)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline()
        assert "Serving" in said, process.stderr.read()
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        with page(url, greet=False) as caller:
            caller.until("welcome")
            process.send_signal(signal.SIGINT)
            for _ in range(3):
                caller.send("text", text="when are you open")
                caller.until("reply_done")
        assert process.wait() == 0


def test_more_replicas_than_the_machine_has_cores_for_are_refused() -> None:
    with served("--replicas", "1000", "--port", str(free_port())) as process:
        _, error = process.communicate()
    assert process.returncode == 1
    assert "1000 replicas with --cpus 1 are too many" in error
    assert "Traceback" not in error


def test_a_ray_that_does_not_start_is_said() -> None:
    with pytest.raises(SettingsError, match=r"did not start \(The node timed out\)"), _starting():
        raise Exception("The node\ntimed out")


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(port=taken.getsockname()[1])
        with pytest.raises(SettingsError, match=f"port {settings.port} of 127.0.0.1 cannot be had"):
            serve(Plan(domain=CAFE), Scale(), settings, listening=print)


def test_a_port_must_be_named() -> None:
    with pytest.raises(SettingsError, match="port: 0"):
        serve(Plan(domain=CAFE), Scale(), Settings(port=0), listening=print)


def test_who_does_not_want_to_wait_any_more_need_not() -> None:
    told = threading.Event()
    told.set()
    assert not _is_ready("cafe", told)
