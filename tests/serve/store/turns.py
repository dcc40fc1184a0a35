"""Turns as the tests of the store keep them, and a PostgreSQL of their own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rejoinder.serve.store.turns import Turn

AT = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)

TURN = Turn(
    call="call_a",
    door="realtime",
    owner="kiosk",
    n=1,
    at=AT,
    text="when are you open",
    text_confidence=0.9,
    intent="hours",
    confidence=0.4,
    slots={"size": "large"},
    source="classifier",
    reply="From seven to six.",
    failed=("synthesis",),
    timings_s={"recognize": 0.02},
)


def turn(call: str = "call_a", n: int = 1, **values: Any) -> Turn:
    return replace(TURN, call=call, n=n, **values)


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's server programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return Path(program).parent if program else None


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """The URL of a server that runs while the block does. It refuses to run as root, so root lets `postgres` run it."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="rejoinder-postgres-"))
    try:
        if user:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        data = folder / "data"

        def run(program: str, *arguments: str) -> None:
            command = [*user, str(programs / program), "-D", str(data), *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=100)

        run("initdb", "-U", "shop", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://shop@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
