"""RTP (RFC 3550) with G.711 and keys (RFC 4733): packets in, the caller's audio in order out. No socket, no clock.

Recognition needs no steady playout, only order: a packet that comes in turn is passed on at once, and only those that
overtook another wait for it. So a jitter buffer costs no time where there is no jitter.
"""

import struct
from dataclasses import dataclass

from rejoinder.serve.telephony.caller import LINE_RATE, MOST_MISSING_S, CallerEvent, Heard, Missed, Pressed

N_WAITING = 3
"""Packets that wait for one which they overtook; then it is taken for lost."""

MOST_AHEAD = 500
"""A packet further ahead than this, or as far behind, begins the stream anew."""

_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
_KEYS = "0123456789*#"
_N_MOST_MISSING = round(MOST_MISSING_S * LINE_RATE)
_SILENT_TYPES = frozenset({13, 19})  # comfort noise: it says how loud the silence is


class RtpError(Exception):
    """A datagram that is no RTP packet."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet."""

    payload_type: int
    sequence: int
    """Modulo 2**16."""
    timestamp: int
    """In samples, modulo 2**32."""
    source: int
    """The SSRC: a stream's name."""
    payload: bytes
    marker: bool = False

    def __bytes__(self) -> bytes:
        second = self.payload_type | (0x80 if self.marker else 0)
        return _HEADER.pack(0x80, second, self.sequence, self.timestamp, self.source) + self.payload


def parse(data: bytes) -> Packet:
    """Read a datagram; raises `RtpError`."""
    if len(data) < _HEADER.size or data[0] >> 6 != 2:
        raise RtpError("not RTP")
    first, second, sequence, timestamp, source = _HEADER.unpack_from(data)
    start, end = _HEADER.size + 4 * (first & 0x0F), len(data)
    if first & 0x10:  # an extension
        if len(data) < start + 4:
            raise RtpError("the header is cut off")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first & 0x20:  # padding
        end -= data[-1]
    if start > end:
        raise RtpError("the packet is shorter than its header says")
    return Packet(second & 0x7F, sequence, timestamp, source, data[start:end], bool(second & 0x80))


class RtpStream:
    """The caller's side of a call."""

    def __init__(self, payload_type: int, event_type: int | None) -> None:
        """Payload types of the audio and of keys; packets of any other are ignored."""
        self._payload_type = payload_type
        self._event_type = event_type
        self._source: int | None = None
        self._expected = 0
        self._waiting: dict[int, Packet] = {}
        self._next_timestamp: int | None = None
        self._n_made_up = 0
        self._last_key: int | None = None

    def receive(self, packet: Packet) -> list[CallerEvent]:
        """What can be passed on now that this packet has come."""
        if packet.payload_type not in {self._payload_type, self._event_type, *_SILENT_TYPES}:
            return []
        ahead = _signed(packet.sequence - self._expected, 16)
        if packet.source != self._source or abs(ahead) > MOST_AHEAD:
            passed_on = self._flush()
            self._source, self._expected, self._next_timestamp = packet.source, packet.sequence, None
            ahead = 0
        else:
            passed_on = []
        if ahead < 0:  # a duplicate, or one that was taken for lost
            return passed_on
        self._waiting[packet.sequence] = packet
        passed_on += self._in_turn()
        return passed_on + self._flush() if len(self._waiting) > N_WAITING else passed_on

    def lapse(self, n_samples: int) -> list[CallerEvent]:
        """No packet came for so long: what waits is passed on, or else it is silence, by which time goes on."""
        passed_on = self._flush()
        if not passed_on:
            self._n_made_up += n_samples
            passed_on = [Missed(n_samples)]
        return passed_on

    def _in_turn(self) -> list[CallerEvent]:
        passed_on: list[CallerEvent] = []
        while (packet := self._waiting.pop(self._expected, None)) is not None:
            self._expected = (self._expected + 1) % 65_536
            passed_on += self._take(packet)
        return passed_on

    def _flush(self) -> list[CallerEvent]:
        """Wait no longer for packets that were overtaken."""
        passed_on: list[CallerEvent] = []
        while self._waiting:
            self._expected = min(self._waiting, key=lambda sequence: _signed(sequence - self._expected, 16))
            passed_on += self._in_turn()
        return passed_on

    def _take(self, packet: Packet) -> list[CallerEvent]:
        if packet.payload_type == self._event_type:
            return self._key(packet)
        if packet.payload_type != self._payload_type or not packet.payload:
            return []
        n_missing = 0
        if self._next_timestamp is not None:
            n_missing = _signed(packet.timestamp - self._next_timestamp, 32) - self._n_made_up
        self._next_timestamp = (packet.timestamp + len(packet.payload)) % 2**32
        self._n_made_up = 0
        heard = Heard(packet.payload)
        return [Missed(min(n_missing, _N_MOST_MISSING)), heard] if n_missing > 0 else [heard]

    def _key(self, packet: Packet) -> list[CallerEvent]:
        """A key is told of in many packets of one timestamp: the first that arrives counts."""
        if len(packet.payload) < _EVENT.size or packet.timestamp == self._last_key:
            return []
        self._last_key = packet.timestamp
        event, _, _ = _EVENT.unpack_from(packet.payload)
        return [Pressed(_KEYS[event])] if event < len(_KEYS) else []


def _signed(difference: int, n_bits: int) -> int:
    """The difference of two numbers that wrap around, between -2**(n_bits-1) and 2**(n_bits-1) - 1."""
    half = 1 << (n_bits - 1)
    return (difference + half) % (1 << n_bits) - half
