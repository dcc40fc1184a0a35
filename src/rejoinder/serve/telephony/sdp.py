"""Which audio a call has (SDP, RFC 8866, as offer and answer of RFC 3264): G.711 at 8 kHz, and keys."""

import ipaddress
import re
from dataclasses import dataclass

from rejoinder.serve.realtime.audio import Encoding

LAWS = {0: Encoding.MULAW, 8: Encoding.ALAW}
"""The payload types of G.711 (RFC 3551)."""

_NAMES = {Encoding.MULAW: "PCMU", Encoding.ALAW: "PCMA"}
_DIRECTIONS = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_MEDIA = re.compile(r"(\w+) (\d{1,5})(?:/\d{1,3})? (\S+) (.+)")
_CONNECTION = re.compile(r"IN IP[46] (\S+)")
_RTPMAP = re.compile(r"(\d{1,3}) ([\w.-]+)/(\d{1,6})(?:/(\d))?")
_MOST_LINES = 500


class SdpError(Exception):
    """An offer that cannot be taken."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the other side wants, as far as it is taken up."""

    host: str
    """IP address that takes our audio."""
    port: int
    payload_type: int
    """0 or 8."""
    event_type: int | None
    """Payload type of keys (RFC 4733), where they are offered."""
    direction: str
    """As the other side sees it."""
    media: tuple[str, ...]
    """Each offered medium without its attributes: an answer mirrors them all."""
    index: int
    """Which of them is ours."""

    @property
    def encoding(self) -> Encoding:
        """The chosen law."""
        return LAWS[self.payload_type]

    @property
    def held(self) -> bool:
        """Whether the caller put us on hold: nothing is to be expected of them."""
        return self.direction in {"sendonly", "inactive"} or ipaddress.ip_address(self.host).is_unspecified

    def answer(self, host: str, port: int, version: int) -> bytes:
        """What we say to it: `host` and `port` take their audio."""
        family = "IP6" if ":" in host else "IP4"
        lines = ["v=0", f"o=rejoinder {version} {version} IN {family} {host}", "s=-", f"c=IN {family} {host}", "t=0 0"]
        for n, medium in enumerate(self.media):
            kind, _, proto, formats = medium.split(" ", 3)
            if n != self.index:
                lines.append(f"m={kind} 0 {proto} {formats}")
                continue
            events = [] if self.event_type is None else [self.event_type]
            lines.append(f"m=audio {port} {proto} {' '.join(map(str, [self.payload_type, *events]))}")
            lines.append(f"a=rtpmap:{self.payload_type} {_NAMES[self.encoding]}/8000")
            lines += [line for t in events for line in (f"a=rtpmap:{t} telephone-event/8000", f"a=fmtp:{t} 0-15")]
            lines += ["a=ptime:20", f"a={_DIRECTIONS[self.direction]}"]
        return "\r\n".join([*lines, ""]).encode()


def read(body: bytes) -> Offer:
    """The first audio of an offer that we can take; raises `SdpError`."""
    lines = body.decode("utf-8", "replace").splitlines()
    if len(lines) > _MOST_LINES:
        raise SdpError("the offer is too long")
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    session, *media = sections
    found = [_MEDIA.fullmatch(section[0][2:].strip()) for section in media]
    for n, (section, match) in enumerate(zip(media, found, strict=True)):
        if match is None:
            raise SdpError("a medium cannot be read")
        if match[1] == "audio" and match[3] == "RTP/AVP" and 0 < int(match[2]) < 65_536:
            return _taken(n, match, [*session, *section], tuple(one[0] for one in found if one))
    raise SdpError("there is no audio over RTP/AVP in the offer")


def _taken(n: int, medium: re.Match[str], lines: list[str], media: tuple[str, ...]) -> Offer:
    formats = [int(form) for form in medium[4].split() if form.isascii() and form.isdigit() and len(form) < 4]
    payload_type = next((form for form in formats if form in LAWS), None)
    if payload_type is None:
        raise SdpError("neither PCMU nor PCMA at 8 kHz is offered")
    host = direction = ""
    events = None
    for line in lines:  # those of the session come first, those of the medium override them
        kind, _, value = line.partition("=")
        value = value.strip()
        if kind == "c" and (connection := _CONNECTION.fullmatch(value)):
            host = connection[1]
        elif kind == "a" and value in _DIRECTIONS:
            direction = value
        elif kind == "a" and (mapped := _RTPMAP.fullmatch(value.removeprefix("rtpmap:"))):
            number, name, rate = int(mapped[1]), mapped[2].lower(), int(mapped[3])
            if number == payload_type and (name, rate) != (_NAMES[LAWS[number]].lower(), 8000):
                raise SdpError("payload types 0 and 8 must be PCMU and PCMA at 8 kHz")
            if name == "telephone-event" and rate == 8000 and number in formats and number < 128:
                events = number
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise SdpError("the offer names no IP address") from None
    return Offer(host, int(medium[2]), payload_type, events, direction or "sendrecv", media, n)
