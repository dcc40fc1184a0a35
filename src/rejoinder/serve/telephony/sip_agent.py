"""A SIP user agent that is called (RFC 3261, UDP): datagrams in, datagrams and what happened out. Pure: no socket.

It answers every call at once, so there is no provisional state: an INVITE has its final response before anything else
arrives. Responses go to where the request came from (RFC 3581), its own requests to where the caller's last came from.
`outbox` is to be sent after each call of a method, and `tick` called when `due_s` comes.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from rejoinder.serve.telephony.sip_message import Message, address, parameter, parse, write

T1_S, T2_S = 0.5, 4.0
"""First and longest time between two sendings of what may have been lost."""

TIMEOUT_S = 64 * T1_S
"""When a transaction is given up or forgotten."""

MOST_TRANSACTIONS = 10_000
"""Answered requests that are remembered; a flood makes the oldest ones forgotten early."""

METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "NOTIFY")
ALLOW = ", ".join(METHODS)

REASONS = {
    200: "OK",
    400: "Bad Request",
    405: "Method Not Allowed",
    415: "Unsupported Media Type",
    420: "Bad Extension",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
}

Place: TypeAlias = tuple[str, int]
"""IP address and port."""


@dataclass(slots=True, eq=False)
class Dialog:
    """A call that was answered."""

    invite: Message
    """The caller's last one."""
    peer: Place
    own: Place
    """Where we say that we are."""
    tag: str
    """Ours."""
    target: str
    """Who is asked to hang up."""
    route: tuple[str, ...]
    """By which proxies."""
    cseq: int = 0
    """Of our own requests."""

    @property
    def key(self) -> tuple[str, str]:
        """Call-ID and the caller's tag."""
        return self.invite.get("call-id"), parameter(self.invite.get("from"), "tag") or ""


@dataclass(frozen=True, slots=True)
class Invited:
    """Somebody calls: to be answered or refused before the next datagram is taken in."""

    invite: Message
    source: Place


@dataclass(frozen=True, slots=True)
class Reinvited:
    """The caller wants to change the audio; with no body, to hear that the call goes on. To be answered likewise."""

    dialog: Dialog
    invite: Message
    source: Place


