"""SIPp, which tests telephone exchanges, calls many times at once."""

import asyncio
import shutil
from pathlib import Path

import pytest

from benchmarks.telephone import telephone
from tests.serve.telephony.test_sip import HUM, serving

pytestmark = pytest.mark.skipif(shutil.which("sipp") is None, reason="needs SIPp: apt-get install sip-tester")

MALFORMED = """<?xml version="1.0" encoding="ISO-8859-1"?>
<scenario name="malformed">
  <send><![CDATA[
    INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:sipp@[local_ip]>;tag=[call_number]
    To
    Call-ID: [call_id]
    CSeq: -1 INVITE
    Content-Type: application/sdp
    Content-Length: 99999

    v=0
  ]]></send>
  <send><![CDATA[
    BYE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:sipp@[local_ip]>;tag=[call_number]
    To: <sip:[service]@[remote_ip]>;tag=nobody
    Call-ID: [call_id]
    CSeq: 2 BYE
    Content-Length: 0

  ]]></send>
  <recv response="481"/>
</scenario>
"""


async def sipp(port: int, folder: Path, *arguments: str) -> int:
    """Run SIPp to its end: 0 when every call went as it should."""
    program = await asyncio.create_subprocess_exec(
        *("sipp", f"127.0.0.1:{port}", "-i", "127.0.0.1", "-nostdin", "-timeout", "25s", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await program.wait()


async def test_calls_are_answered_and_ended(tmp_path: Path) -> None:
    async with serving(n_most=20) as server:
        assert await sipp(server.port, tmp_path, "-sn", "uac", "-m", "40", "-r", "40", "-l", "10", "-d", "200") == 0
        await server.notes.until(lambda notes: notes.n_closed == 40)


async def test_a_flood_of_malformed_messages_disturbs_no_call(tmp_path: Path) -> None:
    scenario = tmp_path / "malformed.xml"
    scenario.write_text(MALFORMED)
    async with serving() as server, telephone(server.port) as phone:
        flood = asyncio.create_task(sipp(server.port, tmp_path, "-sf", str(scenario), "-m", "400", "-r", "400"))
        await phone.say(HUM)
        await server.notes.until(lambda notes: bool(notes.events))
        assert await flood == 0
        assert " 200 " in (await phone.hang_up()).splitlines()[0]
