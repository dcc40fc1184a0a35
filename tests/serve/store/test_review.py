"""The owner's page and its requests: who may see them, and what they do."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from rejoinder.domain import Domain
from rejoinder.domain.corrections import read_corrections
from rejoinder.serve.api_errors import add_handlers
from rejoinder.serve.security import Keys, add_key
from rejoinder.serve.store.database import Store
from rejoinder.serve.store.recording import encoded
from rejoinder.serve.store.review import OPEN, OWNER, router
from tests.serve.store.test_learning import DOMAIN
from tests.serve.store.turns import turn

FLAC = encoded(np.zeros(16_000, np.int16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "domain.yaml").write_text(DOMAIN)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{folder / 'calls.db'}")
    opened.add(turn(text="can I pop by", intent="order", confidence=0.3, slots={"size": "[name]"}), FLAC)
    opened.add(turn("call_b", text="fine", confidence=1.0, text_confidence=1.0, failed=()))
    yield opened
    opened.close()


def client(store: Store, folder: Path, keys: Keys | None = None) -> httpx.AsyncClient:
    app = FastAPI()
    add_handlers(app)
    app.include_router(router(store, Domain.load(folder), keys))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


async def test_a_turn_is_looked_at_heard_and_corrected(store: Store, folder: Path) -> None:
    async with client(store, folder) as http:
        shown = await http.get("/review/turns")
        assert shown.headers["cache-control"] == "no-store"
        (doubt,) = shown.json()["turns"]
        assert (doubt["text"], doubt["intent"], doubt["has_audio"]) == ("can I pop by", "order", True)
        assert "30% sure" in doubt["reasons"]
        assert (await http.get(f"/review/turns/{doubt['id']}/audio")).content == FLAC
        body = {"verdict": "corrected", "text": "can I pop by", "intent": "hours"}
        done = (await http.post(f"/review/turns/{doubt['id']}", json=body)).json()
        assert done["written"][0] == "corrections.jsonl"
        assert len(done["written"]) == 3
        assert [(one.text, one.intent) for one in read_corrections(folder)] == [("can I pop by", "hours")]
        assert (await http.get("/review/turns")).json() == {"turns": [], "n": 0}
        (looked_at,) = (await http.get("/review/calls/call_a")).json()["turns"]
        assert looked_at["verdict"] == "corrected"


async def test_fine_and_out_of_scope_need_nothing_else(store: Store, folder: Path) -> None:
    async with client(store, folder) as http:
        await http.post("/review/turns/1", json={"verdict": "fine"})
        assert [(one.text, one.intent) for one in read_corrections(folder)] == [("can I pop by", "order")]
        await http.post("/review/turns/1", json={"verdict": "out_of_scope"})
        assert [(one.text, one.intent) for one in read_corrections(folder)] == [("can I pop by", None)]


async def test_a_call_is_forgotten_with_what_was_learned_from_it(store: Store, folder: Path) -> None:
    async with client(store, folder) as http:
        await http.post("/review/turns/1", json={"verdict": "out_of_scope"})
        assert (await http.delete("/review/calls/call_a")).json() == {"turns": 1, "learned": 2}
        assert (await http.delete("/review/calls/call_a")).json() == {"turns": 0, "learned": 0}
    assert read_corrections(folder) == ()
    assert [one.turn.call for one in store.latest()] == ["call_b"]


async def test_what_is_wrong_is_said(store: Store, folder: Path) -> None:
    async with client(store, folder) as http:
        for path in ("/review/turns/99/audio", "/review/turns/2/audio", "/review/calls/none"):
            assert (await http.get(path)).status_code == 404
        assert (await http.post("/review/turns/99", json={"verdict": "fine"})).status_code == 404
        for body in ({"verdict": "perhaps"}, {"verdict": "corrected", "intent": "hour"}, {"verdict": "fine", "x": 1}):
            refused = await http.post("/review/turns/1", json=body)
            assert refused.status_code == 400, body
        assert (await http.get("/review/turns/0/audio")).status_code == 400


async def test_only_the_key_of_the_owner_opens_it(store: Store, folder: Path) -> None:
    file = folder / "keys.txt"
    owner, kiosk = add_key(file, OWNER), add_key(file, "kiosk")
    async with client(store, folder, Keys.load(file)) as http:
        for path in OPEN:
            page = await http.get(path)
            assert page.status_code == 200
            assert "default-src 'none'" in page.headers["content-security-policy"]
        requests = [
            *(("GET", f"/review/{path}") for path in ("domain", "turns", "calls/call_a", "turns/1/audio")),
            *(("POST", "/review/turns/1"), ("DELETE", "/review/calls/call_a")),
        ]
        for method, path in requests:
            assert (await http.request(method, path)).status_code == 401
            kept_out = await http.request(method, path, headers={"authorization": f"Bearer {kiosk}"})
            assert kept_out.status_code == 403
            assert "owner" in kept_out.json()["error"]["message"]
        shown = await http.get("/review/turns", headers={"authorization": f"Bearer {owner}"})
        assert shown.json()["n"] == 1


async def test_a_dead_database_is_said_without_what_it_held(store: Store, folder: Path) -> None:
    (folder / "calls.db").write_bytes(b"nothing any more" * 1000)
    async with client(store, folder) as http:
        refused = await http.get("/review/turns")
    assert refused.status_code == 503
    assert "does not answer" in refused.json()["error"]["message"]
