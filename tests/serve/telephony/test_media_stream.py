"""Twilio's messages, read without a socket."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.serve.telephony.caller import Heard, Missed, Pressed
from rejoinder.serve.telephony.media_stream import Marked, MediaStream, Started, Stopped, StreamError

FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}


def start(**media_format: Any) -> str:
    details = {"streamSid": "MZ1", "callSid": "CA1", "mediaFormat": {**FORMAT, **media_format}, "tracks": ["inbound"]}
    return json.dumps({"event": "start", "sequenceNumber": "1", "start": details, "streamSid": "MZ1"})


def media(chunk: int, timestamp: int, **other: Any) -> str:
    payload = base64.b64encode(bytes([chunk]) * 160).decode()
    details = {"track": "inbound", "chunk": str(chunk), "timestamp": str(timestamp), "payload": payload, **other}
    return json.dumps({"event": "media", "media": details})


def started() -> MediaStream:
    stream = MediaStream()
    assert stream.receive(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})) == ()
    assert stream.receive(start()) == (Started("MZ1", "CA1"),)
    return stream


def test_a_call_is_followed() -> None:
    stream = started()
    assert stream.receive(media(1, 40)) == (Heard(b"\1" * 160),)
    assert stream.receive('{"event": "mark", "mark": {"name": "7"}}') == (Marked("7"),)
    assert stream.receive('{"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "5"}}') == (Pressed("5"),)
    assert stream.receive('{"event": "something-new", "x": 1}') == ()
    assert stream.receive('{"event": "stop", "stop": {"callSid": "CA1"}}') == (Stopped(),)


def test_lost_audio_is_made_up_for_and_late_audio_dropped() -> None:
    stream = started()
    assert stream.receive(media(1, 0)) == (Heard(b"\1" * 160),)
    assert stream.receive(media(4, 60)) == (Missed(320), Heard(b"\4" * 160))
    assert stream.receive(media(2, 20)) == stream.receive(media(4, 60)) == ()
    assert stream.receive(media(5, 3_600_000)) == (Missed(40_000), Heard(b"\5" * 160))
    assert stream.receive(media(6, 3_600_027)) == (Heard(b"\6" * 160),)  # rounded, not lost
    assert stream.receive(media(9, 0, track="outbound")) == ()


@pytest.mark.parametrize(
    ("form", "said"),
    [({"sampleRate": 16000}, "16000"), ({"encoding": "audio/x-l16"}, "x-l16"), ({"channels": 2}, "in 2")],
)
def test_other_audio_is_refused(form: dict[str, Any], said: str) -> None:
    with pytest.raises(StreamError, match=said):
        MediaStream().receive(start(**form))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"event": "start"}',
        '{"event": "media", "media": {"chunk": 1, "timestamp": "0", "payload": ""}}',
        '{"event": "media", "media": {"chunk": "-1", "timestamp": "0", "payload": ""}}',
        '{"event": "dtmf", "dtmf": {"digit": "55"}}',
        start(),
        media(1, 0, payload="*"),
        " " * 100_000,
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(StreamError):
        started().receive(text)


def test_audio_before_the_start_is_refused() -> None:
    with pytest.raises(StreamError, match="before 'start'"):
        MediaStream().receive(media(1, 0))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from("event start media mark dtmf stop name digit chunk timestamp payload track".split()), inner
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(
        st.text(max_size=60)
        | st.builds(json.dumps, JSON)
        | st.builds(media, st.integers(0, 255), st.integers(0, 10**16))
        | st.sampled_from([start(), '{"event": "stop"}']),
        max_size=8,
    )
)
def test_whatever_comes_is_read_or_refused(texts: list[str]) -> None:
    stream = MediaStream()
    for text in texts:
        with suppress(StreamError):
            stream.receive(text)
