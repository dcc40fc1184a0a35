"""SIP without a socket: messages, offers, and a call as the agent sees it, on a clock of the test's own."""

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.serve.telephony import sdp
from rejoinder.serve.telephony.sip_agent import (
    TIMEOUT_S,
    Agent,
    Dialog,
    Ended,
    Invited,
    KeyTold,
    Reinvited,
)
from rejoinder.serve.telephony.sip_message import Message, SipError, address, parameter, parse, split_list

PEER = ("192.0.2.7", 5070)
OWN = ("192.0.2.1", 5060)
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\n"


def request(method: str, n: int = 1, *, tag: str = "", body: bytes = b"", **headers: str) -> bytes:
    """A caller's request; `headers` replace or, with "", remove those that it has."""
    content = "application/sdp" if body and "Content_Type" not in headers else ""
    lines = {
        "Via": f"SIP/2.0/UDP 10.0.0.9:5099;branch=z9hG4bK{n}{'' if method in {'CANCEL', 'ACK'} else method};rport",
        "From": '"A, <b>" <sip:a@example.com>;tag=a',
        "To": "<sip:shop@example.com>" + (f";tag={tag}" if tag else ""),
        "Call-ID": "1@example.com",
        "CSeq": f"{n} {method}",
        "Contact": "<sip:a@10.0.0.9:5099;transport=udp>",
        "Record-Route": "<sip:p1.example.com;lr>, <sip:p2.example.com;lr>",
        "Content-Type": content,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = [f"{method} sip:shop@192.0.2.1 SIP/2.0", *(f"{name}: {value}" for name, value in lines.items() if value)]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Caller:
    """An agent and what it sent."""

    def __init__(self) -> None:
        ids = itertools.count()
        self.agent = Agent(lambda: f"id{next(ids)}")

    def sent(self) -> list[Message]:
        messages = [parse(data) for data, _ in self.agent.outbox]
        self.agent.outbox.clear()
        return messages

    def call(self, now_s: float = 0.0) -> Dialog:
        invited = self.agent.receive(request("INVITE", body=SDP), PEER, now_s)
        assert isinstance(invited, Invited)
        return self.agent.answer(invited, b"v=0\r\n", OWN, now_s)

    def status(self, data: bytes, now_s: float = 0.0) -> int:
        assert self.agent.receive(data, PEER, now_s) is None
        (response,) = self.sent()
        return response.status


def test_a_call_from_its_invitation_to_its_end() -> None:
    caller = Caller()
    dialog = caller.call()
    (ok,) = caller.sent()
    assert (ok.status, ok.body, ok.get("to")) == (200, b"v=0\r\n", "<sip:shop@example.com>;tag=id0")
    assert ok.via == "SIP/2.0/UDP 10.0.0.9:5099;branch=z9hG4bK1INVITE;received=192.0.2.7;rport=5070"
    assert ok.all("record-route") == ("<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>")
    assert caller.agent.receive(request("ACK", tag="id0"), PEER, 0.1) is None
    assert caller.agent.due_s is None
    assert caller.agent.receive(request("BYE", 2, tag="id0"), PEER, 9.0) == Ended(dialog)
    assert caller.sent()[0].status == 200
    assert caller.status(request("BYE", 3, tag="id0")) == 481
    caller.agent.hang_up(dialog, 9.0)
    assert caller.sent() == []


def test_what_was_lost_is_sent_again_and_nothing_done_twice() -> None:
    caller = Caller()
    caller.call()
    first = caller.sent()
    assert caller.agent.receive(request("INVITE", body=SDP), PEER, 0.1) is None
    assert caller.sent() == first
    times = []
    now_s = 0.0
    while now_s < TIMEOUT_S and (due_s := caller.agent.due_s) is not None and due_s < TIMEOUT_S:
        now_s = due_s
        assert caller.agent.tick(now_s) == []
        assert caller.sent() == first
        times.append(now_s)
    assert times == [0.5, 1.5, 3.5, 7.5, *(11.5 + 4 * n for n in range(6))]


def test_a_call_that_nobody_confirms_ends() -> None:
    caller = Caller()
    dialog = caller.call()
    caller.sent()
    assert caller.agent.tick(TIMEOUT_S - 0.1) == []
    caller.sent()
    assert caller.agent.tick(TIMEOUT_S) == [Ended(dialog)]
    assert [message.method for message in caller.sent()] == ["BYE"]


def test_hanging_up_takes_the_callers_way_back() -> None:
    caller = Caller()
    dialog = caller.call()
    caller.agent.receive(request("ACK", tag="id0"), PEER, 0.1)
    caller.sent()
    caller.agent.hang_up(dialog, 1.0)
    assert caller.agent.outbox[0][1] == PEER
    (bye,) = caller.sent()
    assert (bye.method, bye.uri) == ("BYE", "sip:a@10.0.0.9:5099;transport=udp")
    assert bye.all("route") == ("<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>")
    assert (bye.get("from"), bye.get("to")) == ("<sip:shop@example.com>;tag=id0", '"A, <b>" <sip:a@example.com>;tag=a')
    caller.agent.tick(1.5)
    assert len(caller.sent()) == 1
    kept = f"Via: {bye.via}\r\nFrom: {bye.get('from')}\r\nTo: {bye.get('to')}\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n\r\n"
    caller.agent.receive(f"SIP/2.0 200 OK\r\n{kept}".encode(), PEER, 1.6)
    assert caller.agent.due_s is None


def test_a_transfer_refers_the_caller() -> None:
    caller = Caller()
    caller.agent.transfer(caller.call(), "sip:desk@example.com", 1.0)
    refer = caller.sent()[1]
    assert (refer.method, refer.get("refer-to")) == ("REFER", "<sip:desk@example.com>")


def test_a_call_changes_and_tells_of_keys() -> None:
    caller = Caller()
    dialog = caller.call()
    caller.sent()
    again = caller.agent.receive(request("INVITE", 2, tag="id0", body=SDP), PEER, 1.0)
    assert isinstance(again, Reinvited)
    assert again.dialog is dialog
    caller.agent.refuse(again, 488, 1.0)
    (refused,) = caller.sent()
    assert (refused.status, parameter(refused.get("to"), "tag")) == (488, "id0")
    for body, kind in ((b"Signal= 5\r\nDuration=160", "application/dtmf-relay"), (b"5", "application/dtmf")):
        n = 3 + len(body)
        told = caller.agent.receive(request("INFO", n, tag="id0", body=body, Content_Type=kind), PEER, 2.0)
        assert told == KeyTold(dialog, "5")
    caller.sent()
    assert caller.status(request("INFO", 90, tag="id0", body=b"x", Content_Type="text/plain")) == 200
    assert caller.status(request("INFO", 1, tag="id0")) == 500  # an older number than the call's last
    assert caller.status(request("INVITE", 91, tag="other", body=SDP)) == 481


def test_what_is_not_done_is_said() -> None:
    caller = Caller()
    assert caller.status(request("OPTIONS")) == 200
    assert caller.status(request("REGISTER")) == 405
    assert caller.status(request("INV")) == 405
    assert caller.status(request("CANCEL")) == 481
    assert caller.status(request("INVITE", 2, body=SDP, Require="100rel")) == 420
    assert caller.status(request("INVITE", 3)) == 488
    assert caller.status(request("INVITE", 4, body=b"x", Content_Type="text/plain")) == 415
    assert caller.status(request("INVITE", 5, body=SDP, Contact="")) == 400
    invited = caller.agent.receive(request("INVITE", 6, body=SDP), PEER, 0.0)
    assert isinstance(invited, Invited)
    caller.agent.refuse(invited, 486, 0.0, retry_after_s=1)
    assert caller.sent()[0].get("retry-after") == "1"
    caller.call()
    caller.sent()
    assert caller.status(request("INVITE", 7, body=SDP)) == 482
    assert caller.status(request("CANCEL", 1, Via="SIP/2.0/UDP 10.0.0.9:5099;branch=z9hG4bK1INVITE;rport")) == 200
    assert caller.agent.receive(b"\r\n\r\n", PEER, 0.0) is None


def test_answers_go_where_requests_come_from() -> None:
    caller = Caller()
    for via, port in (("10.0.0.9:5099;branch=a", 5099), ("10.0.0.9;branch=b", 5060), ("x:99999;rport;branch=c", 5070)):
        caller.agent.receive(request("OPTIONS", Via=f"SIP/2.0/UDP {via}"), PEER, 0.0)
        assert caller.agent.outbox.pop()[1] == ("192.0.2.7", port)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"INVITE sip:a SIP/3.0\r\n\r\n",
        request("INVITE", Via=""),
        request("INVITE", Via="nonsense"),
        request("INVITE", CSeq="1 BYE"),
        request("INVITE", CSeq="x"),
        request("INVITE", X="a\rb"),
        request("INVITE").replace(b"Content-Length: 0", b"Content-Length: 7"),
        request("INVITE", X="a\r\nY: b" * 200),
        b" " + request("INVITE"),
    ],
)
def test_what_is_no_message_is_dropped(data: bytes) -> None:
    with pytest.raises(SipError):
        Agent(str).receive(data, PEER, 0.0)


