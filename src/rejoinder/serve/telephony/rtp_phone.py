"""The audio of one SIP call: a UDP port of its own, a packet every 20 ms, and the caller's packets to their `Line`."""

import asyncio
import ipaddress
import secrets
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import cast

import numpy as np

from rejoinder.events import Samples
from rejoinder.serve.telephony.caller import FRAME_S, LINE_RATE, CallerEvent, Pressed
from rejoinder.serve.telephony.line import Line
from rejoinder.serve.telephony.rtp import Packet, RtpError, RtpStream, parse
from rejoinder.serve.telephony.sdp import Offer

N_FRAME = round(FRAME_S * LINE_RATE)

LAPSE_S = 0.2
"""Without a packet for so long, a caller is silent: many telephones then send nothing."""

N_RECEIVED = 250
"""Packets that may wait to be heard: five seconds; more than that of a caller who floods is dropped."""

MOST_BEHIND_S = 0.2
"""How late sending may be and catch up; what is later begins anew, for the telephone has already filled the gap."""

_SILENCE: Samples = np.zeros(N_FRAME, np.float32)


class RtpPorts:
    """The ports that calls may use: even ones, as RTP has it, each in turn, so that one rests after its call."""

    def __init__(self, first: int, last: int) -> None:
        self._ports = range(first + first % 2, last + 1, 2)
        self._next = 0

    def take(self, host: str) -> socket.socket:
        """A socket of the next port that is free; raises `OSError` when none is."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for port in self._in_turn():
            taken = socket.socket(family, socket.SOCK_DGRAM)
            taken.setblocking(False)
            try:
                taken.bind((host, port))
            except OSError:
                taken.close()
                continue
            return taken
        raise OSError("all ports for audio are in use; the setting rtp_ports has more")

    def _in_turn(self) -> Iterator[int]:
        for _ in self._ports:
            yield self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)


class RtpPhone(asyncio.DatagramProtocol):
    """The phone of a `Line`. Audio is taken from the address in the offer, or that which the call came from."""

    def __init__(self, taken: socket.socket, offer: Offer, caller_host: str) -> None:
        """`taken` is the bound socket."""
        self._socket = taken
        self._caller_host = caller_host.partition("%")[0]
        self._transport: asyncio.DatagramTransport | None = None
        self._received: asyncio.Queue[Packet | Pressed] = asyncio.Queue(N_RECEIVED)
        self._waiting = bytearray()
        self._marks: deque[tuple[int, int]] = deque()  # the mark, and what waits until it
        self._sequence, self._timestamp = secrets.randbits(16), secrets.randbits(32)
        self._source = secrets.randbits(32)
        self._begins = True
        self._take(offer)

    @property
    def port(self) -> int:
        """The port that takes the caller's audio."""
        return int(self._socket.getsockname()[1])

    def change(self, offer: Offer) -> None:
        """Another offer was taken: another law, or another place for our audio."""
        if offer.encoding is not self.offer.encoding:
            waiting = self.offer.encoding.decode(bytes(self._waiting))
            self._waiting = bytearray(offer.encoding.encode(waiting))
        self._take(offer)

    def _take(self, offer: Offer) -> None:
        self.offer = offer
        self._stream = RtpStream(offer.payload_type, offer.event_type)
        self._hosts = {ipaddress.ip_address(host) for host in (offer.host, self._caller_host)}
        self._peer: tuple[str, int] | None = None
        self._silence = offer.encoding.encode(_SILENCE)

    async def open(self) -> None:
        """Begin to receive."""
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=self._socket)

    def close(self) -> None:
        """Give the port back."""
        if self._transport is not None:
            self._transport.close()
        else:
            self._socket.close()

    # What is said to the caller.

    async def play(self, audio: bytes) -> None:
        """Send this after all that waits."""
        self._waiting += audio

    async def mark(self, number: int) -> None:
        """Note that a reply is whole."""
        self._waiting += self._silence[: -len(self._waiting) % N_FRAME]
        self._marks.append((number, len(self._waiting)))

    async def clear(self) -> None:
        """Drop all that waits."""
        self._waiting.clear()
        self._marks.clear()

    async def send(self, line: Line) -> None:
        """Send a packet every 20 ms, of silence where nothing is said, and tell the line what has been heard."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            self._send_packet()
            while self._marks and self._marks[0][1] <= 0:
                line.heard(self._marks.popleft()[0])
            due_s = max(due_s + FRAME_S, loop.time() - MOST_BEHIND_S)
            await asyncio.sleep(due_s - loop.time())

    def _send_packet(self) -> None:
        audio = bytes(self._waiting[:N_FRAME])
        del self._waiting[:N_FRAME]
        self._marks = deque((number, left - N_FRAME) for number, left in self._marks)
        payload = audio + self._silence[len(audio) :]
        to = self._peer or (self.offer.host, self.offer.port)
        if self._transport is not None and self.offer.direction in {"sendrecv", "recvonly"}:
            packet = Packet(
                self.offer.payload_type, self._sequence, self._timestamp, self._source, payload, self._begins
            )
            self._transport.sendto(bytes(packet), to)
            self._begins = False
        self._sequence = (self._sequence + 1) % 2**16
        self._timestamp = (self._timestamp + N_FRAME) % 2**32

    # What the caller says.

    async def listen(self, line: Line, *, timeout_s: float) -> None:
        """Tell the line what the caller does, until nothing has come for `timeout_s`; on hold, time stands still."""
        silent_s = 0.0
        while silent_s < timeout_s:
            received = None
            with suppress(TimeoutError):
                async with asyncio.timeout(LAPSE_S):  # `wait_for` of Python 3.11 may swallow a cancellation
                    received = await self._received.get()
            if self.offer.held:  # what comes now, if anything does, is music
                silent_s = 0.0
                continue
            silent_s = silent_s + LAPSE_S if received is None else 0.0
            for event in self._events(received):
                await line.take(event)

    def _events(self, received: Packet | Pressed | None) -> list[CallerEvent]:
        if received is None:
            return self._stream.lapse(round(LAPSE_S * LINE_RATE))
        return [received] if isinstance(received, Pressed) else self._stream.receive(received)

    def press(self, pressed: Pressed) -> None:
        """A key that came by another way."""
        with suppress(asyncio.QueueFull):
            self._received.put_nowait(pressed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        """Keep a packet of the caller's; the first one shows where they are (symmetric RTP), if at a known address."""
        if self._peer is None:
            if ipaddress.ip_address(source[0].partition("%")[0]) not in self._hosts:
                return
        elif source[:2] != self._peer:
            return
        with suppress(RtpError, asyncio.QueueFull):
            packet = parse(data)
            if packet.payload_type in {self.offer.payload_type, self.offer.event_type}:
                self._peer = source[0], source[1]
            self._received.put_nowait(packet)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the caller's port, yet or any more: silence will tell."""
