"""Memory and the first answer of a fresh process, each measured in processes of their own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.corpus import CAFE, ROOT, cafe

N_STARTS = 5
N_SESSIONS = 100

_MEMORY = """
import asyncio, gc, json
from pathlib import Path
import numpy as np
from rejoinder import Assistant

def resident_mb():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20

assistant = Assistant.load({domain!r})
assistant.hear({audio!r})
loaded = resident_mb()

async def open_sessions():
    sessions = [assistant.session() for _ in range({n})]
    for session in sessions:
        await session.__aenter__()
        for _ in range(50):
            await session.feed(np.zeros(320, np.float32))
    return (resident_mb() - loaded) / {n}

print(json.dumps([loaded, asyncio.run(open_sessions())]))
"""


def memory() -> dict[str, float]:
    """Resident megabytes with all models loaded and one question answered, and of each further idle session."""
    code = _MEMORY.format(domain=str(CAFE), audio=str(cafe()[0].path), n=N_SESSIONS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, session = json.loads(done.stdout.splitlines()[-1])
    return {"rss_mb": round(loaded, 1), "session_mb": round(session, 3)}


def cold_start() -> dict[str, float]:
    """Seconds from starting a process to its spoken question answered: the median, and with nothing cached yet."""
    command = [sys.executable, "-m", "rejoinder", "ask", str(CAFE), "--audio", str(cafe()[0].path), "--json"]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "REJOINDER_CACHE": cache}
        first_s, *again_s = [_time(command, environment) for _ in range(N_STARTS + 1)]
    return {"cold_start_s": round(sorted(again_s)[N_STARTS // 2], 2), "cold_start_nothing_cached_s": round(first_s, 2)}


def _time(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=Path(ROOT))
    return time.perf_counter() - started
