"""Wyoming's events on the wire, without any I/O: a line of JSON, then more JSON data, then a payload.

The `wyoming` package reads as much as a client announces, so that one line could fill the memory; here all is bounded.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = "1.10.2"
"""Of the protocol: the release of the `wyoming` package that this was tested with."""

LONGEST_HEADER = 64 * 1024
"""Bytes of the first line; older clients put all data into it."""

LONGEST_DATA = 256 * 1024
"""Bytes of the data."""

LONGEST_PAYLOAD = 1024 * 1024
"""Bytes of a payload: 32 s of 16-bit audio at 16 kHz. Clients send some 2 KB at a time."""


class WireError(Exception):
    """Bytes that are no event; what comes after them cannot be told apart, so the connection is of no use any more."""


@dataclass(frozen=True, slots=True)
class WireEvent:
    """One event of the protocol."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def encode(self) -> bytes:
        """As bytes."""
        data = json.dumps(self.data, ensure_ascii=False).encode() if self.data else b""
        header: dict[str, Any] = {"type": self.type, "version": VERSION}
        if data:
            header["data_length"] = len(data)
        if self.payload:
            header["payload_length"] = len(self.payload)
        return b"%s\n%s%s" % (json.dumps(header).encode(), data, self.payload)


class EventReader:
    """Bytes as they arrive to events."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._header: Mapping[str, Any] | None = None

    def feed(self, data: bytes) -> Iterator[WireEvent]:
        """Take more bytes; yields the events that are whole now and raises `WireError` at what is none."""
        self._bytes += data
        while (event := self._next()) is not None:
            yield event

    def _next(self) -> WireEvent | None:
        if self._header is None:
            end = self._bytes.find(b"\n", 0, LONGEST_HEADER)
            if end < 0:
                if len(self._bytes) >= LONGEST_HEADER:
                    raise WireError(f"the line of an event is longer than {LONGEST_HEADER} bytes")
                return None
            self._header = _header(bytes(self._bytes[:end]))
            del self._bytes[: end + 1]
        n_data = _length(self._header, "data_length", LONGEST_DATA)
        n_payload = _length(self._header, "payload_length", LONGEST_PAYLOAD)
        if len(self._bytes) < n_data + n_payload:
            return None
        data = dict(_object(self._header.get("data") or {}, "data"))
        if n_data:
            data |= _object(_parsed(bytes(self._bytes[:n_data])), "data")
        payload = bytes(self._bytes[n_data : n_data + n_payload])
        del self._bytes[: n_data + n_payload]
        event = WireEvent(self._header["type"], data, payload)
        self._header = None
        return event


def _header(line: bytes) -> Mapping[str, Any]:
    header = _object(_parsed(line), "an event")
    if not isinstance(header.get("type"), str):
        raise WireError("an event has no type")
    # Lengths that are too long are refused at once, not when so much has come.
    _length(header, "data_length", LONGEST_DATA)
    _length(header, "payload_length", LONGEST_PAYLOAD)
    return header


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # the latter for thousands of brackets
        raise WireError("an event is not JSON that can be read") from error


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise WireError(f"{what} must be a JSON object")
    return value


def _length(header: Mapping[str, Any], name: str, n_most: int) -> int:
    length = header.get(name)
    if length is None:
        return 0
    if type(length) is not int or not 0 <= length <= n_most:
        raise WireError(f"{name} must be a number of bytes from 0 to {n_most}")
    return length
