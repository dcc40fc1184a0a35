"""What every request passes before the app sees it: origin, key, rate, room, the size of its body; then the log."""

import asyncio
import json
import logging
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rejoinder.serve.api_errors import failure, refusal
from rejoinder.serve.metrics import Metrics, places
from rejoinder.serve.page import router as page
from rejoinder.serve.secrets import Secrets, opens_call
from rejoinder.serve.security import Admission, Keys, RateLimit, RefusedError, authorize, check_origin
from rejoinder.serve.settings import Settings
from rejoinder.serve.store import review

OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that need no key and are not counted: what watches over the server calls them all the time."""

FILES = page.OPEN | review.OPEN
"""Paths that need no key: the files of the pages, which a browser can send none for."""

SIGNED = frozenset({"/twilio", "/twilio/voice", "/twilio/ended"})
"""Paths whose door checks a signature in place of a key, an origin and the name of this machine."""

BYTES_PER_MB = 1_000_000

logger = logging.getLogger(__name__)


class Entrance:
    """Raw ASGI, so that responses stream through it untouched."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        keys: Keys | None,
        secrets: Secrets,
        metrics: Metrics,
        requests: Admission,
        sessions: Admission,
    ) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._secrets = secrets
        self._metrics = metrics
        self._requests = requests
        self._sessions = sessions
        self._rate = RateLimit(settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it in, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        request_id = f"req_{uuid4().hex}"
        answer.headers.append((b"x-request-id", request_id.encode()))
        began = time.perf_counter()
        error: Exception | None = None
        try:
            with self._let_in(scope):
                if scope["type"] == "websocket":
                    await self._call(scope, receive, answer)
                else:
                    await self._app(scope, self._limited(receive), answer)
        except RefusedError as refused:
            self._metrics.refused(refused.code)
            await _refuse(scope, answer, refused)
        except Exception as problem:
            error = problem
            if answer.status is None:
                await _respond(scope, answer, 500, failure(problem), {})
            elif scope["type"] == "http" and not answer.ended:
                raise  # the server must cut the connection, or half an answer looks whole
        finally:
            self._note(scope, answer.status, time.perf_counter() - began, request_id, error)

    async def _call(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        """A call, for as long as one may take."""
        try:
            async with asyncio.timeout(self._settings.longest_call_s) as limit:
                await self._app(scope, receive, answer)
        except TimeoutError:
            if not limit.expired():
                raise
            await answer({"type": "websocket.close", "code": 1008, "reason": "no call may take longer"})

    def _let_in(self, scope: Scope) -> AbstractContextManager[None]:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] in OPEN:
            return nullcontext()
        address = scope["client"][0] if scope.get("client") else "unknown"
        scope["owner"] = None  # whom the key was given to, for the doors
        if scope["path"] not in SIGNED:
            check_origin(headers, self._settings)
        if scope["path"] not in SIGNED | FILES:
            try:
                scope["owner"] = authorize(
                    headers,
                    scope.get("subprotocols", ()),
                    keys=self._keys,
                    secrets=self._secrets if opens_call(scope) else None,
                )
            except RefusedError:
                self._rate.take(address)
                raise
        self._rate.take(scope["owner"] or address)
        if scope["type"] == "websocket":
            return self._sessions.enter()
        if scope["method"] == "POST":
            _check_length(headers, self._settings)
            return self._requests.enter()
        return nullcontext()

    def _limited(self, receive: Receive) -> Receive:
        """`receive` that gives up on a body that is too large or too slow."""
        n_most = round(self._settings.max_body_mb * BYTES_PER_MB)
        ends = asyncio.get_running_loop().time() + self._settings.body_timeout_s
        n_bytes = 0
        is_whole = False

        async def limited() -> Message:
            nonlocal n_bytes, is_whole
            if is_whole:
                return await receive()  # whether the client is still there
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError:
                # FastAPI lets this kind of exception pass while it reads a body, and no other.
                raise HTTPException(408, "the request body took too long to arrive") from None
            n_bytes += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if n_bytes > n_most:
                raise HTTPException(413, _too_large(self._settings))
            return message

        return limited

    def _note(self, scope: Scope, status: int | None, seconds: float, request_id: str, error: Exception | None) -> None:
        """Count and log a request: never its query, headers or body, for they say who spoke and what."""
        route = getattr(scope.get("route"), "path", "other") if scope["path"] not in OPEN else scope["path"]
        status = status or 500
        if scope["type"] == "http" and scope["path"] not in OPEN:
            self._metrics.request(route, status, seconds)
        problem = {"error": type(error).__name__, "at": places(error)} if error else {}
        level = logging.ERROR if error else logging.DEBUG if scope["path"] in OPEN else logging.INFO
        logger.log(
            level,
            "request" if scope["type"] == "http" else "call",
            extra={
                "request_id": request_id,
                "route": route,
                "status": status,
                "ms": round(1000 * seconds, 1),
                **problem,
            },
        )


class _Answer:
    """`send` that adds headers and remembers what was answered."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.headers: list[tuple[bytes, bytes]] = []
        self.status: int | None = None
        self.ended = False

    async def __call__(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                self.status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
            case "websocket.accept":
                self.status = 101
                message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
            case "websocket.close" if self.status is None:
                self.status = 403
            case "http.response.body":
                self.ended = not message.get("more_body", False)
        await self._send(message)


def _check_length(headers: dict[str, str], settings: Settings) -> None:
    """Refuse a body that says itself that it is too large, before any of it is read."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > settings.max_body_mb * BYTES_PER_MB:
        raise RefusedError(413, "body_too_large", _too_large(settings))


def _too_large(settings: Settings) -> str:
    return f"the request body is larger than {settings.max_body_mb:g} MB"


async def _refuse(scope: Scope, send: Send, refused: RefusedError) -> None:
    await _respond(scope, send, *refusal(refused))


async def _respond(scope: Scope, send: Send, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    start = {"type": f"{prefix}.response.start", "status": status}
    await send({**start, "headers": [(b"content-type", b"application/json"), *raw]})
    await send({"type": f"{prefix}.response.body", "body": json.dumps(body).encode()})
