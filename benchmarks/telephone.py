"""A telephone: SIP and RTP over UDP on loopback, independent of the server's own code."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import numpy as np

from rejoinder.audio import SAMPLE_RATE, from_alaw, from_mulaw, resample, to_alaw, to_mulaw
from rejoinder.events import Samples

FRAME = 160
SDP = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} RTP/AVP {law} 101 13
a=rtpmap:101 telephone-event/8000
a=ptime:20
"""


class _Port(asyncio.DatagramProtocol):
    """A UDP port that keeps what it gets."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        self.received.put_nowait(data)

    @property
    def number(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])


class Telephone:
    """One call. `heard` is all that the other side sent, from its first packet on."""

    def __init__(self, server: int, sip: _Port, rtp: _Port, law: int) -> None:
        self.law = law
        self.heard = bytearray()
        self.echo = 0.0
        """How loud what is heard comes back among what is said, a tenth of a second later; 0: not at all."""
        self.ended = asyncio.Event()
        self.referred: asyncio.Queue[str] = asyncio.Queue()
        self._server = "127.0.0.1", server
        self._sip, self._rtp = sip, rtp
        self._remote: tuple[str, int] | None = None
        self._to, self._cseq = f"<sip:shop@127.0.0.1:{server}>", 0
        self._responses: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: list[bytes] = []
        self._sequence = self._timestamp = 7
        self._spoken = asyncio.Event()

    # Signalling.

    async def request(
        self, method: str, *, body: str = "", headers: Iterable[str] = (), cseq: int | None = None
    ) -> str:
        """Send a request, again and again; its final response."""
        self._cseq = cseq or self._cseq + 1
        message = self.message(method, body=body, headers=headers)
        for _ in range(10):
            self._sip.transport.sendto(message, self._server)
            try:
                async with asyncio.timeout(0.5):
                    while f"CSeq: {self._cseq} {method}" not in (response := await self._responses.get()):
                        pass
                    return response
            except TimeoutError:
                pass
        raise AssertionError(f"no answer to {method}")

    def message(self, method: str, *, body: str = "", headers: Iterable[str] = ()) -> bytes:
        body = body.replace("\n", "\r\n")
        port = self._sip.number
        lines = [
            f"{method} sip:shop@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{port}-{self._cseq};rport",
            "Max-Forwards: 70",
            f'From: "A caller" <sip:me@127.0.0.1:{port}>;tag=t{port}',
            f"To: {self._to}",
            f"Call-ID: {port}@test",
            f"CSeq: {self._cseq} {method}",
            f"Contact: <sip:me@127.0.0.1:{port}>",
            *headers,
            *(
                ["Content-Type: application/sdp"]
                if body and not any("Content-Type" in line for line in headers)
                else []
            ),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", body]).encode()

    async def invite(self, *, sdp: str | None = None, headers: Iterable[str] = ()) -> str:
        """Call, or change the call; confirms it. The response, whose status is its second word."""
        body = SDP.format(port=self._rtp.number, law=self.law) if sdp is None else sdp
        response = await self.request("INVITE", body=body, headers=headers)
        if " 200 " in response.splitlines()[0]:
            self._to = next(line for line in response.splitlines() if line.startswith("To: "))[4:]
            media = next(line for line in response.splitlines() if line.startswith("m=audio"))
            self._remote = "127.0.0.1", int(media.split()[1])
        self._sip.transport.sendto(self.message("ACK"), self._server)
        return response

    async def hang_up(self) -> str:
        return await self.request("BYE")

    async def _signal(self) -> None:
        while True:
            text = (await self._sip.received.get()).decode()
            if text.startswith("SIP/2.0"):
                self._responses.put_nowait(text)
                continue
            head = text.splitlines()
            kept = [line for line in head if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))]
            status = "202 Accepted" if text.startswith("REFER") else "200 OK"
            answer = "\r\n".join([f"SIP/2.0 {status}", *kept, "Content-Length: 0", "", ""])
            self._sip.transport.sendto(answer.encode(), self._server)
            if text.startswith("REFER"):
                self.referred.put_nowait(next(line for line in head if line.startswith("Refer-To"))[10:])
            if text.startswith("BYE"):
                self.ended.set()

    # Audio.

    async def say(self, samples: Samples) -> None:
        """Speak at real time: float32 of shape (n_samples,) at SAMPLE_RATE. Returns when it has been sent."""
        line = resample(samples, SAMPLE_RATE, 8000)
        data = (to_alaw if self.law == 8 else to_mulaw)(line).tobytes()
        self._spoken.clear()
        self._waiting += [data[i : i + FRAME] for i in range(0, len(data) - FRAME + 1, FRAME)]
        await self._spoken.wait()

    def press(self, key: str) -> None:
        """Send a key as RFC 4733 has it: several packets of one timestamp."""
        event, at = "0123456789*#".index(key), self._timestamp
        for n in range(1, 6):
            self.send(struct.pack("!BBH", event, 0x80 * (n > 2) | 10, n * FRAME), payload_type=101, timestamp=at)
        self._timestamp += 5 * FRAME

    def send(self, payload: bytes, *, payload_type: int | None = None, timestamp: int | None = None) -> None:
        if self._remote is not None:
            kind = self.law if payload_type is None else payload_type
            at = self._timestamp if timestamp is None else timestamp
            header = struct.pack("!BBHII", 0x80, kind, self._sequence % 2**16, at % 2**32, 99)
            self._rtp.transport.sendto(header + payload, self._remote)
            self._sequence += 1

    @property
    def heard_samples(self) -> Samples:
        """What was heard, float32 of shape (n_samples,) at 8 kHz."""
        codes = np.frombuffer(bytes(self.heard), np.uint8)
        return from_alaw(codes) if self.law == 8 else from_mulaw(codes)

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        silence = bytes([0xD5 if self.law == 8 else 0xFF]) * FRAME
        due_s = loop.time()
        while True:
            self.send(self._echoed(self._waiting.pop(0) if self._waiting else silence))
            self._timestamp += FRAME
            if not self._waiting:
                self._spoken.set()
            due_s += 0.02
            await asyncio.sleep(due_s - loop.time())

    def _echoed(self, frame: bytes) -> bytes:
        past = bytes(self.heard[-5 * FRAME : -4 * FRAME])
        if not self.echo or len(past) < FRAME:
            return frame
        said, heard = (from_mulaw(np.frombuffer(audio, np.uint8)) for audio in (frame, past))
        return to_mulaw((said + self.echo * heard).astype(np.float32)).tobytes()

    async def _hear(self) -> None:
        while True:
            packet = await self._rtp.received.get()
            assert packet[1] & 0x7F == self.law
            assert len(packet) == 12 + FRAME
            self.heard += packet[12:]


@asynccontextmanager
async def telephone(server: int, *, law: int = 0, calls: bool = True) -> AsyncIterator[Telephone]:
    """A telephone that has called the server on a UDP port; `calls` False: it has yet to."""
    loop = asyncio.get_running_loop()
    ports = [(await loop.create_datagram_endpoint(_Port, local_addr=("127.0.0.1", 0)))[1] for _ in range(2)]
    sip, rtp = cast(tuple[_Port, _Port], tuple(ports))
    phone = Telephone(server, sip, rtp, law)
    tasks = [asyncio.create_task(work) for work in (phone._signal(), phone._speak(), phone._hear())]
    try:
        if calls:
            assert " 200 " in (await phone.invite()).splitlines()[0]
        yield phone
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for port in ports:
            port.transport.close()
