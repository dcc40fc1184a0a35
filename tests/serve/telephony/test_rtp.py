"""RTP: packets in any order to the caller's audio."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.serve.telephony.caller import CallerEvent, Heard, Missed, Pressed
from rejoinder.serve.telephony.rtp import Packet, RtpError, RtpStream, parse

N = 160
EVENTS = 101


def packet(n: int, *, first: int = 65_530, begins: int = 2**32 - 800, **other: int) -> Packet:
    """The n-th of a stream whose numbers are about to wrap around."""
    return Packet(
        other.get("payload_type", 0),
        (first + n) % 2**16,
        other.get("timestamp", (begins + n * N) % 2**32),
        other.get("source", 7),
        bytes([n]) * N,
    )


def key(n: int, event: int, *, timestamp: int = 5, end: bool = False) -> Packet:
    payload = bytes([event, 0x8A if end else 0x0A, 0, 160])
    return Packet(EVENTS, (65_530 + n) % 2**16, timestamp, 7, payload)


def heard(*numbers: int) -> list[CallerEvent]:
    return [Heard(bytes([n]) * N) for n in numbers]


def test_a_packet_is_read_as_it_was_written() -> None:
    written = Packet(8, 65_535, 2**32 - 1, 2**32 - 1, b"abc", marker=True)
    assert parse(bytes(written)) == written


def test_sources_extensions_and_padding_are_left_out() -> None:
    plain = bytes(Packet(0, 1, 2, 3, b"audio"))
    extended = bytes([plain[0] | 0x31]) + plain[1:12] + b"\0" * 4 + b"\0\0\0\1" + b"wxyz" + b"audio" + b"\0\0\3"
    assert parse(extended).payload == b"audio"
    for cut in (b"", plain[:11], extended[:16], bytes([0x80 | 0x20]) + plain[1:12] + b"\xff", b"\0" * 20):
        with pytest.raises(RtpError):
            parse(cut)


@given(st.binary(max_size=64), st.integers(0, 3))
def test_whatever_comes_is_read_or_refused(data: bytes, version: int) -> None:
    stream = RtpStream(0, EVENTS)
    with suppress(RtpError):
        stream.receive(parse(bytes([version << 6 | (data[0] if data else 0) & 0x3F]) + data[1:]))


def test_packets_in_turn_do_not_wait() -> None:
    stream = RtpStream(0, EVENTS)
    for n in range(20):
        assert stream.receive(packet(n)) == heard(n)


def test_packets_are_put_in_order_and_counted_once() -> None:
    stream = RtpStream(0, EVENTS)
    got = [event for n in (0, 2, 1, 1, 3, 6, 5, 4, 2, 7) for event in stream.receive(packet(n))]
    assert got == heard(*range(8))


def test_a_lost_packet_is_waited_for_a_little_and_becomes_silence() -> None:
    stream = RtpStream(0, EVENTS)
    stream.receive(packet(0))
    assert [stream.receive(packet(n)) for n in (2, 3, 4)] == [[], [], []]
    assert stream.receive(packet(5)) == [Missed(N), *heard(2, 3, 4, 5)]
    assert stream.receive(packet(1)) == []


def test_time_goes_on_without_packets_but_once() -> None:
    stream = RtpStream(0, EVENTS)
    stream.receive(packet(0))
    stream.receive(packet(2))
    assert stream.lapse(800) == [Missed(N), *heard(2)]
    assert stream.lapse(800) == [Missed(800)]
    later = (2**32 - 800 + 10 * N) % 2**32
    assert stream.receive(packet(3, timestamp=later)) == [Missed(7 * N - 800), *heard(3)]
    assert stream.lapse(800) == [Missed(800)]
    assert stream.receive(packet(4, timestamp=later + N)) == heard(4)  # it was late, not lost


def test_a_key_is_pressed_once() -> None:
    stream = RtpStream(0, EVENTS)
    stream.receive(packet(0))
    got = [stream.receive(key(n, 9, end=n > 2)) for n in range(1, 6)]
    assert got == [[Pressed("9")], [], [], [], []]
    assert stream.receive(key(6, 11, timestamp=999)) == [Pressed("#")]
    assert stream.receive(key(7, 16, timestamp=1999)) == []  # a hook flash


def test_another_stream_begins_anew() -> None:
    stream = RtpStream(0, EVENTS)
    stream.receive(packet(0))
    assert stream.receive(packet(9, first=100, source=8)) == heard(9)
    assert stream.receive(packet(10, first=100, source=8)) == heard(10)
    assert stream.receive(packet(11, first=9_000, source=8, timestamp=1)) == heard(11)


def test_comfort_noise_is_silence_and_other_types_nothing() -> None:
    stream = RtpStream(0, EVENTS)
    stream.receive(packet(0))
    assert stream.receive(packet(1, payload_type=13)) == []
    assert stream.receive(packet(2, payload_type=96)) == []
    assert stream.lapse(N) == [Missed(N)]
    assert stream.receive(packet(3)) == []


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_order_and_length_hold_whatever_the_network_does(order: list[int], lost: set[int]) -> None:
    stream = RtpStream(0, EVENTS)
    got = stream.receive(packet(0))
    for n in order:
        if n + 1 not in lost:
            got += stream.receive(packet(n + 1))
    got += stream.lapse(0)
    numbers = [event.audio[0] for event in got if isinstance(event, Heard)]
    assert numbers == sorted(set(numbers))
    lengths = [len(event.audio) for event in got if isinstance(event, Heard)]
    lengths += [event.n_samples for event in got if isinstance(event, Missed)]
    assert sum(lengths) == (numbers[-1] + 1) * N
