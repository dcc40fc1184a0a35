"""A Realtime session that was lost goes on with its dialogue."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from rejoinder.serve.app import create_app
from tests.serve.live import serving
from tests.serve.page.serving import assistant


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_app(assistant())) as url:
        yield url.replace("http", "ws") + "/v1/realtime"


def until(socket: Connection, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(socket.recv(10))
        if event["type"] == kind:
            return event


def said(socket: Connection, text: str) -> str:
    """The reply to a typed turn."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    socket.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))
    done = until(socket, "response.done")["response"]
    content = done["output"][0]["content"][0]
    return str(content.get("text") or content.get("transcript"))


def test_a_lost_session_goes_on_where_it_stood(url: str) -> None:
    with connect(url) as lost:
        session = until(lost, "session.created")["session"]["id"]
        assert said(lost, "a latte") == "Latte, shall I order it?"
        lost.socket.shutdown(2)
    with connect(f"{url}?resume={session}") as back:
        assert until(back, "session.created")["session"]["id"] == session
        assert said(back, "yes") == "Your order number is 12."


def test_one_that_was_ended_or_never_was_begins_anew(url: str) -> None:
    with connect(url) as ended:
        session = until(ended, "session.created")["session"]["id"]
        said(ended, "a latte")
    for gone in (session, "sess_never"):
        with connect(f"{url}?resume={gone}") as back:
            assert until(back, "session.created")["session"]["id"] != gone
