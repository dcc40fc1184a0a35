"""The callers of the load test, in a process of their own: real recordings over the Realtime WebSocket, at their pace.

They are cheap, for they share the cores with the server: every message is encoded before the first call.
"""

import asyncio
import base64
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any

import soxr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.corpus import cafe
from rejoinder.audio import SAMPLE_RATE, frames, to_int16
from rejoinder.evaluate.turntaking import Call
from rejoinder.events import Samples

FRAME_S = 0.04
"""Audio in one message: clients of this protocol send 20 to 100 ms."""

WIRE_RATE = 24_000
BYTES_PER_S = 2 * WIRE_RATE

PATIENCE_S = 10.0
"""How long a caller waits for a reply; then the turn is lost."""

THINK_S = (0.3, 1.2)
"""Least and most time between the end of a reply and the caller's next turn."""

N_TURNS_BETWEEN = 4
"""Every so many turns, a caller does not hear the reply to its end but speaks `INTERRUPTS_S` after it began."""

INTERRUPTS_S = 1.0

STARTS_S = 10.0
"""The callers begin within this time."""

N_LAST = round(0.5 / FRAME_S)
"""Messages before the end of the speech, from which on a reply may be the one to all of it: pauses are shorter."""

N_AT_ONCE = 10
"""Sessions that are opened at the same time, of very many."""

