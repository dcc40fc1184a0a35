"""Telephone calls over real sockets, with stages that are fake and a telephone that is not."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from benchmarks.telephone import SDP, Telephone, telephone
from rejoinder.audio import SAMPLE_RATE
from rejoinder.domain import Intent
from rejoinder.events import Completion, Event, ReplyDone, Samples, TurnEnded, Understanding
from rejoinder.pipeline import Pipeline
from rejoinder.serve.calls import Calls
from rejoinder.serve.security import Admission
from rejoinder.serve.settings import Settings
from rejoinder.serve.telephony.line import LineOptions
from rejoinder.serve.telephony.sip import serve_sip
from rejoinder.session import SessionOptions
from tests.fakes import FakeUnderstander, fake_pipeline, meanings, order_domain
from tests.serve.realtime.serving import FakeAssistant, SureRecognizer

HUM: Samples = (0.3 * np.sin(np.arange(SAMPLE_RATE) * 2 * np.pi * 200 / SAMPLE_RATE)).astype(np.float32)
"""A second that the fake ear takes for speech."""

OPTIONS = LineOptions(session=SessionOptions())


@dataclass
class Notes:
    """Watches calls."""

    events: list[Event] = field(default_factory=list)
    n_closed: int = 0
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def event(self, event: Event) -> None:
        self.events.append(event)
        self.told.set()

    def audio(self, frame: Samples) -> None: ...

    def closed(self) -> None:
        self.n_closed += 1
        self.told.set()

    async def until(self, done: Callable[["Notes"], bool]) -> None:
        while not done(self):
            self.told.clear()
            await self.told.wait()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class Server:
    """What a test needs of it."""

    port: int
    notes: Notes
    calls: Calls


def transferring_pipeline() -> Pipeline:
    """All that it hears is "when are you open"; who types 0 is handed over."""
    operator = Intent("operator", patterns=("0",), replies=("One moment.",), ends="transfer")
    domain = order_domain()
    domain = replace(domain, intents={**domain.intents, "operator": operator})
    meant = {**meanings(), "0": Understanding("0", "operator", 1.0, {}, "pattern", Completion.COMPLETE)}
    return fake_pipeline(recognizer=SureRecognizer(), understander=FakeUnderstander(meant), domain=domain)


@asynccontextmanager
async def serving(options: LineOptions = OPTIONS, *, n_most: int = 4, **more: Any) -> AsyncIterator[Server]:
    """A SIP server."""
    assistant = FakeAssistant(transferring_pipeline())
    notes = Notes()
    calls = Calls(assistant, Settings(), admission=Admission(n_most, "calls"), watchers=[lambda _: notes])
    try:
        async with asyncio.timeout(30), serve_sip(calls, "127.0.0.1", 0, options=options, **more) as port:
            yield Server(port, notes, calls)
    finally:
        assistant.close()
    assert calls.admission.n_inside == 0


@pytest.mark.parametrize("law", [0, 8])
async def test_a_caller_speaks_is_answered_and_hangs_up(law: int) -> None:
    async with serving() as server, telephone(server.port, law=law) as phone:
        await phone.say(HUM)
        await server.notes.until(lambda notes: bool(notes.of(ReplyDone)))
        assert [event.text for event in server.notes.of(TurnEnded)] == ["when are you open"]
        await heard(phone, seconds=2.5)
        assert " 200 " in (await phone.hang_up()).splitlines()[0]
        await server.notes.until(lambda notes: notes.n_closed == 1)
        assert np.sum(np.abs(phone.heard_samples) > 0.05) / 8000 == pytest.approx(2.7, abs=0.4)


async def heard(phone: Telephone, *, seconds: float) -> None:
    """Until the telephone has heard so much speech."""
    while np.sum(np.abs(phone.heard_samples) > 0.05) < seconds * 8000:
        await asyncio.sleep(0.02)


async def test_a_caller_interrupts() -> None:
    async with serving() as server, telephone(server.port) as phone:
        await phone.say(HUM)
        await heard(phone, seconds=1.0)  # sooner, it would be the rest of what was said before
        await phone.say(np.tile(HUM, 2))
        await server.notes.until(lambda notes: any(event.interrupted for event in notes.of(ReplyDone)))
        await server.notes.until(lambda notes: len(notes.of(TurnEnded)) == 2)


async def test_keys_are_a_turn_and_interrupt() -> None:
    async with serving() as server, telephone(server.port) as phone:
        await phone.say(HUM)
        await heard(phone, seconds=0.3)
        for key in "12*34#":
            phone.press(key)
        await server.notes.until(lambda notes: len(notes.of(TurnEnded)) == 2)
        assert server.notes.of(TurnEnded)[1].text == "34"
        assert any(event.interrupted for event in server.notes.of(ReplyDone))
        info = await phone.request(
            "INFO", body="Signal=7\nDuration=160\n", headers=["Content-Type: application/dtmf-relay"]
        )
        assert " 200 " in info.splitlines()[0]
        phone.press("#")
        await server.notes.until(lambda notes: len(notes.of(TurnEnded)) == 3)
        assert server.notes.of(TurnEnded)[2].text == "7"


async def test_a_caller_is_handed_to_a_person() -> None:
    async with serving(transfer_to="sip:desk@127.0.0.1") as server, telephone(server.port) as phone:
        phone.press("0")
        phone.press("#")
        assert await phone.referred.get() == "<sip:desk@127.0.0.1>"
        assert " 200 " in (await phone.hang_up()).splitlines()[0]
        await server.notes.until(lambda notes: notes.n_closed == 1)
        assert np.max(np.abs(phone.heard_samples)) > 0.05  # it was said before


async def test_the_server_hangs_up_on_silence() -> None:
    options = LineOptions(session=SessionOptions(), media_timeout_s=0.4)
    async with serving(options) as server, telephone(server.port) as phone:
        phone._remote = None  # nothing is sent any more
        await phone.ended.wait()
        await server.notes.until(lambda notes: notes.n_closed == 1)


async def test_a_full_server_is_busy_and_the_others_go_on() -> None:
    async with serving(n_most=1) as server, telephone(server.port) as first:
        async with telephone(server.port, calls=False) as second:
            busy = await second.invite()
            assert busy.startswith("SIP/2.0 486 ")
            assert "Retry-After: 1" in busy
        await first.say(HUM)
        await server.notes.until(lambda notes: len(notes.of(TurnEnded)) == 1)
        await first.hang_up()
        async with telephone(server.port) as third:
            await third.hang_up()


async def test_the_server_ends_its_calls_when_it_ends() -> None:
    ended: AbstractAsyncContextManager[Server] = serving()
    server = await ended.__aenter__()
    async with telephone(server.port) as phone:
        await ended.__aexit__(None, None, None)
        await phone.ended.wait()


async def test_the_law_can_change_and_a_hold_is_no_silence() -> None:
    options = LineOptions(session=SessionOptions(), media_timeout_s=0.4)
    async with serving(options) as server, telephone(server.port) as phone:
        own = phone._rtp.number
        held = await phone.invite(sdp=SDP.format(port=own, law=0) + "a=sendonly\n")
        assert "a=recvonly" in held
        remote, phone._remote = phone._remote, None
        await asyncio.sleep(0.8)
        phone.law, phone._remote = 8, remote
        assert "m=audio" in await phone.invite()
        await phone.say(HUM)
        await server.notes.until(lambda notes: len(notes.of(TurnEnded)) == 1)


async def test_other_audio_is_refused() -> None:
    async with serving() as server, telephone(server.port, calls=False) as phone:
        opus = SDP.format(port=9, law=96) + "a=rtpmap:96 opus/48000/2\n"
        assert (await phone.invite(sdp=opus)).startswith("SIP/2.0 488 ")
        wideband = SDP.format(port=9, law=0) + "a=rtpmap:0 PCMU/16000\n"
        assert (await phone.invite(sdp=wideband)).startswith("SIP/2.0 488 ")


async def test_strangers_get_no_answer_and_their_audio_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server, telephone(server.port) as phone:
        assert phone._remote is not None
        monkeypatch.setattr(server.calls, "trusts", lambda _: False)
        phone._sip.transport.sendto(phone.message("OPTIONS"), ("127.0.0.1", server.port))
        await phone.say(HUM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"\x80\0" + b"\0" * 170, phone._remote)
        await server.notes.until(lambda notes: len(notes.of(TurnEnded)) == 1)
        responses = [phone._responses.get_nowait() for _ in range(phone._responses.qsize())]
        assert not any("OPTIONS" in response.split("CSeq: ")[1].splitlines()[0] for response in responses)


async def test_garbage_disturbs_nobody() -> None:
    async with serving() as server, telephone(server.port) as phone:
        rng = np.random.default_rng(1)
        good = phone.message("OPTIONS")
        for _ in range(500):
            bad = bytearray(good)
            for place in rng.integers(0, len(bad), 8):
                bad[place] = rng.integers(0, 256)
            phone._sip.transport.sendto(bytes(bad), ("127.0.0.1", server.port))
        await phone.say(HUM)
        await server.notes.until(lambda notes: len(notes.of(TurnEnded)) == 1)
        assert " 200 " in (await phone.hang_up()).splitlines()[0]