@dataclass(frozen=True, slots=True)
class KeyTold:
    """The caller pressed a key, told of by INFO."""

    dialog: Dialog
    key: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over: the caller hung up, or never confirmed it."""

    dialog: Dialog


AgentEvent: TypeAlias = Invited | Reinvited | KeyTold | Ended


@dataclass(slots=True)
class _Sent:
    """What is sent again until it is answered."""

    data: bytes
    to: Place
    dialog: Dialog
    due_s: float
    ends_s: float
    interval_s: float = T1_S


@dataclass(slots=True)
class Agent:
    """The calls of one UDP port. Times are of any clock that never goes back."""

    new_id: Callable[[], str]
    """Makes what nobody can guess: tags and branches."""
    outbox: list[tuple[bytes, Place]] = field(default_factory=list)
    _dialogs: dict[tuple[str, str], Dialog] = field(default_factory=dict)
    _answered: "OrderedDict[tuple[str, ...], tuple[bytes, Place, float]]" = field(default_factory=OrderedDict)
    _sent: dict[str, _Sent] = field(default_factory=dict)

    @property
    def due_s(self) -> float | None:
        """When something is to be sent again or given up."""
        return min((sent.due_s for sent in self._sent.values()), default=None)

    def receive(self, data: bytes, source: Place, now_s: float) -> AgentEvent | None:
        """Take in a datagram; raises `SipError` for one that is no SIP message, after which all goes on."""
        if not data.strip(b"\r\n\0 "):  # keeps a NAT open
            return None
        message = parse(data)
        if not message.method:
            if message.status >= 200:
                self._sent.pop(parameter(message.via, "branch") or "", None)
            return None
        if message.method == "ACK":
            self._confirm(message)
            return None
        known = self._answered.get(message.key) if message.method != "CANCEL" else None
        if known is not None:  # our answer was lost
            self.outbox.append(known[:2])
            return None
        return self._request(message, source, now_s)

    def answer(self, call: Invited | Reinvited, sdp: bytes, own: Place, now_s: float) -> Dialog:
        """Take a call, or a change of it; the response is sent again until it is confirmed."""
        invite, target = call.invite, address(call.invite.get("contact"))
        if isinstance(call, Reinvited):
            dialog = call.dialog
            dialog.invite, dialog.peer, dialog.target = invite, call.source, target or dialog.target
        else:
            dialog = Dialog(invite, call.source, own, self.new_id(), target, invite.all("record-route"))
        self._dialogs[dialog.key] = dialog
        headers = [("Contact", f"<{_uri(dialog.own)}>"), ("Allow", ALLOW), ("Content-Type", "application/sdp")]
        headers = [("Record-Route", route) for route in invite.all("record-route")] + headers
        response = self._respond(invite, call.source, now_s, 200, headers=headers, body=sdp, tag=dialog.tag)
        self._sent[dialog.tag] = _Sent(*response, dialog, now_s + T1_S, now_s + TIMEOUT_S)
        return dialog

    def refuse(self, call: Invited | Reinvited, status: int, now_s: float, *, retry_after_s: int | None = None) -> None:
        """Do not take a call, or a change of it: that goes on as it was."""
        headers = [] if retry_after_s is None else [("Retry-After", str(retry_after_s))]
        tag = call.dialog.tag if isinstance(call, Reinvited) else None
        self._respond(call.invite, call.source, now_s, status, headers=headers, tag=tag)

    def transfer(self, dialog: Dialog, to: str, now_s: float) -> None:
        """Ask the caller's side to call somebody else instead; it hangs up when it has (RFC 3515)."""
        headers = [("Refer-To", f"<{to}>"), ("Referred-By", f"<{_uri(dialog.own)}>")]
        self._ask(dialog, "REFER", now_s, headers)

    def hang_up(self, dialog: Dialog, now_s: float) -> None:
        """End a call from our side."""
        if self._forget(dialog):
            self._ask(dialog, "BYE", now_s)

    def tick(self, now_s: float) -> list[Ended]:
        """Send again what was not answered, and give up what never will be."""
        ended: list[Ended] = []
        self._forget_answered(now_s)
        for name, sent in list(self._sent.items()):
            if now_s < sent.due_s:
                continue
            if now_s >= sent.ends_s:
                del self._sent[name]
                if name == sent.dialog.tag and self._forget(sent.dialog):
                    self._ask(sent.dialog, "BYE", now_s)
                    ended.append(Ended(sent.dialog))
                continue
            self.outbox.append((sent.data, sent.to))
            sent.interval_s = min(2 * sent.interval_s, T2_S)
            sent.due_s = min(now_s + sent.interval_s, sent.ends_s)
        return ended

    def _request(self, message: Message, source: Place, now_s: float) -> AgentEvent | None:
        """A request that was not seen before."""
        if message.method == "CANCEL":  # all INVITEs have been answered, so there is nothing left to cancel
            self._respond(message, source, now_s, 200 if message.key in self._answered else 481, keep=False)
            return None
        if message.method == "OPTIONS":
            self._respond(message, source, now_s, 200, headers=[("Allow", ALLOW), ("Accept", "application/sdp")])
            return None
        if message.method not in METHODS:
            self._respond(message, source, now_s, 405, headers=[("Allow", ALLOW)])
            return None
        tag = parameter(message.get("to"), "tag")
        if tag is None and message.method == "INVITE":
            return self._invited(message, source, now_s)
        dialog = self._dialogs.get((message.get("call-id"), parameter(message.get("from"), "tag") or ""))
        if dialog is None or dialog.tag != tag:
            self._respond(message, source, now_s, 481)
            return None
        if message.cseq <= dialog.invite.cseq:
            self._respond(message, source, now_s, 500, tag=tag)
            return None
        match message.method:
            case "INVITE":
                return Reinvited(dialog, message, source)
            case "BYE":
                self._respond(message, source, now_s, 200)
                self._forget(dialog)
                return Ended(dialog)
        self._respond(message, source, now_s, 200)
        key = _told_key(message)
        return KeyTold(dialog, key) if key else None

    def _invited(self, message: Message, source: Place, now_s: float) -> Invited | None:
        """A new call, unless it cannot be taken whoever answers."""
        status, headers = 0, list[tuple[str, str]]()
        if required := message.all("require"):
            status, headers = 420, [("Unsupported", name) for name in required]
        elif (message.get("call-id"), parameter(message.get("from"), "tag") or "") in self._dialogs:
            status = 482  # it came by two ways
        elif not address(message.get("contact")):
            status = 400
        elif message.body and message.get("content-type").partition(";")[0].strip().lower() != "application/sdp":
            status, headers = 415, [("Accept", "application/sdp")]
        elif not message.body:  # to be offered something is allowed, but nobody needs it
            status = 488
        if not status:
            return Invited(message, source)
        self._respond(message, source, now_s, status, headers=headers)
        return None

    def _confirm(self, ack: Message) -> None:
        dialog = self._dialogs.get((ack.get("call-id"), parameter(ack.get("from"), "tag") or ""))
        if dialog is not None and parameter(ack.get("to"), "tag") == dialog.tag:
            self._sent.pop(dialog.tag, None)

    def _respond(
        self,
        request: Message,
        source: Place,
        now_s: float,
        status: int,
        *,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
        tag: str | None = None,
        keep: bool = True,
    ) -> tuple[bytes, Place]:
        to = request.get("to")
        if parameter(to, "tag") is None:
            to = f"{to};tag={tag or self.new_id()}"
        first, *others = [("Via", via) for via in request.all("via")]
        rport = "" if parameter(request.via, "rport") is None else f";rport={source[1]}"
        own = {"rport", "received"}
        top = ";".join(part for part in first[1].split(";") if part.partition("=")[0].strip().lower() not in own)
        answer = write(
            f"SIP/2.0 {status} {REASONS[status]}",
            [
                ("Via", f"{top};received={source[0]}{rport}"),
                *others,
                ("From", request.get("from")),
                ("To", to),
                ("Call-ID", request.get("call-id")),
                ("CSeq", f"{request.cseq} {request.cseq_method}"),
                *(headers or []),
            ],
            body,
        )
        where = source[0], request.reply_port(source[1])
        self.outbox.append((answer, where))
        if keep:
            self._answered[request.key] = answer, where, now_s + TIMEOUT_S
            self._forget_answered(now_s)
        return answer, where

    def _ask(self, dialog: Dialog, method: str, now_s: float, headers: list[tuple[str, str]] | None = None) -> None:
        """Send a request of our own within a call, until it is answered."""
        dialog.cseq += 1
        branch = f"z9hG4bK{self.new_id()}"
        host = f"[{dialog.own[0]}]" if ":" in dialog.own[0] else dialog.own[0]
        to = dialog.invite.get("to")
        own = to if parameter(to, "tag") is not None else f"{to};tag={dialog.tag}"
        request = write(
            f"{method} {dialog.target} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP {host}:{dialog.own[1]};branch={branch};rport"),
                ("Max-Forwards", "70"),
                *(("Route", route) for route in dialog.route),
                ("From", own),
                ("To", dialog.invite.get("from")),
                ("Call-ID", dialog.invite.get("call-id")),
                ("CSeq", f"{dialog.cseq} {method}"),
                ("Contact", f"<{_uri(dialog.own)}>"),
                *(headers or []),
            ],
        )
        self.outbox.append((request, dialog.peer))
        self._sent[branch] = _Sent(request, dialog.peer, dialog, now_s + T1_S, now_s + TIMEOUT_S)

    def _forget(self, dialog: Dialog) -> bool:
        """Know a call no longer; False where it was not known."""
        self._sent.pop(dialog.tag, None)
        return self._dialogs.pop(dialog.key, None) is not None

    def _forget_answered(self, now_s: float) -> None:
        while self._answered:
            key, (_, _, until_s) = next(iter(self._answered.items()))
            if until_s > now_s and len(self._answered) <= MOST_TRANSACTIONS:
                return
            del self._answered[key]


def _uri(own: Place) -> str:
    host = f"[{own[0]}]" if ":" in own[0] else own[0]
    return f"sip:rejoinder@{host}:{own[1]}"


def _told_key(message: Message) -> str:
    """The key in an INFO, "" where there is none."""
    kind = message.get("content-type").partition(";")[0].strip().lower()
    text = message.body.decode("ascii", "replace")
    if kind == "application/dtmf-relay":
        lines = [line.partition("=") for line in text.splitlines()]
        text = next((value for name, _, value in lines if name.strip().lower() == "signal"), "")
    elif kind != "application/dtmf":
        return ""
    return text.strip()[:1]
