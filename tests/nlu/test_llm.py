"""The language model's client, against a real HTTP server that misbehaves in every way a server can."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rejoinder.domain import LlmSettings, Passage
from rejoinder.errors import ModelError
from rejoinder.nlu import llm
from rejoinder.nlu.llm import Exchange, LlmAnswerer

Behaviour = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(behave: Behaviour) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server on this machine, and the request bodies that it got."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            with suppress(BrokenPipeError, ConnectionResetError):  # the client hung up, as it should
                behave(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1", bodies
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def event(words: str) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': words}}]})}\n\n".encode()


def sending(*chunks: bytes | float, status: int = 200) -> Behaviour:
    """Send the bytes, sleep for the numbers."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for chunk in chunks:
            if isinstance(chunk, float):
                time.sleep(chunk)
            else:
                handler.wfile.write(chunk)
                handler.wfile.flush()

    return behave


TRICKLE: tuple[bytes | float, ...] = (b": still thinking\n\n", 0.05) * 20


def ask(behave: Behaviour, *, budget_s: float = 2.0, topics: tuple[str, ...] = ()) -> str | None:
    with server(behave) as (url, _):
        answerer = LlmAnswerer.load(LlmSettings(url, "tiny", budget_s=budget_s, topics=topics))
        pieces = answerer.answer("do you have oat milk")
        answer = None if pieces is None else "".join(pieces)
        answerer.close()
        return answer


def test_the_pieces_of_an_answer_arrive_in_order() -> None:
    chunks = (b": keep-alive\n\n", event("Yes, "), event("we have"), event(" oat milk."), b"data: [DONE]\n\n")
    assert ask(sending(*chunks)) == "Yes, we have oat milk."


def test_an_answer_is_handed_over_before_its_end() -> None:
    gate = threading.Event()

    def behave(handler: BaseHTTPRequestHandler) -> None:
        sending(event("Yes, "))(handler)
        gate.wait(10)
        handler.wfile.write(event("we do."))

    with server(behave) as (url, _):
        answerer = LlmAnswerer.load(LlmSettings(url, "tiny"))
        pieces = answerer.answer("do you have oat milk")
        assert pieces is not None
        assert next(pieces) == "Yes, "
        gate.set()
        assert list(pieces) == ["we do."]
        answerer.close()


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(sending(0.6, event("too late")), id="slow"),
        pytest.param(sending(b"", status=500), id="error 500"),
        pytest.param(sending(b"<html>what</html>\n", b"data: {broken\n\n", b"data: 5\n\n"), id="garbage"),
        pytest.param(sending(b'data: {"choices": []}\n\n', b'data: {"choices": [{"delta": null}]}\n\n'), id="no words"),
        pytest.param(sending(*TRICKLE), id="trickle"),
        pytest.param(sending(b"data: [DONE]\n\n"), id="empty"),
    ],
)
def test_no_answer_within_the_budget_is_none(behave: Behaviour) -> None:
    assert ask(behave, budget_s=0.3) is None


def test_a_server_that_is_not_there_is_none() -> None:
    with server(sending()) as (url, _):
        pass
    assert LlmAnswerer.load(LlmSettings(url, "tiny")).answer("hello") is None


def test_a_stream_that_breaks_off_keeps_what_was_said() -> None:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(event("Yes, we"))

    assert ask(behave) == "Yes, we"


def test_a_stream_that_stalls_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "LONGEST_GAP_S", 0.2)
    assert ask(sending(event("Yes, "), 0.6, event("never"))) == "Yes, "


@pytest.mark.parametrize("pieces", [["OUT_OF_SCOPE"], ["OUT", "_OF_", "SCOPE."], ["\n OUT_OF_SCOPE"]])
def test_what_is_no_topic_gets_no_answer(pieces: list[str]) -> None:
    assert ask(sending(*map(event, pieces)), topics=("coffee",)) is None


def test_an_answer_shorter_than_the_refusal_is_spoken() -> None:
    assert ask(sending(event("O"))) == "O"


def test_an_endless_answer_is_cut() -> None:
    answer = ask(sending(*[event("and on ")] * 1_000))
    assert answer is not None
    assert len(answer) <= llm.LONGEST_ANSWER_CHARS + len("and on ")


def test_the_request_holds_topics_history_and_passages_and_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_KEY", "k-123")
    keys: list[str | None] = []

    def behave(handler: BaseHTTPRequestHandler) -> None:
        keys.append(handler.headers["Authorization"])
        sending(event("Two dollars."))(handler)

    with server(behave) as (url, bodies):
        answerer = LlmAnswerer.load(LlmSettings(url, "tiny", key_env="TINY_KEY", topics=("coffee",)))
        history = [Exchange("hello", "Hi, what can I get you?")]
        pieces = answerer.answer("how much is it", history, [Passage("menu.md#Milk", "Milk", "Oat milk is extra.")])
        assert pieces is not None
        assert list(pieces) == ["Two dollars."]
        answerer.close()
    messages = bodies[0]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert "- coffee" in messages[0]["content"]
    assert "Oat milk is extra." in messages[0]["content"]
    assert bodies[0]["stream"] is True
    assert keys == ["Bearer k-123"]


def test_a_missing_key_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINY_KEY", raising=False)
    with pytest.raises(ModelError, match="export TINY_KEY"):
        LlmAnswerer.load(LlmSettings("http://127.0.0.1:1/v1", "tiny", key_env="TINY_KEY"))


def test_what_the_caller_said_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="rejoinder"):
        assert ask(sending(b"", status=500)) is None
        time.sleep(0.05)
    assert "oat milk" not in caplog.text
    assert "500" in caplog.text