GARBAGE: tuple[str | bytes, ...] = (
    "",
    "{",
    "null",
    '{"type": "input_audio_buffer.append", "audio": "%%%"}',
    '{"type": "no.such.event"}',
    '{"type": "session.update", "session": {"type": 7}}',
    b"\x00\xff",
    "[" * 10_000,
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a caller says, as messages: the speech, then a second of the same line without it, to be repeated."""

    speech: Sequence[str]
    silence: Sequence[str]

    @classmethod
    def of(cls, recorded: Samples) -> "Utterance":
        """Encode a recording, float32 of shape (n_samples,) at `SAMPLE_RATE`."""
        call = Call.of(recorded).without_lead()
        end = round(call.end_s * SAMPLE_RATE)
        return cls(_messages(call.samples[:end]), _messages(call.samples[-SAMPLE_RATE:]))


@dataclass(slots=True)
class Turn:
    """How one turn went, on the clock of this machine."""

    caller: str
    spoke_at: float
    """When its last sample of speech was sent."""
    answered_at: float | None = None
    """When the first audio of the reply was received; None: never."""


@dataclass(slots=True)
class Played:
    """The reply that a caller hears."""

    began_at: float = 0.0
    ends_at: float = 0.0
    n_heard: int = 0
    """First pieces of audio, of all replies."""
    errors: list[str] = field(default_factory=list)


def _messages(samples: Samples) -> list[str]:
    wire = soxr.resample(samples, SAMPLE_RATE, WIRE_RATE)
    pieces = [to_int16(piece).astype("<i2").tobytes() for piece in frames(wire, round(FRAME_S * WIRE_RATE))]
    return [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()}) for piece in pieces
    ]


class Caller:
    """One caller, who speaks, listens and speaks again until the time is up."""

    def __init__(self, name: str, port: int, utterances: Sequence[Utterance], *, offset: int) -> None:
        self._name = name
        self._url = url(port, name)
        self._utterances = utterances
        self._next = offset
        self._random = random.Random(offset)
        self.turns: list[Turn] = []
        self.errors: list[str] = []

    async def call(self, until: float) -> None:
        """Call, and call again when the assistant hangs up."""
        while time.perf_counter() < until:
            async with connect(self._url, compression=None, max_size=None) as socket:
                played = Played(errors=self.errors)
                hearing = asyncio.create_task(_hear(socket, played))
                try:
                    with suppress(ConnectionClosed):
                        await self._converse(socket, played, until)
                finally:
                    hearing.cancel()

    async def _converse(self, socket: ClientConnection, played: Played, until: float) -> None:
        pace = Pace()
        while time.perf_counter() < until:
            utterance = self._utterances[self._next % len(self._utterances)]
            self._next += 1
            n_heard = played.n_heard
            for left, message in zip(range(len(utterance.speech), 0, -1), utterance.speech, strict=True):
                if left == N_LAST:  # a reply that begins before this was to the words before a pause
                    n_heard = played.n_heard
                await pace.next()
                await socket.send(message)
            turn = Turn(self._name, time.perf_counter())
            self.turns.append(turn)
            silence = cycle(utterance.silence)
            while played.n_heard == n_heard and time.perf_counter() < turn.spoke_at + PATIENCE_S:
                await pace.next()
                await socket.send(next(silence))
            if played.n_heard == n_heard:
                continue
            turn.answered_at = played.began_at
            hurries = len(self.turns) % N_TURNS_BETWEEN == 0
            pause_s = self._random.uniform(*THINK_S)
            while time.perf_counter() < (played.began_at + INTERRUPTS_S if hurries else played.ends_at + pause_s):
                await pace.next()
                await socket.send(next(silence))


class Pace:
    """The clock of a microphone: a frame every `FRAME_S`, none left out when the machine was late."""

    def __init__(self) -> None:
        self._due = time.perf_counter()

    async def next(self) -> None:
        """Wait until the next frame is there."""
        self._due += FRAME_S
        await asyncio.sleep(max(0.0, self._due - time.perf_counter()))


async def _hear(socket: ClientConnection, played: Played) -> None:
    """Play what is received, as far as that can be told from a clock."""
    is_new = False
    with suppress(ConnectionClosed):
        async for message in socket:
            kind = str(message[:60])
            if "response.output_audio.delta" in kind:
                now = time.perf_counter()
                if is_new:
                    is_new, played.began_at, played.ends_at = False, now, now
                    played.n_heard += 1
                played.ends_at += 0.75 * (len(message) - str(message).find('"delta"')) / BYTES_PER_S
            elif '"response.created"' in kind:
                is_new = True
            elif "input_audio_buffer.speech_started" in kind:
                played.ends_at = min(played.ends_at, time.perf_counter())
            elif '"error"' in kind:
                played.errors.append(json.loads(message)["error"]["code"])


async def talk(port: int, utterances: Sequence[Utterance], n_callers: int, seconds: float) -> dict[str, Any]:
    """So many callers speak for so many seconds, the time in which they begin not counted."""
    callers = [
        Caller(f"caller-{k}", port, utterances, offset=k * len(utterances) // n_callers) for k in range(n_callers)
    ]
    until = time.perf_counter() + STARTS_S + seconds

    async def begin(k: int) -> None:
        await asyncio.sleep(k / n_callers * STARTS_S)
        await callers[k].call(until)

    began_cpu = time.process_time()
    await asyncio.gather(*(begin(k) for k in range(n_callers)))
    return {
        "turns": [asdict(turn) for caller in callers for turn in caller.turns],
        "errors": [error for caller in callers for error in caller.errors],
        "cpu_s": time.process_time() - began_cpu,
    }


async def open_and_close(port: int, utterances: Sequence[Utterance], n_sessions: int) -> dict[str, Any]:
    """Sessions one after the other, ten at a time: each begins to speak, and every other one just vanishes."""
    waiting = iter(range(n_sessions))
    speech = utterances[0].speech[:25]

    async def some() -> None:
        for n in waiting:
            async with connect(url(port, "visitor"), compression=None, max_size=None) as socket:
                for message in speech:
                    await socket.send(message)
                await socket.recv()
                if n % 2:
                    socket.transport.abort()

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(N_AT_ONCE)))
    return {"n_sessions": n_sessions, "seconds": time.perf_counter() - began}


async def misbehave(port: int, utterances: Sequence[Utterance], seconds: float) -> dict[str, Any]:
    """Clients that vanish in mid-word, send garbage, send far too fast, or stop reading and sending."""
    until = time.perf_counter() + seconds
    done: Counter[str] = Counter()
    speech = utterances[0].speech

    async def again(name: str, act: Callable[[ClientConnection], Awaitable[None]]) -> None:
        while time.perf_counter() < until:
            with suppress(ConnectionClosed):
                async with connect(url(port, name), compression=None, max_size=None) as socket:
                    await act(socket)
            done[name] += 1

    async def vanish(socket: ClientConnection) -> None:
        pace = Pace()
        for message in speech[:75]:
            await pace.next()
            await socket.send(message)
        socket.transport.abort()

    async def garble(socket: ClientConnection) -> None:
        for nonsense in GARBAGE * 20:
            await socket.send(nonsense)
            await asyncio.sleep(0.01)

    async def flood(socket: ClientConnection) -> None:
        ends = min(until, time.perf_counter() + 5.0)
        while time.perf_counter() < ends:
            for message in speech:
                await socket.send(message)

    async def stall(socket: ClientConnection) -> None:
        for message in speech:
            await socket.send(message)
        socket.transport.pause_reading()
        await asyncio.sleep(max(0.0, until - time.perf_counter()))

    clients = {"vanishes": vanish, "garbles": garble, "floods": flood, "stalls": stall}
    await asyncio.gather(*(again(name, act) for name, act in clients.items()))
    return {"clients": dict(done)}


def url(port: int, name: str) -> str:
    """Where to call; the server's probe knows the caller by this name."""
    return f"ws://127.0.0.1:{port}/v1/realtime?model={name}"


def main() -> None:
    """Do what each line of standard input says, and answer each with a line of JSON; the first line says "ready"."""
    utterances = [Utterance.of(recording.samples) for recording in cafe()]
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(asyncio.run(_follow(utterances, **order))), flush=True)


async def _follow(
    utterances: Sequence[Utterance], *, do: str, port: int, n: int = 0, seconds: float = 0.0
) -> dict[str, Any]:
    match do:
        case "talk":
            return await talk(port, utterances, n, seconds)
        case "open":
            return await open_and_close(port, utterances, n)
        case "misbehave":
            talking, misbehaving = await asyncio.gather(
                talk(port, utterances, n, seconds), misbehave(port, utterances, STARTS_S + seconds)
            )
            return talking | misbehaving
        case _:
            raise ValueError(do)


if __name__ == "__main__":
    main()
