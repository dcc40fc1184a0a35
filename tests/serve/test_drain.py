"""A server that is told to end lets calls under way go on, and nobody else in."""

import json
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rejoinder.assistant import Assistant
from rejoinder.serve.app import create_app, listen, server
from rejoinder.serve.settings import Settings
from tests.fakes import fake_pipeline
from tests.serve.live import serving

Running = tuple[uvicorn.Server, threading.Thread, str]


def _running(settings: Settings) -> Iterator[Running]:
    running = server(create_app(Assistant(fake_pipeline()), settings), settings)
    with listen(settings.model_copy(update={"port": 0})) as taken:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [taken]})
        thread.start()
        yield running, thread, f"127.0.0.1:{taken.getsockname()[1]}"
        running.should_exit = running.force_exit = True
        thread.join()


@pytest.fixture
def patient() -> Iterator[Running]:
    yield from _running(Settings(drain_s=60))


@pytest.fixture
def hurried() -> Iterator[Running]:
    yield from _running(Settings(drain_s=0.2))


def _draining(place: str) -> httpx.Response:
    """The answer of `/readyz` once the server is draining."""
    while (answer := httpx.get(f"http://{place}/readyz")).status_code == 200:
        time.sleep(0.02)
    return answer


def test_a_call_under_way_goes_on_and_the_next_one_is_asked_to_come_back(patient: Running) -> None:
    running, thread, place = patient
    with connect(f"ws://{place}/v1/realtime") as call:
        assert json.loads(call.recv())["type"] == "session.created"
        running.should_exit = True

        ready = _draining(place)
        assert ready.json() == {"status": "draining"}
        assert ready.headers["retry-after"]
        assert httpx.get(f"http://{place}/healthz").status_code == 200
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{place}/v1/realtime")
        assert refused.value.response.status_code == 503
        assert "Retry-After" in refused.value.response.headers

        call.send(json.dumps({"type": "input_audio_buffer.clear"}))
        assert json.loads(call.recv())["type"] == "input_audio_buffer.cleared"
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive()


def test_a_call_that_does_not_end_is_cut_in_the_end(hurried: Running) -> None:
    running, thread, place = hurried
    with connect(f"ws://{place}/v1/realtime") as call:
        assert json.loads(call.recv())["type"] == "session.created"
        running.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def test_a_call_that_was_forgotten_is_ended() -> None:
    app = create_app(Assistant(fake_pipeline()), Settings(longest_call_s=0.3))
    with serving(app) as url, connect(url.replace("http", "ws") + "/v1/realtime") as call:
        assert json.loads(call.recv())["type"] == "session.created"
        with pytest.raises(ConnectionClosed) as ended:
            call.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1008
