"""SIP messages (RFC 3261), read and written. What cannot be read raises `SipError`, and nothing else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_HEADERS = 128
LONGEST_MESSAGE = 65_535

_COMPACT = {
    "c": "content-type",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "t": "to",
    "v": "via",
}
_START = re.compile(r"(?:([A-Z]{1,20}) (\S{1,512}) SIP/2\.0|SIP/2\.0 ([1-6]\d\d)(?: .*)?)")
_NAME = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(rf'{_QUOTED}|<[^>]*>|[^,"<]+|.')
_CSEQ = re.compile(r"(\d{1,10})\s+([A-Z]{1,20})")
_VIA = re.compile(r"SIP\s*/\s*2\.0\s*/\s*UDP\s+(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?:\s*:\s*(\d{1,5}))?", re.IGNORECASE)


class SipError(Exception):
    """A datagram that is no SIP message which could be answered."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request, which has a method and a URI, or a response, which has a status. Headers have lower-case names."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    cseq: int
    cseq_method: str
    via: str
    """The topmost one."""
    method: str = ""
    uri: str = ""
    status: int = 0

    def all(self, name: str) -> tuple[str, ...]:
        """Values of a header, those in one line apart."""
        return tuple(part for key, value in self.headers if key == name for part in split_list(value))

    def get(self, name: str) -> str:
        """A header's value, "" without it."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def key(self) -> tuple[str, ...]:
        """What its transaction is known by: an ACK and a CANCEL have that of their INVITE."""
        method = "INVITE" if self.cseq_method in {"ACK", "CANCEL"} else self.cseq_method
        sent_by = self.via.partition(";")[0]
        return parameter(self.via, "branch") or "", sent_by, self.get("call-id"), str(self.cseq), method

    def reply_port(self, source_port: int) -> int:
        """Where at the sender's address its response is awaited (RFC 3581)."""
        if parameter(self.via, "rport") is not None:
            return source_port
        match = _VIA.match(self.via)
        port = int(match[2]) if match and match[2] else 5060
        return port if 0 < port < 65_536 else source_port


def parse(data: bytes) -> Message:
    """Read a datagram; raises `SipError`."""
    if len(data) > LONGEST_MESSAGE:
        raise SipError("the message is too long")
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "replace").lstrip("\r\n").split("\r\n")
    start = _START.fullmatch(lines[0])
    if start is None:
        raise SipError("the first line is neither a request's nor a response's")
    headers = _headers(lines[1:])
    known = dict(reversed(headers))
    for name in ("via", "from", "to", "call-id", "cseq"):
        if not known.get(name):
            raise SipError(f"the header {name} is missing")
    cseq = _CSEQ.fullmatch(known["cseq"])
    via = split_list(known["via"])[0]
    if cseq is None or _VIA.match(via) is None or (start[1] and start[1] != cseq[2]):
        raise SipError("CSeq or Via cannot be read")
    length = known.get("content-length", str(len(body)))
    if not length.isascii() or not length.isdigit() or len(length) > 6 or int(length) > len(body):
        raise SipError("the body is not as long as it says")
    return Message(
        headers,
        body[: int(length)],
        int(cseq[1]),
        cseq[2],
        via,
        method=start[1] or "",
        uri=start[2] or "",
        status=int(start[3] or 0),
    )


def write(first_line: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    """A message as bytes; its length is added."""
    lines = [first_line, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def split_list(value: str) -> tuple[str, ...]:
    """The parts of a list with commas, those within quotes and angle brackets left alone; at least one."""
    parts = [""]
    for token in _TOKEN.findall(value):
        if token == ",":
            parts.append("")
        else:
            parts[-1] += token
    return tuple(part.strip() for part in parts if part.strip()) or ("",)


def parameter(value: str, name: str) -> str | None:
    """A parameter of a header's value, such as the tag of a From: "" where it has no value, None where it is not."""
    for part in value.rpartition(">")[2].split(";")[1:]:
        key, _, given = part.partition("=")
        if key.strip().lower() == name:
            return given.strip()
    return None


def address(value: str) -> str:
    """The URI in a From, To, Contact or Route."""
    _, bracket, rest = re.sub(f"^{_QUOTED}", "", value).partition("<")
    return rest.partition(">")[0].strip() if bracket else value.partition(";")[0].strip()


def _headers(lines: list[str]) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in {" ", "\t"} and headers:  # goes on the line before
            name, value = headers.pop()
            headers.append((name, f"{value} {line.strip()}"))
            continue
        name, colon, value = line.partition(":")
        if not colon or _NAME.fullmatch(name.strip()) is None or _CONTROL.search(value):
            raise SipError("a header cannot be read")
        name = name.strip().lower()
        headers.append((_COMPACT.get(name, name), value.strip()))
        if len(headers) > MOST_HEADERS:
            raise SipError("there are too many headers")
    return tuple(headers)
