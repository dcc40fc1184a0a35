"""Live calls: what every door of the server shares, so that each caller is let in, counted and watched alike."""

import ipaddress
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from rejoinder.assistant import Assistant
from rejoinder.dialogue import DialogueState
from rejoinder.events import Event, Samples, Watcher
from rejoinder.pipeline import Pipeline
from rejoinder.serve.metrics import Metrics, places
from rejoinder.serve.security import Admission, Keys
from rejoinder.serve.settings import Settings
from rejoinder.serve.states import Keeper, MemoryStates, States
from rejoinder.session import Session, SessionOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallInfo:
    """What is known of a call before anything is said."""

    id: str
    """Shown in the log, in traces and in the store."""
    door: str
    """Which protocol it came by: "page", "realtime", "webrtc", "wyoming", "riva", "twilio" or "sip"."""
    owner: str | None = None
    """Whom its API key was given to, where keys are asked for."""


WatchCall = Callable[[CallInfo], Watcher]
"""Begins to watch a call."""


class Call:
    """One live call, to be served by the door that answered it."""

    def __init__(self, info: CallInfo, assistant: Assistant, watcher: Watcher, states: States) -> None:
        self.info = info
        self.assistant = assistant
        self._watcher = watcher
        self._states = states

    def session(
        self,
        *,
        options: SessionOptions | None = None,
        state: DialogueState | None = None,
        pipeline: Pipeline | None = None,
    ) -> Session:
        """A session of this call; see `Assistant.session`. A call may have several, one after the other."""
        return self.assistant.session(options=options, state=state, pipeline=pipeline, watcher=self._watcher)

    async def keeper(self, resume: str | None, *, new: str) -> Keeper:
        """Keeps where this call stands: by the token of the owner's lost call that it resumes, or by a `new` one."""
        if resume:
            keeper = Keeper(self._states, resume, owner=self.info.owner, call=self.info.id)
            if await keeper.resume():
                return keeper
        return Keeper(self._states, new, owner=self.info.owner, call=self.info.id)


class Calls:
    """The live calls of one server."""

    def __init__(
        self,
        assistant: Assistant,
        settings: Settings,
        *,
        keys: Keys | None = None,
        admission: Admission | None = None,
        metrics: Metrics | None = None,
        watchers: Sequence[WatchCall] = (),
        states: States | None = None,
    ) -> None:
        self.assistant = assistant
        self.settings = settings
        self.keys = keys
        self.admission = admission or Admission(settings.max_sessions, "calls")
        self.metrics = metrics or Metrics()
        self.states = MemoryStates() if states is None else states
        self._watchers = (self.metrics.watch_call, *watchers)

    @contextmanager
    def answer(self, door: str, *, admit: bool = True, owner: str | None = None) -> Iterator[Call]:
        """A call that lasts as long as the block; raises `RefusedError` when there is no room for it.

        `admit` is False for a WebSocket: the entrance has counted it before it was accepted.
        """
        if admit:
            with self.admission.enter(), self.answer(door, admit=False, owner=owner) as call:
                yield call
            return
        info = CallInfo(f"call_{uuid4().hex[:16]}", door, owner)
        watcher = _Watchers(tuple(watch(info) for watch in self._watchers))
        began = time.monotonic()
        logger.info("call answered", extra=_shown(info))
        try:
            yield Call(info, self.assistant, watcher, self.states)
        finally:
            watcher.closed()
            seconds = round(time.monotonic() - began, 1)
            logger.info("call ended", extra={**_shown(info), "seconds": seconds})

    def trusts(self, address: str) -> bool:
        """Whether an address may use the doors whose protocols have no keys."""
        with suppress(ValueError):
            ip = ipaddress.ip_address(address)
            plain = getattr(ip, "ipv4_mapped", None) or ip
            return plain.is_loopback or any(plain in network for network in self.settings.trusted)
        return False


class _Watchers:
    """All that watch one call. One that fails is dropped: the caller must not notice."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)

    def event(self, event: Event) -> None:
        self._tell(lambda watcher: watcher.event(event))

    def audio(self, frame: Samples) -> None:
        self._tell(lambda watcher: watcher.audio(frame))

    def closed(self) -> None:
        self._tell(lambda watcher: watcher.closed())

    def _tell(self, tell: Callable[[Watcher], None]) -> None:
        for watcher in self._watchers:
            try:
                tell(watcher)
            except Exception as error:
                self._watchers = tuple(other for other in self._watchers if other is not watcher)
                what = {"watcher": type(watcher).__name__, "error": type(error).__name__, "at": places(error)}
                logger.error("a call is not watched any more", extra=what)


def _shown(info: CallInfo) -> Mapping[str, str]:
    return {"call": info.id, "door": info.door} | ({"key": info.owner} if info.owner else {})
