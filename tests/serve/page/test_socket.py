"""The page's WebSocket: turns by voice and by hand, interruptions, lost connections, and what is not let through."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rejoinder.audio import SAMPLE_RATE
from rejoinder.serve.app import create_app
from rejoinder.serve.page.messages import LONGEST_FRAME
from rejoinder.serve.page.socket import AHEAD_S
from rejoinder.serve.security import add_key
from rejoinder.serve.settings import Settings
from tests.fakes import FakeActions, silence, speak
from tests.serve.live import serving
from tests.serve.page.serving import Page, assistant, page

QUESTION = "when are you open"
SPOKEN = np.concatenate([silence(0.3), speak(QUESTION), silence(1.2)])


@pytest.fixture(scope="module")
def actions() -> FakeActions:
    return FakeActions()


@pytest.fixture(scope="module")
def url(actions: FakeActions) -> Iterator[str]:
    with serving(create_app(assistant(actions))) as url:
        yield url


def test_a_spoken_turn_is_heard_understood_and_answered(url: str) -> None:
    with page(url, greet=False) as caller:
        welcome = caller.until("welcome")
        assert welcome["resumed"] is False
        assert welcome["call"].startswith("call_")
        caller.say(SPOKEN)
        caller.until("reply_done")
    kinds = [kind for kind in caller.kinds if kind != "partial"]
    assert kinds[:5] == ["welcome", "speech_started", "turn_ended", "understood", "reply_started"]
    by_kind = {message["type"]: message for message in caller.messages}
    assert by_kind["turn_ended"]["text"] == QUESTION
    assert by_kind["understood"]["intent"] == "hours"
    assert by_kind["reply_started"]["text"].startswith("From seven to six")
    announced = [message for message in caller.messages if message["type"] == "reply_audio"]
    assert {message["sample_rate"] for message in announced} == {24_000}
    assert [message["decision_s"] is None for message in announced] == [False, True]  # two clauses
    samples = np.concatenate(caller.audio[1])
    assert len(samples) == sum(message["n_samples"] for message in announced)
    assert set(samples) == {round(0.1 * 32768)}


def test_a_new_conversation_begins_with_the_greeting(url: str) -> None:
    with page(url) as caller:
        assert caller.until("reply_started")["text"] == "Hello, how can I help?"
        assert caller.until("reply_done")["interrupted"] is False


def test_a_reply_that_was_played_is_not_interrupted_by_what_is_typed_next(url: str) -> None:
    with page(url, greet=False) as caller:
        for was_played in (True, False):
            caller.messages.clear()
            caller.send("text", text=QUESTION)
            done = caller.until("reply_done")
            if was_played:
                caller.send("played", reply=done["reply"])
        caller.messages.clear()
        caller.send("text", text=QUESTION)
        caller.until("turn_ended")
        assert "reply_done" in caller.kinds  # nobody said that the second reply was played


def test_a_caller_who_stops_a_reply_is_told_so(url: str) -> None:
    with page(url, greet=False) as caller:
        caller.send("text", text=QUESTION)
        caller.until("reply_done")
        caller.send("stop")
        assert caller.until("reply_done")["interrupted"] is True


def test_speech_interrupts_a_reply_unless_that_is_turned_off(url: str) -> None:
    for barge_in in (True, False):
        with page(url, barge_in=barge_in, greet=False) as caller:
            caller.send("text", text=QUESTION)
            caller.until("reply_done")
            caller.say(speak(QUESTION))  # shorter than the reply
            if barge_in:
                assert caller.until("reply_done")["interrupted"] is True
            caller.send("text", text="bye")
            caller.until("turn_ended")
            assert ("speech_started" in caller.kinds) is barge_in


def test_a_lost_conversation_goes_on_where_it_stood(url: str, actions: FakeActions) -> None:
    with page(url, greet=False) as caller:
        token = caller.until("welcome")["resume"]
        caller.send("text", text="a latte")
        question = caller.until("reply_started")["text"]
        assert question == "Latte, shall I order it?"
        caller.socket.socket.shutdown(2)  # as when the network is gone
    with page(url, resume=token) as caller:
        welcome = caller.until("welcome")
        assert welcome["resumed"] is True
        assert welcome["resume"] == token
        assert (welcome["n_turns"], welcome["last_reply"]) == (1, question)
        caller.send("text", text="yes")
        assert caller.until("reply_started")["text"] == "Your order number is 12."
        assert "reply_started" not in caller.kinds[:-1]  # no second greeting
    assert actions.ran == [("place_order", {"drink": "latte"})]


def test_a_connection_that_is_half_dead_gives_its_conversation_up(url: str) -> None:
    with page(url, greet=False) as old:
        token = old.until("welcome")["resume"]
        old.send("text", text="a latte")
        old.until("reply_started")
        with page(url, resume=token) as new:
            assert new.until("welcome")["resumed"] is True
        with pytest.raises(ConnectionClosed) as closed:
            old.until("nothing more")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001


def test_a_conversation_that_was_ended_or_never_was_is_not_resumed(url: str) -> None:
    with page(url, greet=False) as caller:
        token = caller.until("welcome")["resume"]
        caller.send("goodbye")
        with pytest.raises(ConnectionClosed):
            caller.until("nothing more")
    for gone in (token, "no-such-token"):
        with page(url, resume=gone) as caller:
            welcome = caller.until("welcome")
            assert welcome["resumed"] is False
            assert welcome["resume"] != gone


def test_when_the_assistant_hangs_up_the_goodbye_is_sent_first(url: str) -> None:
    with page(url, greet=False) as caller:
        token = caller.until("welcome")["resume"]
        caller.send("text", text="bye")
        assert caller.until("session_ended")["reason"] == "hangup"
        assert caller.audio[1]
        with pytest.raises(ConnectionClosed):
            caller.until("nothing more")
    with page(url, resume=token) as caller:
        assert caller.until("welcome")["resumed"] is False


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (["{}"], "tag"),
        ([b"\0\0"], "before 'hello'"),
        ([json.dumps({"type": "stop"})], "must be 'hello'"),
        ([json.dumps({"type": "hello"})] * 2, "comes once"),
        ([json.dumps({"type": "hello"}), b"\0"], "whole 16-bit samples"),
        ([json.dumps({"type": "hello"}), bytes(LONGEST_FRAME + 2)], "at most"),
        ([json.dumps({"type": "hello"}), "nonsense"], "json"),
    ],
)
def test_what_no_page_sends_ends_the_connection(url: str, frames: list[Any], says: str) -> None:
    with connect(url.replace("http", "ws") + "/talk", close_timeout=1) as socket:
        for frame in frames:
            socket.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            Page(socket).until("nothing more")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
    assert says in closed.value.rcvd.reason


def test_audio_that_comes_faster_than_it_is_spoken_ends_the_connection(url: str) -> None:
    with page(url, greet=False) as caller:
        caller.until("welcome")
        with suppress(ConnectionClosed):
            for _ in range(round(AHEAD_S) + 20):
                caller.socket.send(bytes(2 * SAMPLE_RATE))
        with pytest.raises(ConnectionClosed) as closed:
            caller.until("nothing more")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_a_key_is_asked_for_and_never_sent_back(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.txt", "kiosk")
    with serving(create_app(assistant(), Settings(keys=tmp_path / "keys.txt"))) as url:
        with page(url, key=key) as caller:
            assert caller.until("welcome")["resumed"] is False
            assert caller.socket.subprotocol == "rejoinder"
        for wrong in (None, "rj-wrong"):
            with pytest.raises(InvalidStatus) as refused, page(url, key=wrong):
                pass
            assert refused.value.response.status_code == 401


def test_a_full_server_lets_nobody_else_in() -> None:
    with serving(create_app(assistant(), Settings(max_sessions=1))) as url, page(url) as caller:
        caller.until("welcome")
        with pytest.raises(InvalidStatus) as refused, page(url):
            pass
        assert refused.value.response.status_code == 503
        caller.send("text", text=QUESTION)
        assert caller.until("turn_ended")["text"] == QUESTION
