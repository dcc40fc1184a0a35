"""Client secrets: made with a key, good for a call and for nothing else, and not for long."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from openai.types.realtime import ClientSecretCreateResponse

from rejoinder.serve.api_errors import add_handlers
from rejoinder.serve.app import create_app
from rejoinder.serve.secrets import MOST_SECRETS, Secrets, opens_call, router
from rejoinder.serve.security import KEY_PROTOCOL, Keys, RefusedError, add_key, authorize
from rejoinder.serve.settings import Settings
from tests.fakes import fake_pipeline
from tests.serve.realtime.serving import FakeAssistant


@pytest.fixture
def known() -> Secrets:
    return Secrets()


@pytest.fixture
def client(known: Secrets) -> Iterator[TestClient]:
    app = FastAPI()
    add_handlers(app)
    app.include_router(router(known))
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
def test_a_secret_comes_as_openai_has_it(client: TestClient, known: Secrets, kind: str) -> None:
    session = {"type": kind, "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    made = client.post("/v1/realtime/client_secrets", json={"session": session, "expires_after": {"seconds": 60}})
    answer = ClientSecretCreateResponse.model_validate(made.json(), strict=True)
    assert answer.value.startswith("ek_")
    assert answer.session.type == kind
    secret = known.find(answer.value)
    assert secret is not None
    assert secret.session == session
    assert abs(secret.expires_at_s - answer.expires_at) < 1
    assert client.post("/v1/realtime/client_secrets", json={}).status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        {"expires_after": {"seconds": 9}},
        {"expires_after": {"seconds": 7201}},
        {"expires_after": {"anchor": "never"}},
        {"session": {"type": "realtime", "fly": True}},
        {"session": {"type": "video"}},
        {"sessions": {}},
    ],
)
def test_what_cannot_be_is_refused(client: TestClient, wanted: dict[str, Any]) -> None:
    assert client.post("/v1/realtime/client_secrets", json=wanted).status_code in (400, 422)


def test_a_secret_expires_and_the_oldest_are_forgotten() -> None:
    now_s = [1000.0]
    known = Secrets(clock=lambda: now_s[0])
    value, _ = known.make(owner="kiosk", session={}, seconds=60)
    assert known.find(value + "x") is None
    now_s[0] = 1059.0
    assert known.find(value) is not None
    now_s[0] = 1060.0
    assert known.find(value) is None
    values = [known.make(owner=None, session={}, seconds=60)[0] for _ in range(MOST_SECRETS + 1)]
    assert known.find(values[0]) is None
    assert known.find(values[1]) is not None


def test_a_secret_is_let_in_for_its_owner_where_secrets_are(tmp_path: Path, known: Secrets) -> None:
    add_key(tmp_path / "keys", "kiosk")
    keys = Keys.load(tmp_path / "keys")
    value, _ = known.make(owner="kiosk", session={}, seconds=60)
    headers = {"authorization": f"Bearer {value}"}
    assert authorize(headers, keys=keys, secrets=known) == "kiosk"
    assert authorize({}, ("realtime", KEY_PROTOCOL + value), keys=keys, secrets=known) == "kiosk"
    with pytest.raises(RefusedError):
        authorize(headers, keys=keys)
    with pytest.raises(RefusedError):
        authorize({"authorization": "Bearer ek_guess"}, keys=keys, secrets=known)


def test_only_what_opens_a_call_takes_secrets() -> None:
    assert opens_call({"type": "websocket", "path": "/v1/realtime"})
    assert opens_call({"type": "http", "method": "POST", "path": "/v1/realtime/calls"})
    for method, path in (
        ("POST", "/v1/realtime/client_secrets"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/metrics"),
    ):
        assert not opens_call({"type": "http", "method": method, "path": path})
    assert not opens_call({"type": "websocket", "path": "/talk"})


def test_the_session_of_a_secret_is_found_again(known: Secrets) -> None:
    value, _ = known.make(owner=None, session={"type": "realtime", "tools": []}, seconds=60)
    scope = {"type": "http", "headers": [(b"Authorization", b"Bearer " + value.encode())]}
    assert known.session(scope) == {"type": "realtime", "tools": []}
    assert known.session({"type": "websocket", "headers": [], "subprotocols": ["realtime"]}) is None


def test_a_server_with_keys_opens_calls_for_a_secret_and_nothing_else(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "kiosk")
    settings = Settings(keys=tmp_path / "keys")
    with TestClient(create_app(FakeAssistant(fake_pipeline()), settings), base_url="http://127.0.0.1") as client:
        wanted = {"session": {"type": "realtime", "output_modalities": ["text"]}}
        made = client.post("/v1/realtime/client_secrets", json=wanted, headers={"Authorization": f"Bearer {key}"})
        bearer = {"Authorization": f"Bearer {made.json()['value']}"}
        with client.websocket_connect("/v1/realtime", headers=bearer) as call:
            assert call.receive_json()["session"]["output_modalities"] == ["text"]
        assert client.get("/v1/models", headers=bearer).status_code == 401
        assert client.post("/v1/realtime/client_secrets", json=wanted, headers=bearer).status_code == 401
