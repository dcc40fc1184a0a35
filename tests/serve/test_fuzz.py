"""Anything may come over the wire: no status of 500, no call that ends of itself, nothing left behind."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from websockets.sync.client import connect

from rejoinder.serve.app import create_app
from rejoinder.serve.settings import Settings
from tests.fakes import fake_pipeline, speak
from tests.serve.live import serving
from tests.serve.realtime.serving import FakeAssistant

QUICK = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
ROOMY = Settings(requests_per_minute=1_000_000, body_timeout_s=5, stage_timeout_s=5)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_app(FakeAssistant(fake_pipeline()), ROOMY), ROOMY) as url:
        yield url


@pytest.fixture(scope="module")
def api(url: str) -> Any:
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


def test_no_request_makes_the_server_fail(api: Any) -> None:
    @settings(QUICK, max_examples=150)
    @given(api.as_strategy())
    def ask(case: Any) -> None:
        case.call_and_validate(checks=[not_a_server_error], timeout=20)

    ask()


AUDIO = base64.b64encode((speak("a latte")[:4000] * 20_000).astype("<i2").tobytes()).decode()
ITEM = {"id": "item_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "a latte"}]}
FORMATS = {"format": {"type": "audio/pcmu"}}
KNOWN: tuple[dict[str, Any], ...] = (
    {"type": "session.update", "session": {"type": "realtime", "audio": {"input": FORMATS, "output": FORMATS}}},
    {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}},
    {"type": "session.update", "session": {"type": "transcription"}},
    {"type": "input_audio_buffer.append", "audio": AUDIO},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.create", "item": ITEM},
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 100},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "response.create", "response": {"output_modalities": ["text"], "metadata": {"a": "b"}}},
    {"type": "response.cancel"},
    {"type": "output_audio_buffer.clear"},
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in some JSON."""
    yield way
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*way, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*way, index))


@st.composite
def events(draw: st.DrawFn) -> str:
    """A client's event with up to two of its values replaced, dropped or added to; its JSON may be cut off."""
    event = json.loads(json.dumps(draw(st.sampled_from(KNOWN))))
    for _ in range(draw(st.integers(0, 2))):
        way = draw(st.sampled_from([way for way in places(event) if way] or [("type",)]))
        holder = event
        for step in way[:-1]:
            holder = holder[step]
        match draw(st.sampled_from(("replace", "drop", "add"))):
            case "replace":
                holder[way[-1]] = draw(ODD)
            case "drop" if isinstance(holder, dict):
                holder.pop(way[-1])
            case _ if isinstance(holder, dict):
                holder[draw(st.text(max_size=8))] = draw(ODD)
        if not event:
            break
    text = json.dumps(event)
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


@settings(QUICK, max_examples=30)
@given(st.lists(events(), min_size=1, max_size=12))
def test_no_event_ends_a_call(url: str, sent: list[str]) -> None:
    with connect(f"{url.replace('http', 'ws')}/v1/realtime", max_size=None) as socket:
        for text in sent:
            socket.send(text)
        socket.send(json.dumps({"type": "conversation.item.retrieve", "event_id": "last", "item_id": "nothing"}))
        while True:
            told = json.loads(socket.recv(timeout=20))
            if told["type"] == "error":
                assert told["error"]["code"] != "server_error"
                if told["error"]["event_id"] == "last":
                    return


@settings(QUICK, max_examples=30)
@given(st.lists(st.one_of(st.text(max_size=200), st.binary(max_size=200)), min_size=1, max_size=10))
def test_no_message_ends_a_call(url: str, sent: list[str | bytes]) -> None:
    with connect(f"{url.replace('http', 'ws')}/v1/realtime", max_size=None) as socket:
        for message in sent:
            socket.send(message)
        answers = [json.loads(socket.recv(timeout=20))["type"] for _ in range(len(sent) + 1)]
    assert answers == ["session.created", *["error"] * len(sent)]
