"""SIP's door: a UDP port that telephones, exchanges and providers' trunks call."""

import asyncio
import ipaddress
import logging
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import cast

from rejoinder.serve.calls import Call, Calls
from rejoinder.serve.security import RateLimit, RefusedError
from rejoinder.serve.telephony import sdp
from rejoinder.serve.telephony.caller import Pressed
from rejoinder.serve.telephony.line import TRANSFER, Line, LineOptions
from rejoinder.serve.telephony.rtp_phone import RtpPhone, RtpPorts
from rejoinder.serve.telephony.sip_agent import Agent, Dialog, Ended, Invited, KeyTold, Place, Reinvited
from rejoinder.serve.telephony.sip_message import SipError

TRANSFER_S = 5.0
"""How long the caller's side may take to hand them over, before it is hung up on them."""

MOST_STRANGERS = 1000
"""Addresses whose refusal was logged; of more, nothing is."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def serve_sip(
    calls: Calls,
    host: str,
    port: int,
    *,
    transfer_to: str | None = None,
    public_host: str | None = None,
    options: LineOptions | None = None,
) -> AsyncIterator[int]:
    """Take telephone calls while the block runs; it is given the UDP port that was taken.

    `transfer_to` is the SIP URI that callers are handed to, `public_host` the address that is shown to callers where a
    router translates this machine's. Audio uses the setting `rtp_ports`. Raises `OSError` when the port cannot be had.
    """
    loop = asyncio.get_running_loop()
    door = _Door(calls, transfer_to, public_host, options or LineOptions())
    transport, _ = await loop.create_datagram_endpoint(lambda: door, local_addr=(host, port))
    try:
        yield door.bound[1]
    finally:
        await door.close()
        transport.close()


@dataclass(slots=True, eq=False)
class _Talk:
    """A call under way."""

    line: Line
    phone: RtpPhone
    task: "asyncio.Task[None] | None" = None
    version: int = 1
    """Of our answers' SDP."""