def test_headers_are_read_as_the_standard_writes_them() -> None:
    assert split_list('"a, b" <sip:x,y>, <sip:z>') == ('"a, b" <sip:x,y>', "<sip:z>")
    assert address('"a <b>" <sip:c;lr>;tag=d') == "sip:c;lr"
    short = request("OPTIONS").replace(b"Via:", b"v :").replace(b"Call-ID", b"i").replace(b"To:", b"To:\r\n ")
    assert parse(short).get("call-id") == "1@example.com"


PIECES = st.sampled_from(
    [line for data in (request("INVITE", body=SDP), request("BYE", tag="id0")) for line in data.split(b"\r\n")]
)


@given(st.lists(st.lists(PIECES | st.binary(max_size=30), max_size=14).map(b"\r\n".join), max_size=6))
def test_whatever_comes_is_followed_or_dropped(messages: list[bytes]) -> None:
    caller = Caller()
    caller.call()
    for n, data in enumerate([*messages, *(request("INVITE", 9, body=SDP)[: len(data) * 7] for data in messages)]):
        with suppress(SipError):
            event = caller.agent.receive(data, PEER, n)
            if isinstance(event, Invited | Reinvited):
                caller.agent.answer(event, b"", OWN, n)
        caller.agent.tick(n)
    for sent in caller.sent():
        assert sent.status or sent.method


