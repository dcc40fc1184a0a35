"""Which doors stand open, and what each of them asks for."""

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from fastapi.testclient import TestClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from rejoinder.assistant import Assistant
from rejoinder.errors import SettingsError
from rejoinder.serve.app import create_app, serve
from rejoinder.serve.security import add_key
from rejoinder.serve.settings import Settings
from tests.fakes import fake_pipeline
from tests.serve.live import serving


@dataclass(frozen=True)
class House:
    """A server with keys, a store and Twilio's token."""

    http: httpx.Client
    place: str
    kiosk: dict[str, str]
    owner: dict[str, str]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    keys, token = folder / "keys.txt", folder / "twilio.txt"
    kiosk, owner = ({"authorization": f"Bearer {add_key(keys, name)}"} for name in ("kiosk", "owner"))
    token.write_text("12345\n")
    settings = Settings(keys=keys, twilio_token=token, store=f"sqlite:///{folder}/calls.db")
    with ExitStack() as opened:
        url = opened.enter_context(serving(create_app(Assistant(fake_pipeline()), settings), settings))
        http = opened.enter_context(httpx.Client(base_url=url))
        yield House(http, url.partition("://")[2], kiosk, owner)


def test_the_files_of_the_pages_need_no_key_and_what_they_show_does(house: House) -> None:
    for page in ("/", "/static/page/main.js", "/review", "/review/review.js"):
        assert house.http.get(page).status_code == 200, page
    for content in ("/talk", "/review/turns"):
        assert house.http.get(content).status_code == 401, content
    assert house.http.get("/talk", headers=house.kiosk).status_code == 200


def test_only_the_owner_may_see_what_callers_said(house: House) -> None:
    assert house.http.get("/review/turns", headers=house.kiosk).status_code == 403
    assert house.http.get("/review/turns", headers=house.owner).json() == {"turns": [], "n": 0}


def test_twilio_signs_and_needs_no_key(house: House) -> None:
    assert house.http.post("/twilio/voice", data={"CallSid": "CA1"}).status_code == 403
    signed = {"X-Twilio-Signature": "bm9ib2R5", **house.kiosk}
    assert house.http.post("/twilio/voice", data={"CallSid": "CA1"}, headers=signed).status_code == 403


def test_a_client_secret_opens_calls_and_nothing_else(house: House) -> None:
    made = house.http.post("/v1/realtime/client_secrets", json={}, headers=house.kiosk)
    secret = {"authorization": f"Bearer {made.json()['value']}"}
    with connect(f"ws://{house.place}/v1/realtime", additional_headers=secret) as call:
        assert "session.created" in str(call.recv())
    for path in ("/v1/models", "/review/turns", "/metrics"):
        assert house.http.get(path, headers=secret).status_code == 401
    assert house.http.post("/v1/realtime/client_secrets", json={}, headers=secret).status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{house.place}/talk", additional_headers=secret)
    assert refused.value.response.status_code == 401


def test_what_was_not_asked_for_is_not_there() -> None:
    with serving(create_app(Assistant(fake_pipeline()))) as url, httpx.Client(base_url=url) as http:
        for path in ("/review", "/review/turns", "/twilio/voice"):
            assert http.get(path).status_code == 404


def test_doors_with_ports_of_their_own_are_open_as_long_as_the_server_runs(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(wyoming_port=0, riva_port=0, sip_port=0)
    with caplog.at_level(logging.INFO), TestClient(create_app(Assistant(fake_pipeline()), settings)):
        doors = {record.door: record.port for record in caplog.records if record.message == "door open"}  # type: ignore[attr-defined]
        assert set(doors) == {"wyoming", "riva", "sip"}
        for name in ("wyoming", "riva"):
            socket.create_connection(("127.0.0.1", doors[name])).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", doors["wyoming"]))


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = create_app(Assistant(fake_pipeline()), Settings(wyoming_port=port))
        with pytest.raises(SettingsError, match=f"wyoming_port: {port}"), TestClient(app):
            pass
        settings = Settings(port=0, wyoming_port=port)
        with pytest.raises(SettingsError, match=f"wyoming_port: {port}"):
            serve(Assistant(fake_pipeline()), settings, listening=lambda _: None)