class _Door(asyncio.DatagramProtocol):
    """The socket around an `Agent`, and the calls that it answers."""

    def __init__(self, calls: Calls, transfer_to: str | None, public_host: str | None, options: LineOptions) -> None:
        self._calls = calls
        self._transfer_to = transfer_to
        self._public_host = public_host
        self._options = options
        self._agent = Agent(lambda: secrets.token_hex(8))
        self._ports = RtpPorts(*calls.settings.rtp_ports)
        self._rate = RateLimit(calls.settings.requests_per_minute)
        self._talks: dict[Dialog, _Talk] = {}
        self._strangers: set[str] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def bound(self) -> Place:
        """The address and UDP port that were taken."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    async def close(self) -> None:
        """Hang up on everybody."""
        tasks = [talk.task for talk in self._talks.values() if talk.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def error_received(self, exc: Exception) -> None:
        """What was sent found nobody: it is sent again until it is given up."""

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        """Take in a message; strangers get no answer, for that would tell scanners that there is something to call."""
        if not self._calls.trusts(source[0].partition("%")[0]):
            if source[0] not in self._strangers and len(self._strangers) < MOST_STRANGERS:
                self._strangers.add(source[0])
                logger.warning("sip: %s is not trusted; the setting 'trusted' lists who is", source[0])
            return
        try:
            event = self._agent.receive(data, (source[0], source[1]), self._loop.time())
        except SipError as error:
            logger.debug("sip: a message was dropped: %s", error)
            return
        match event:
            case Invited():
                self._answer(event)
            case Reinvited():
                self._change(event)
            case KeyTold(dialog=dialog, key=key) if dialog in self._talks:
                self._talks[dialog].phone.press(Pressed(key))
            case Ended(dialog=dialog):
                self._drop(dialog)
        self._flush()

    def _answer(self, invited: Invited) -> None:
        """Take a call if it can be taken."""
        now_s = self._loop.time()
        with ExitStack() as stack:
            try:
                self._rate.take(invited.source[0])
                offer = sdp.read(invited.invite.body)
                call = stack.enter_context(self._calls.answer("sip"))
                phone = RtpPhone(self._ports.take(self.bound[0]), offer, invited.source[0])
                stack.callback(phone.close)
            except sdp.SdpError as error:
                logger.warning("sip: a call was refused: %s", error)
                self._agent.refuse(invited, 488, now_s)
            except RefusedError as refused:
                logger.warning("sip: a call was refused: %s", refused.message)
                status = 486 if refused.code == "overloaded" else 503
                self._agent.refuse(invited, status, now_s, retry_after_s=refused.retry_after_s)
            except OSError as error:
                logger.error("sip: a call was refused: %s", error)
                self._agent.refuse(invited, 503, now_s, retry_after_s=1)
            else:
                self._begin(invited, offer, call, phone, stack.pop_all())

    def _begin(self, invited: Invited, offer: sdp.Offer, call: Call, phone: RtpPhone, stack: ExitStack) -> None:
        host = self._own_host(invited.source)
        talk = _Talk(Line(call, phone, offer.encoding, options=self._options), phone)
        answer = offer.answer(host, phone.port, talk.version)
        dialog = self._agent.answer(invited, answer, (host, self.bound[1]), self._loop.time())
        self._talks[dialog] = talk
        talk.task = self._loop.create_task(self._talk(dialog, talk))
        talk.task.add_done_callback(lambda _: self._over(dialog, stack))

    def _change(self, reinvited: Reinvited) -> None:
        """The caller's side changes the audio; without a word, it only asks whether the call still goes on."""
        now_s, talk = self._loop.time(), self._talks.get(reinvited.dialog)
        try:
            if talk is None:
                raise sdp.SdpError("the call is over")
            offer = sdp.read(reinvited.invite.body) if reinvited.invite.body else talk.phone.offer
        except sdp.SdpError as error:
            logger.warning("sip: a change was refused: %s", error)
            self._agent.refuse(reinvited, 488, now_s)
            return
        if reinvited.invite.body:
            talk.phone.change(offer)
            talk.line.change(offer.encoding)
            talk.version += 1
        own = reinvited.dialog.own
        self._agent.answer(reinvited, offer.answer(own[0], talk.phone.port, talk.version), own, now_s)

    async def _talk(self, dialog: Dialog, talk: _Talk) -> None:
        """One call, from its answer until either side hangs up."""
        tasks: set[asyncio.Task[str] | asyncio.Task[None]] = set()
        try:
            await talk.phone.open()
            talking = asyncio.create_task(talk.line.run())
            listening = talk.phone.listen(talk.line, timeout_s=self._options.media_timeout_s)
            tasks = {talking, asyncio.create_task(listening), asyncio.create_task(talk.phone.send(talk.line))}
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # raises what it raised
            if talking in done and talking.result() == TRANSFER and self._transfer_to is not None:
                await self._hand_over(dialog, self._transfer_to)
        except Exception as error:
            logger.error("sip: a call failed: %s", type(error).__name__)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self, dialog: Dialog, stack: ExitStack) -> None:
        """A call has ended, however it did."""
        stack.close()
        del self._talks[dialog]
        self._agent.hang_up(dialog, self._loop.time())
        self._flush()

    async def _hand_over(self, dialog: Dialog, to: str) -> None:
        """Have the caller's side call somebody else; it hangs up when it has."""
        self._agent.transfer(dialog, to, self._loop.time())
        self._flush()
        await asyncio.sleep(TRANSFER_S)

    def _drop(self, dialog: Dialog) -> None:
        """The caller's side has ended a call."""
        talk = self._talks.get(dialog)
        if talk is not None and talk.task is not None:
            talk.task.cancel()

    def _own_host(self, peer: Place) -> str:
        """Where this machine is, as a caller sees it."""
        if self._public_host is not None:
            return self._public_host
        if not ipaddress.ip_address(self.bound[0]).is_unspecified:
            return self.bound[0]
        family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(peer)  # sends nothing
            return str(probe.getsockname()[0])
        return self.bound[0]

    def _flush(self) -> None:
        """Send what the agent has to say, and wake it when it is due."""
        assert self._transport is not None
        for data, to in self._agent.outbox:
            self._transport.sendto(data, to)
        self._agent.outbox.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due_s := self._agent.due_s) is not None:
            self._timer = self._loop.call_at(due_s, self._tick)

    def _tick(self) -> None:
        for ended in self._agent.tick(self._loop.time()):
            self._drop(ended.dialog)
        self._flush()
