"""The clients that people build with, each in a process of its own: one order, one interruption, one tool call.

Their dependencies clash with ours, so they have a folder of their own, which `make clients` makes and
REJOINDER_CLIENTS names: a virtual environment `python` and a `node_modules`.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rejoinder.asr.recognizer import Bias, Transcript
from rejoinder.audio import resample, to_int16
from rejoinder.events import Samples
from tests.fakes import FakeRecognizer, FakeSynthesizer, fake_pipeline, speak
from tests.serve.realtime.serving import FakeAssistant, serving

SCRIPTS = Path(__file__).with_name("clients")
FOLDER = Path(os.environ.get("REJOINDER_CLIENTS", Path.home() / ".cache" / "rejoinder" / "clients"))
PYTHON = FOLDER / "python" / "bin" / "python"
LOUD = 2.5
"""How much louder "yes" is than the order: what `_ByLoudness` tells them apart by."""


class _ByLoudness(FakeRecognizer):
    def transcribe(
        self, samples: Samples, *, bias: Bias | None = None, draft: Transcript | None = None, n_best: int = 1
    ) -> Transcript:
        super().transcribe(samples, bias=bias, draft=draft, n_best=n_best)
        return Transcript("yes" if np.abs(samples).max() > 0.1 * LOUD else "a latte", confidence=0.9)


class _Slow(FakeSynthesizer):
    def synthesize(self, text: str) -> Iterator[Samples]:
        for clause in super().synthesize(text):
            yield np.tile(clause, 3)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    assistant = FakeAssistant(fake_pipeline(recognizer=_ByLoudness(), synthesizer=_Slow()))
    async with serving(assistant) as port:
        yield port
    assistant.close()


@pytest.fixture
def recordings(tmp_path: Path) -> tuple[str, str]:
    """The files of "a latte" and "yes": 16-bit PCM at 24 kHz."""
    for name, loudness in (("order", 1.0), ("yes", LOUD + 0.5)):
        samples = resample(loudness * speak("one two three four"), 16_000, 24_000)
        (tmp_path / name).write_bytes(to_int16(samples).tobytes())
    return str(tmp_path / "order"), str(tmp_path / "yes")


async def run(*command: str, **environment: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, **environment}
    )
    try:
        out, complaints = await asyncio.wait_for(process.communicate(), 110)
    finally:
        if process.returncode is None:
            process.kill()
    told = [line for line in out.decode().splitlines() if line.startswith("{")]
    assert told, complaints.decode()[-2000:]
    return dict(json.loads(told[-1]))


def check(told: dict[str, Any]) -> None:
    assert told["errors"] == []
    assert told["arguments"]["drink"] == "latte"
    assert told["interrupted"]
    assert "Your order number is 77." in " ".join(told["said"])


async def test_openai_agents(port: int, recordings: tuple[str, str]) -> None:
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "@openai" / "agents-realtime").is_dir():
        pytest.skip("needs node and @openai/agents-realtime; type: make clients")
    url = f"ws://127.0.0.1:{port}/v1/realtime"
    check(await run(node, str(SCRIPTS / "agents.mjs"), url, *recordings, AGENTS_FOLDER=str(FOLDER)))


@pytest.mark.parametrize(
    ("script", "package", "url"),
    [
        ("pipecat_client.py", "pipecat", "ws://127.0.0.1:{}/v1/realtime"),
        ("livekit_client.py", "livekit/plugins/openai", "http://127.0.0.1:{}/v1"),
    ],
)
async def test_frameworks(port: int, recordings: tuple[str, str], script: str, package: str, url: str) -> None:
    if not list(FOLDER.glob(f"python/lib/python*/site-packages/{package}")):
        pytest.skip(f"needs {package} in {FOLDER}; type: make clients")
    check(await run(str(PYTHON), str(SCRIPTS / script), url.format(port), *recordings))
