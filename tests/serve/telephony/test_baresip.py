"""A real telephone program dials the real models, speaks, presses keys and hangs up."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from benchmarks.corpus import CAFE, cafe
from rejoinder import Assistant, audio
from rejoinder.audio import SAMPLE_RATE
from rejoinder.events import ReplyStarted, TurnEnded
from rejoinder.serve.calls import Calls
from rejoinder.serve.settings import Settings
from rejoinder.serve.telephony.sip import serve_sip
from tests.serve.telephony.test_sip import Notes

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(shutil.which("baresip") is None, reason="needs baresip: apt-get install baresip-core"),
]

CONFIG = """
poll_method epoll
sip_listen 127.0.0.1:0
net_interface 127.0.0.1
audio_source aufile,{folder}/speech.wav
audio_player aufile,{folder}/played.wav
audio_alert nothing
module_path {modules}
module stdio.so
module g711.so
module aufile.so
module sndfile.so
module_tmp account.so
module_app menu.so
snd_path {folder}
"""


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    loaded = Assistant.load(CAFE)
    yield loaded
    loaded.close()


def modules() -> Path:
    """Where Debian, on any architecture, and others keep baresip's modules."""
    found = [folder for root in ("/usr/lib", "/usr/local/lib") for folder in Path(root).glob("**/baresip/modules")]
    return found[0]


async def test_baresip_orders_and_hears_the_answer(assistant: Assistant, tmp_path: Path) -> None:
    order = min(cafe(), key=lambda recording: len(recording.samples))
    expected = assistant.hear(order.samples)
    greeting_s, answer_s = 4.0, 7.0
    pieces = [np.zeros(round(greeting_s * SAMPLE_RATE), np.float32), order.samples]
    speech = np.concatenate([*pieces, np.zeros(60 * SAMPLE_RATE, np.float32)])
    audio.save(tmp_path / "speech.wav", audio.resample(speech, SAMPLE_RATE, 8000), 8000)
    (tmp_path / "config").write_text(CONFIG.format(folder=tmp_path, modules=modules()))
    (tmp_path / "accounts").write_text("<sip:caller@127.0.0.1>;regint=0\n")
    notes = Notes()
    calls = Calls(assistant, Settings(), watchers=[lambda _: notes])
    async with asyncio.timeout(60), serve_sip(calls, "127.0.0.1", 0) as port:
        dial = f"/dial sip:cafe@127.0.0.1:{port}"
        program = await asyncio.create_subprocess_exec(
            *("baresip", "-f", str(tmp_path), "-e", dial),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await notes.until(lambda notes: len(notes.of(ReplyStarted)) == 2)  # the greeting and the answer
            await asyncio.sleep(answer_s)
            assert program.stdin is not None
            program.stdin.write(b"42#")
            await notes.until(lambda notes: notes.of(TurnEnded)[-1].text == "42")
            program.stdin.write(b"b")  # hangs up
            await notes.until(lambda notes: notes.n_closed == 1)
        finally:
            with suppress(ProcessLookupError):
                os.kill(program.pid, signal.SIGTERM)
            await program.wait()
    assert notes.of(TurnEnded)[0].text.lower().strip(".?") == expected.transcript.lower().strip(".?")
    (recorded,) = tmp_path.glob("dump-*-dec.wav")
    heard = assistant.conversation().transcribe(audio.load(recorded)).text.lower()
    words = {word.strip(",.?").lower() for word in expected.text.split() if word.isalpha()}
    assert len(words & {word.strip(",.?") for word in heard.split()}) >= 0.6 * len(words), (heard, expected.text)
