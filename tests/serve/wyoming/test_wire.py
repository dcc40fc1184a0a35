"""Tests of Wyoming's events on the wire."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event, async_read_event

from rejoinder.serve.wyoming.wire import (
    LONGEST_DATA,
    LONGEST_HEADER,
    LONGEST_PAYLOAD,
    EventReader,
    WireError,
    WireEvent,
)

plain = st.dictionaries(st.text(max_size=5), st.none() | st.integers(-9, 9) | st.text(max_size=9), max_size=4)
events = st.builds(WireEvent, st.text(min_size=1, max_size=9), plain, st.binary(max_size=30))


def read(data: bytes, *, n_bytes: int) -> list[WireEvent]:
    reader = EventReader()
    return [event for at in range(0, len(data), n_bytes) for event in reader.feed(data[at : at + n_bytes])]


@given(st.lists(events, max_size=4), st.integers(1, 200))
def test_events_come_back_however_they_are_cut(sent: list[WireEvent], n_bytes: int) -> None:
    assert read(b"".join(event.encode() for event in sent), n_bytes=n_bytes) == sent


@given(st.binary(max_size=300), st.integers(1, 50))
def test_garbage_is_refused_as_such(data: bytes, n_bytes: int) -> None:
    with suppress(WireError):
        read(data + b"\n", n_bytes=n_bytes)


async def test_the_wyoming_package_reads_what_is_written() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(WireEvent("audio-chunk", {"rate": 16_000, "text": "ä"}, b"12").encode())
    assert await async_read_event(reader) == Event("audio-chunk", {"rate": 16_000, "text": "ä"}, b"12")


def test_data_may_stand_in_the_line_as_older_clients_have_it() -> None:
    line = json.dumps({"type": "synthesize", "data": {"text": "hello", "a": 1}, "data_length": 8}).encode()
    assert read(line + b'\n{"a": 2}', n_bytes=7) == [WireEvent("synthesize", {"text": "hello", "a": 2})]


@pytest.mark.parametrize(
    "header",
    [
        {"type": "x", "payload_length": LONGEST_PAYLOAD + 1},
        {"type": "x", "data_length": LONGEST_DATA + 1},
        {"type": "x", "data_length": -1},
        {"type": "x", "data_length": True},
        {"type": "x", "data_length": "5"},
        {"type": "x", "payload_length": 1e3},
        {"type": "x", "data": [1]},
        {"type": 5},
        {},
        [],
    ],
)
def test_lengths_and_types_are_checked_before_anything_is_waited_for(header: Any) -> None:
    with pytest.raises(WireError):
        read(json.dumps(header).encode() + b"\n", n_bytes=1000)


def test_a_line_without_end_and_deep_nesting_are_refused() -> None:
    with pytest.raises(WireError, match="longer"):
        read(b" " * LONGEST_HEADER, n_bytes=1000)
    with pytest.raises(WireError, match="JSON"):
        read(b"[" * 50_000 + b"\n", n_bytes=1000)
