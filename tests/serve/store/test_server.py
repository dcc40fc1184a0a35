"""A whole server with a store: calls are kept, and its owner sees them."""

import json
from pathlib import Path

import httpx
from websockets.sync.client import connect

from rejoinder.assistant import Assistant
from rejoinder.serve.app import create_app
from rejoinder.serve.security import add_key
from rejoinder.serve.settings import Settings
from rejoinder.serve.store.database import Store
from tests.serve.live import serving


def test_a_call_is_kept_and_reviewed(fake_assistant: Assistant, tmp_path: Path) -> None:
    file, url = tmp_path / "keys.txt", f"sqlite:///{tmp_path / 'calls.db'}"
    kiosk, owner = ({"authorization": f"Bearer {add_key(file, name)}"} for name in ("kiosk", "owner"))
    settings = Settings(keys=file, store=url, store_audio=True)
    with serving(create_app(fake_assistant, settings), settings) as address:
        with connect(f"{address.replace('http', 'ws')}/v1/realtime", additional_headers=kiosk) as socket:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "sing me 4111 1111"}]}
            for event in ({"type": "conversation.item.create", "item": item}, {"type": "response.create"}):
                socket.send(json.dumps(event))
            while json.loads(socket.recv(timeout=20))["type"] != "response.done":
                pass
        with httpx.Client(base_url=address) as http:
            assert http.get("/review").status_code == 200
            assert http.get("/review/turns").status_code == 401
            assert http.get("/review/turns", headers=kiosk).status_code == 403
            assert http.get("/review/domain", headers=owner).json()["name"] == "cafe"
            assert "rejoinder_store_lost_total 0.0" in http.get("/metrics", headers=kiosk).text
    store = Store.open(url)
    (kept,) = store.latest()
    store.close()
    turn = kept.turn
    assert (turn.door, turn.owner, turn.text, turn.typed) == ("realtime", "kiosk", "sing me [phone]", True)
    assert (turn.source, turn.reply) == ("none", "I can't help with that.")
