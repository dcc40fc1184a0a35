"""Twilio's media streams, as a caller's program sends them: messages in, what happened out. Pure: no socket, no clock.

https://www.twilio.com/docs/voice/media-streams/websocket-messages; numbers come as strings, but for the format's.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from rejoinder.serve.telephony.caller import LINE_RATE, MOST_MISSING_S, CallerEvent, Heard, Missed, Pressed

LONGEST_MESSAGE = 64 * 1024
"""Characters: six seconds of audio, where Twilio sends 20 ms."""

Number = Annotated[str, Field(pattern=r"^\d{1,15}$")]


class StreamError(Exception):
    """The other side does not speak Twilio's protocol, or speaks it with audio that is not mu-law at 8 kHz."""


class _Part(BaseModel):
    """A part of a message; Twilio may add fields at any time."""

    model_config = ConfigDict(frozen=True, strict=True, alias_generator=to_camel)


class MediaFormat(_Part):
    """How the caller's audio is written."""

    encoding: str
    sample_rate: int
    channels: int


class StartDetails(_Part):
    """What is known of the call."""

    stream_sid: Annotated[str, Field(min_length=1, max_length=64)]
    call_sid: Annotated[str, Field(max_length=64)] = ""
    media_format: MediaFormat


class MediaDetails(_Part):
    """20 ms of audio, in base64."""

    track: str = "inbound"
    chunk: Number
    timestamp: Number
    """Milliseconds since the stream began."""
    payload: str


class MarkDetails(_Part):
    """The name of a mark."""

    name: str


class DtmfDetails(_Part):
    """A key."""

    digit: Annotated[str, Field(max_length=1)]


class Connected(_Part):
    """The first message."""

    event: Literal["connected"]


class Start(_Part):
    """The second one."""

    event: Literal["start"]
    start: StartDetails


class Media(_Part):
    """The caller's audio."""

    event: Literal["media"]
    media: MediaDetails


class Mark(_Part):
    """The caller has heard all that was sent before this mark, or it was cleared."""

    event: Literal["mark"]
    mark: MarkDetails


class Dtmf(_Part):
    """The caller pressed a key."""

    event: Literal["dtmf"]
    dtmf: DtmfDetails


class Stop(_Part):
    """The call is over."""

    event: Literal["stop"]


_MESSAGE: TypeAdapter[Connected | Start | Media | Mark | Dtmf | Stop] = TypeAdapter(
    Annotated[Connected | Start | Media | Mark | Dtmf | Stop, Field(discriminator="event")]
)


@dataclass(frozen=True, slots=True)
class Started:
    """Audio follows."""

    stream_sid: str
    call_sid: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark came back."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The caller hung up."""


StreamEvent: TypeAlias = CallerEvent | Started | Marked | Stopped


class MediaStream:
    """What one stream has told so far."""

    def __init__(self) -> None:
        self._started = False
        self._last_chunk = 0
        self._expected_ms: float | None = None

    def receive(self, text: str) -> tuple[StreamEvent, ...]:
        """What a message tells; nothing for one of a kind that is not known. Raises `StreamError`."""
        message = _parsed(text)
        match message:
            case None | Connected():
                return ()
            case Start(start=start):
                return (self._start(start),)
            case Stop():
                return (Stopped(),)
            case _ if not self._started:
                raise StreamError(f"'{message.event}' came before 'start'")
            case Media(media=media):
                return self._hear(media)
            case Mark(mark=mark):
                return (Marked(mark.name),)
            case Dtmf(dtmf=dtmf):
                return (Pressed(dtmf.digit),)

    def _start(self, start: StartDetails) -> Started:
        if self._started:
            raise StreamError("'start' came twice")
        form = start.media_format
        if (form.encoding, form.sample_rate, form.channels) != ("audio/x-mulaw", LINE_RATE, 1):
            raise StreamError(
                f"the audio must be audio/x-mulaw at {LINE_RATE} Hz in 1 channel, "
                f"not {form.encoding[:40]!r} at {form.sample_rate} Hz in {form.channels}"
            )
        self._started = True
        return Started(start.stream_sid, start.call_sid)

    def _hear(self, media: MediaDetails) -> tuple[StreamEvent, ...]:
        chunk = int(media.chunk)
        if media.track != "inbound" or chunk <= self._last_chunk:  # what is said to the caller; a duplicate, or late
            return ()
        try:
            audio = base64.b64decode(media.payload, validate=True)
        except (binascii.Error, ValueError):
            raise StreamError("the payload is not base64") from None
        at_ms, length_ms = int(media.timestamp), 1000 * len(audio) / LINE_RATE
        missing_ms = 0.0 if self._expected_ms is None else at_ms - self._expected_ms
        self._last_chunk, self._expected_ms = chunk, at_ms + length_ms
        if missing_ms < length_ms or not audio:  # timestamps are rounded: less than a message is none
            return (Heard(audio),)
        n_missing = round(min(missing_ms / 1000, MOST_MISSING_S) * LINE_RATE)
        return Missed(n_missing), Heard(audio)


def _parsed(text: str) -> Connected | Start | Media | Mark | Dtmf | Stop | None:
    if len(text) > LONGEST_MESSAGE:
        raise StreamError(f"a message may have {LONGEST_MESSAGE} characters")
    try:
        return _MESSAGE.validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_input=False, include_url=False)[0]
        if first["type"] == "union_tag_invalid":
            return None
        where = ".".join(str(part) for part in first["loc"])
        raise StreamError(f"{where or 'message'}: {first['msg']}") from None