def test_the_first_law_offered_is_taken_and_everything_answered() -> None:
    offer = sdp.read(
        b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\na=sendonly\r\n"
        b"m=video 4002 RTP/AVP 99\r\nm=audio 4000 RTP/AVP 96 8 0 97\r\nc=IN IP4 10.0.0.2\r\n"
        b"a=rtpmap:97 telephone-event/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    )
    assert (offer.host, offer.port, offer.payload_type, offer.event_type) == ("10.0.0.2", 4000, 8, 97)
    assert offer.held
    answer = offer.answer("10.0.0.9", 16384, 2).decode()
    assert "m=video 0 RTP/AVP 99\r\nm=audio 16384 RTP/AVP 8 97\r\na=rtpmap:8 PCMA/8000\r\n" in answer
    assert answer.endswith("a=ptime:20\r\na=recvonly\r\n")
    assert sdp.read(answer.encode().replace(b"m=video 0 RTP/AVP 99\r\n", b"")).payload_type == 8


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("m=audio 4000 RTP/AVP 9", "neither PCMU nor PCMA"),
        ("m=audio 4000 RTP/SAVP 0", "no audio"),
        ("m=audio 0 RTP/AVP 0", "no audio"),
        ("m=audio", "cannot be read"),
        ("m=audio 4000 RTP/AVP 0\na=rtpmap:0 PCMU/16000", "8 kHz"),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 evil.example.com", "no IP address"),
    ],
)
def test_an_offer_that_cannot_be_taken_is_refused(line: str, said: str) -> None:
    with pytest.raises(sdp.SdpError, match=said):
        sdp.read(f"v=0\nc=IN IP4 10.0.0.1\n{line}\n".encode())


SDP_LINES = st.sampled_from(
    [
        "v=0",
        "c=IN IP4 10.0.0.1",
        "c=IN IP6 ::1",
        "m=audio 4000 RTP/AVP 0 8 ² 101",
        "a=rtpmap:101 telephone-event/8000",
        "a=inactive",
        "m=x",
    ]
)


@given(st.lists(SDP_LINES | st.text(max_size=20), max_size=12))
def test_whatever_is_offered_is_taken_or_refused(lines: list[str]) -> None:
    with suppress(sdp.SdpError):
        offer = sdp.read("\r\n".join(lines).encode())
        assert offer.answer("10.0.0.9", 1, 1)
        assert offer.held in {True, False}
