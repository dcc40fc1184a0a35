"""One caller on a telephone line: G.711 in, G.711 out, keys and hanging up, whichever protocol carries them."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from rejoinder.audio import frames
from rejoinder.events import ReplyAudio, ReplyDone, SessionEnded, TurnEnded
from rejoinder.serve.calls import Call
from rejoinder.serve.realtime.audio import Encoding, InputStream, OutputStream
from rejoinder.serve.telephony.caller import FRAME_S, LINE_RATE, CallerEvent, Heard, Missed, Pressed
from rejoinder.serve.telephony.echo import EchoGate
from rejoinder.serve.telephony.keys import TypedKeys
from rejoinder.session import SessionOptions

LAST_WORDS_S = 3.0
"""How much longer than its length the end of the last reply is waited for, before the line is hung up."""

_N_FRAME = round(FRAME_S * LINE_RATE)
_RESAMPLED_S = 1.0  # of a reply at a time

TRANSFER = "transfer"
"""The reason of a call's end that hands the caller to a person."""


@dataclass(frozen=True, slots=True)
class LineOptions:
    """How calls by telephone are taken."""

    session: SessionOptions = field(default_factory=lambda: SessionOptions(greet=True))
    """Turn taking as everywhere else: calls in a telephone's narrow band are understood with it as well."""
    echo_loss_db: float = 20.0
    """How much weaker than the assistant's voice its echo on the line is at least; see docs/telephony.md."""
    media_timeout_s: float = 30.0
    """A caller of whom nothing came for so long is gone."""


class Phone(Protocol):
    """What a protocol does with what is said to its caller."""

    async def play(self, audio: bytes) -> None:
        """Have the caller hear this after all that came before: G.711, any length."""

    async def mark(self, number: int) -> None:
        """Call `Line.heard` with this number once the caller has heard all until here."""

    async def clear(self) -> None:
        """Drop what the caller has not heard yet, its marks included."""


class Line:
    """The session of one telephone call, in the line's terms."""

    def __init__(self, call: Call, phone: Phone, encoding: Encoding, *, options: LineOptions) -> None:
        """`encoding` is that of the caller's audio and of what `phone` is given."""
        self._session = call.session(options=options.session)
        self._phone = phone
        self._encoding = encoding
        self._input = InputStream(encoding)
        self._output: OutputStream | None = None
        self._gate = EchoGate(loss_db=options.echo_loss_db)
        self._keys = TypedKeys()
        self._n_heard = 0
        self._plays_until_s = 0.0
        self._n_marks = 0
        self._silent = asyncio.Event()
        self._silent.set()

    @property
    def now_s(self) -> float:
        """Seconds of audio received: the line's clock."""
        return self._n_heard / LINE_RATE

    def change(self, encoding: Encoding) -> None:
        """Both sides speak another law from now on."""
        if encoding is not self._encoding:
            self._encoding, self._input, self._output = encoding, InputStream(encoding), None

    async def take(self, event: CallerEvent) -> None:
        """The caller does something."""
        match event:
            case Heard(audio=audio):
                await self._hear(audio)
            case Missed(n_samples=n_samples):
                await self._hear(self._encoding.encode(np.zeros(n_samples, np.float32)))
            case Pressed(key=key):
                self._session.interrupt()  # they want to hear no more of what is being said
                self._type(self._keys.press(key, self.now_s))

    def heard(self, mark: int) -> None:
        """The caller has heard all until this mark; those of a reply that was cut short count for nothing."""
        if mark == self._n_marks and self._output is None and not self._silent.is_set():
            self._silent.set()
            self._session.playback_ended()

    async def run(self) -> str:
        """Say what the session says, until it ends and the caller has heard its last words: why it ended."""
        reason = "closed"
        async with self._session:
            async for event in self._session.events():
                match event:
                    case TurnEnded() | ReplyDone(interrupted=True):
                        # A line is a little later than the session's clock: at the end of a turn it may still play.
                        await self._clear()
                    case ReplyAudio():
                        await self._play(event)
                    case ReplyDone():
                        await self._finish()
                    case SessionEnded():
                        reason = event.reason
        left_s = max(0.0, self._plays_until_s - self.now_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s + LAST_WORDS_S):
                await self._silent.wait()
        return reason

    async def _hear(self, audio: bytes) -> None:
        for start in range(0, len(audio), _N_FRAME):
            frame = audio[start : start + _N_FRAME]
            for piece in self._input.pieces(frame):
                await self._session.feed(self._gate(piece, self.now_s))
            self._n_heard += len(frame)
        self._type(self._keys.due(self.now_s))

    def _type(self, number: str | None) -> None:
        if number is not None:
            self._session.submit_text(number)

    async def _play(self, event: ReplyAudio) -> None:
        if self._output is None:
            self._output = OutputStream(self._encoding, event.sample_rate)
        for part in frames(event.samples, round(_RESAMPLED_S * event.sample_rate)):
            await self._send(self._output.pieces(part))
            await asyncio.sleep(0)  # a long clause: other callers come in between

    async def _finish(self) -> None:
        """A reply is whole: know when it has been heard."""
        if self._output is not None:
            await self._send(self._output.pieces(np.zeros(0, np.float32), last=True))
            self._output = None
            self._n_marks += 1
            await self._phone.mark(self._n_marks)

    async def _send(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._silent.clear()
            starts_s = max(self._plays_until_s, self.now_s)
            self._plays_until_s = starts_s + len(piece) / LINE_RATE
            self._gate.plays(self._encoding.decode(piece), starts_s, self._plays_until_s)
            await self._phone.play(piece)

    async def _clear(self) -> None:
        """Fall silent at once."""
        self._output = None
        if not self._silent.is_set():
            self._silent.set()
            self._plays_until_s = self.now_s
            self._gate.stops(self.now_s)
            await self._phone.clear()
