"""Chromium with a recording as its microphone, what a page in it complains of, and a wire that can be cut."""

import json
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rejoinder import audio
from rejoinder.events import Samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright, WebSocket

CAFE = Path(__file__).parents[3] / "examples" / "cafe"
RECORDING = CAFE / "recordings" / "27c0f514-2435-470f-8d39-04c7a4ef7d72.flac"

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
ALLOWED = "--use-fake-ui-for-media-stream"
FAKE_DEVICE = "--use-fake-device-for-media-stream"

WAIT_MS = 20_000


def chromium() -> str:
    """Where it is; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs Chromium to open the page: apt-get install chromium")
    return found


def microphone(path: Path, *pieces: Samples | float) -> str:
    """The flags of a microphone that gives these recordings and seconds of silence, once."""
    samples = [np.zeros(round(p * audio.SAMPLE_RATE), np.float32) if isinstance(p, float) else p for p in pieces]
    audio.save(path, np.concatenate(samples))
    return f"--use-file-for-fake-audio-capture={path}%noloop"


@contextmanager
def browser(playwright: "Playwright", *flags: str) -> Iterator["Browser"]:
    """A browser with these flags besides the usual ones."""
    opened = playwright.chromium.launch(executable_path=chromium(), headless=True, args=[*FLAGS, *flags])
    try:
        yield opened
    finally:
        opened.close()


@dataclass
class Visit:
    """One page that was opened, and all that can be seen of it from outside."""

    page: "Page"
    complaints: list[str] = field(default_factory=list)
    """What it wrote to the console, and what it asked of other servers."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    """Messages to the server."""
    heard: list[bytes] = field(default_factory=list)
    """Frames of audio to the server."""

    def press(self, name: str) -> None:
        """Press a button by its name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def type(self, text: str) -> None:
        """Type a turn."""
        self.page.get_by_label("Type instead of speaking").fill(text)
        self.press("Send")

    def until_state(self, title: str) -> None:
        """Wait for a state, by what the page says."""
        self.page.locator("#state", has_text=title).wait_for(timeout=WAIT_MS)

    def until_text(self, selector: str, text: str) -> None:
        """Wait for a text somewhere."""
        self.page.locator(selector, has_text=text).first.wait_for(timeout=WAIT_MS)

    def until_played(self) -> int:
        """Wait until the page has told that it played a reply whole; its number."""
        while not (told := [message["reply"] for message in self.sent if message["type"] == "played"]):
            self.page.wait_for_timeout(50)
        return int(told[-1])


def visit(
    browser: "Browser", url: str, *, width: int = 1280, height: int = 800, scheme: Any = "light", **options: Any
) -> Visit:
    """Open the page."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
    page.set_default_timeout(WAIT_MS)
    visited = Visit(page)
    page.on("console", lambda message: visited.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: visited.complaints.append(f"error: {error}"))

    def watch_request(asked: str) -> None:
        if not asked.startswith((url, url.replace("http", "ws", 1))):
            visited.complaints.append(f"asks for {asked[:200]}")

    def watch_frame(payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            visited.heard.append(payload)
        else:
            visited.sent.append(json.loads(payload))

    def watch_socket(socket: "WebSocket") -> None:
        watch_request(socket.url)
        socket.on("framesent", watch_frame)

    page.on("request", lambda request: watch_request(request.url))
    page.on("websocket", watch_socket)
    page.goto(url)
    return visited


class Wire:
    """Passes connections on to a server, until it is cut; whoever then calls is turned away."""

    def __init__(self, url: str) -> None:
        self.lead_to(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._is_cut = False
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def lead_to(self, url: str) -> None:
        """Pass connections on to this server from now on."""
        self._to = ("127.0.0.1", int(url.rsplit(":", 1)[1]))

    def cut(self) -> None:
        """All connections end, and there are no others."""
        self._is_cut = True
        self._hang_up(self._open)

    def mend(self) -> None:
        """From now on it works again."""
        self._is_cut = False

    def close(self) -> None:
        """For good."""
        self.cut()
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        self._hang_up((source, sink))

    def _hang_up(self, sockets: Sequence[socket.socket]) -> None:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
