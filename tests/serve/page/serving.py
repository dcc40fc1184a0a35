"""A server of the page on loopback, with fake stages that understand any recording, and a page without a browser."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from rejoinder.audio import frames, to_int16
from rejoinder.events import Samples, Understanding
from rejoinder.serve.page.messages import Message
from rejoinder.vad import CHUNK_SAMPLES
from tests.fakes import FakeActions, FakeUnderstander, fake_pipeline, meanings
from tests.serve.realtime.serving import FakeAssistant, SureRecognizer


def assistant(actions: FakeActions | None = None) -> FakeAssistant:
    """The cafe in miniature, to which everybody says "when are you open"; who types may also say "bye"."""
    known = {**meanings(), "bye": Understanding("bye", "goodbye", 1.0, source="command")}
    understander, actions = FakeUnderstander(known), actions or FakeActions()
    return FakeAssistant(fake_pipeline(recognizer=SureRecognizer(), understander=understander, actions=actions))


@dataclass
class Page:
    """What a page does on its WebSocket."""

    socket: Connection
    messages: list[Message] = field(default_factory=list)
    audio: dict[int, list[NDArray[np.int16]]] = field(default_factory=dict)

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def say(self, samples: Samples) -> None:
        """Send audio, as fast as it goes."""
        for frame in frames(samples, CHUNK_SAMPLES):
            self.socket.send(to_int16(frame).astype("<i2").tobytes())

    def until(self, kind: str) -> Message:
        """Take what comes up to the next message of this type."""
        while True:
            received = self.socket.recv(60)
            if isinstance(received, bytes):
                (reply,) = struct.unpack_from("<I", received)
                self.audio.setdefault(reply, []).append(np.frombuffer(received, "<i2", offset=4))
                continue
            message: Message = json.loads(received)
            self.messages.append(message)
            if message["type"] == kind:
                return message

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]


@contextmanager
def page(url: str, *, key: str | None = None, **hello: Any) -> Iterator[Page]:
    """A page that has said hello."""
    offered: Any = ["rejoinder", *([f"openai-insecure-api-key.{key}"] if key else [])]
    address = url.replace("http", "ws", 1) + "/talk"
    # Browsers send no pings, and what is late on a busy machine is not lost.
    with connect(address, subprotocols=offered, close_timeout=1, ping_interval=None) as socket:
        opened = Page(socket)
        opened.send("hello", **hello)
        yield opened
