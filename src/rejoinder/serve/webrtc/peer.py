"""One caller by WebRTC: the peer connection under a Realtime `Connection`."""

import asyncio
import logging
from contextlib import suppress

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from rejoinder.serve.calls import Call
from rejoinder.serve.realtime.connection import Connection, GoneError, RealtimeOptions
from rejoinder.serve.realtime.protocol import ConversationSettings, RefusedError, TranscriptionSettings
from rejoinder.serve.realtime.response import Response
from rejoinder.serve.webrtc.track import CallerAudio, ReplyTrack

CHANNEL = "oai-events"
"""The data channel that carries the protocol's events."""

CONNECT_S = 30.0
"""How long a caller who was answered may take to connect."""

FAREWELL_S = 30.0
"""Longest last words, before the server hangs up."""

N_WAITING = 256
"""Events of the client that may wait to be followed; one who sends more at a time is hung up on."""

HIGH_WATER = 1_000_000
"""Bytes for the client that may wait in its data channel."""

logger = logging.getLogger(__name__)


class Peer:
    """A peer connection that answers one offer. A `Transport` of the Realtime protocol."""

    def __init__(self) -> None:
        # No STUN or TURN server is asked: the server is reached by its own addresses.
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._track = ReplyTrack(self._played)
        self._caller: MediaStreamTrack | None = None
        self._channel: RTCDataChannel | None = None
        self._inbox: asyncio.Queue[str | bytes | None] = asyncio.Queue(N_WAITING)
        self._open = asyncio.Event()
        self._gone = asyncio.Event()
        self._room = asyncio.Event()
        self._connection: Connection | None = None
        self._peer.on("track", self._on_track)
        self._peer.on("datachannel", self._on_channel)
        self._peer.on("connectionstatechange", self._on_state)

    async def answer(self, offer: str) -> str:
        """The SDP that answers an offer; raises `ValueError` for one that cannot be answered."""
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if self._caller is None:
                raise ValueError("the offer has no audio")
            self._peer.addTrack(self._track)
            await self._peer.setLocalDescription(await self._peer.createAnswer())
        except Exception as error:  # aiortc's parser takes garbage apart in many ways
            await self._peer.close()
            logger.info("an offer could not be answered", extra={"error": type(error).__name__})
            raise ValueError("the offer cannot be answered; it must be SDP with audio and a data channel") from error
        return str(self._peer.localDescription.sdp)

    async def serve(
        self,
        call: Call,
        settings: ConversationSettings | TranscriptionSettings,
        options: RealtimeOptions | None = None,
    ) -> None:
        """Until either side hangs up, or the caller cannot be reached any more."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    await self._open.wait()
            if self._channel is None or self._gone.is_set():
                return
            self._connection = Connection(self, call, settings, options=options, speaker=self._track)
            listening = asyncio.create_task(self._listen(self._connection))
            try:
                await self._connection.run()
            finally:
                listening.cancel()
                await asyncio.wait([listening])
            if not listening.cancelled():
                listening.result()  # whatever kept the caller from being heard
        finally:
            self._track.stop()
            await self._peer.close()

    def hang_up(self) -> None:
        """End the call at once."""
        self._gone.set()
        self._open.set()  # nobody need wait for it
        self._room.set()
        while not self._inbox.empty():
            self._inbox.get_nowait()
        self._inbox.put_nowait(None)

    async def receive(self) -> str | bytes | None:
        return None if self._gone.is_set() else await self._inbox.get()

    async def send(self, text: str) -> None:
        channel = self._channel
        assert channel is not None
        while channel.bufferedAmount > HIGH_WATER and not self._gone.is_set():
            self._room.clear()
            await self._room.wait()
        if self._gone.is_set():
            raise GoneError
        try:
            channel.send(text)
        except (InvalidStateError, ConnectionError):
            raise GoneError from None

    async def close(self) -> None:
        """Hang up once the last words have been heard."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._track.silence()

    async def _listen(self, connection: Connection) -> None:
        """Let the caller be heard, until the end of their track."""
        assert self._caller is not None
        audio = CallerAudio()
        with suppress(MediaStreamError):
            while isinstance(frame := await self._caller.recv(), AudioFrame):
                for piece in audio.pieces(frame):
                    with suppress(RefusedError):  # what the client has yet to commit has filled its buffer
                        await connection.hear(piece)

    # What the peer connection tells.

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._caller = track

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label != CHANNEL or self._channel is not None:
            return
        self._channel = channel
        channel.bufferedAmountLowThreshold = HIGH_WATER // 2
        channel.on("message", self._on_message)
        channel.on("bufferedamountlow", self._room.set)
        channel.on("close", self.hang_up)
        self._open.set()

    def _on_message(self, message: str | bytes) -> None:
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            self.hang_up()

    def _on_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self.hang_up()

    def _played(self, response: Response, starts: bool) -> None:
        if self._connection is not None:
            self._connection.played(response, starts=starts)
