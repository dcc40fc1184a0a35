"""`POST /v1/realtime/calls`: a browser's offer in, an answer out, and the call behind it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from rejoinder.serve.api_errors import RESPONSES, ApiError
from rejoinder.serve.calls import Call, Calls
from rejoinder.serve.metrics import places
from rejoinder.serve.realtime.connection import RealtimeOptions
from rejoinder.serve.realtime.protocol import (
    ConversationSettings,
    RefusedError,
    TranscriptionSettings,
    opened,
)
from rejoinder.serve.secrets import Secrets
from rejoinder.serve.webrtc.peer import Peer

SDP = "application/sdp"

LONGEST_PART = 65_536
"""Bytes of an offer, and of the session that comes with it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Line:
    """A call under way."""

    peer: Peer
    owner: str | None
    task: "asyncio.Task[None]"


class WebRtc:
    """The calls by WebRTC of one server."""

    def __init__(self, calls: Calls, secrets: Secrets, *, options: RealtimeOptions | None = None) -> None:
        """`secrets` say what the calls of those begin with that came by one."""
        self._calls = calls
        self._secrets = secrets
        self._options = options
        self._lines: dict[str, _Line] = {}

    def router(self) -> APIRouter:
        """The routes; when the server ends, so do their calls. They expect the caller's name in `scope["owner"]`."""

        @asynccontextmanager
        async def lifespan(_: object) -> AsyncIterator[None]:
            yield
            await self.close()

        routes = APIRouter(lifespan=lifespan)
        offer = {
            "requestBody": {
                "required": True,
                "content": {
                    SDP: {"schema": {"type": "string"}},
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "properties": {"sdp": {"type": "string"}, "session": {"type": "string"}},
                            "required": ["sdp"],
                        }
                    },
                },
            }
        }
        routes.post(
            "/v1/realtime/calls",
            status_code=201,
            summary="Call by WebRTC",
            response_class=Response,
            responses={201: {"description": "The answer to the offer", "content": {SDP: {}}}, **RESPONSES},
            openapi_extra=offer,
        )(self.answer)
        routes.post(
            "/v1/realtime/calls/{call_id}/hangup", summary="Hang up", response_class=Response, responses=dict(RESPONSES)
        )(self.hang_up)
        return routes

    async def answer(self, request: Request) -> Response:
        """Answer an offer, as SDP or with the session that it is for."""
        sdp, session = await _parts(request)
        try:
            settings = opened(session or self._secrets.session(request.scope) or {})
        except RefusedError as error:
            raise ApiError(str(error), param=error.param, code=error.code) from None
        owner = request.scope.get("owner")
        with ExitStack() as lasting:
            call = lasting.enter_context(self._calls.answer("webrtc", owner=owner))
            peer = Peer()
            try:
                answer = await peer.answer(sdp)
            except ValueError as error:
                raise ApiError(str(error), param="sdp", code="invalid_offer") from None
            task = asyncio.create_task(self._serve(peer, call, settings, lasting.pop_all()))
            self._lines[call.info.id] = _Line(peer, owner, task)
        return Response(answer, 201, {"Location": f"/v1/realtime/calls/{call.info.id}"}, SDP)

    async def hang_up(self, call_id: str, request: Request) -> Response:
        """End a call of one's own."""
        line = self._lines.get(call_id)
        if line is None or line.owner != request.scope.get("owner"):
            raise ApiError("there is no such call", param="call_id", code="call_not_found", status=404)
        line.peer.hang_up()
        await asyncio.wait([line.task])
        return Response()

    async def close(self) -> None:
        """Hang up on everyone."""
        lines = list(self._lines.values())
        for line in lines:
            line.peer.hang_up()
        if lines:
            await asyncio.wait([line.task for line in lines])

    async def _serve(
        self, peer: Peer, call: Call, settings: ConversationSettings | TranscriptionSettings, lasting: ExitStack
    ) -> None:
        with lasting:
            try:
                await peer.serve(call, settings, self._options)
            except Exception as error:
                what = {"call": call.info.id, "error": type(error).__name__, "at": places(error)}
                logger.error("a call failed", extra=what)
            finally:
                del self._lines[call.info.id]


async def _parts(request: Request) -> tuple[str, dict[str, object] | None]:
    """The offer of a request, and the session that came with it; raises `ApiError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == SDP:
        return _text(await request.body(), "sdp"), None
    if kind != "multipart/form-data":
        raise ApiError(f"an offer comes as {SDP} or multipart/form-data", code="unsupported_media_type", status=415)
    async with request.form(max_files=2, max_fields=2, max_part_size=LONGEST_PART) as form:
        given: dict[str, bytes] = {}
        for name, part in form.multi_items():
            given[name] = await part.read(LONGEST_PART + 1) if isinstance(part, UploadFile) else part.encode()
    sdp = _text(given.get("sdp", b""), "sdp")
    if "session" not in given:
        return sdp, None
    try:
        session = json.loads(_text(given["session"], "session"))
    except (ValueError, RecursionError):
        session = None
    if not isinstance(session, dict):
        raise ApiError("session is not a JSON object", param="session", code="invalid_json")
    return sdp, session


def _text(data: bytes, name: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ApiError(f"{name} is not UTF-8", param=name, code="invalid_value") from None
    if not text.strip() or len(data) > LONGEST_PART:
        raise ApiError(f"{name} must have 1 to {LONGEST_PART} bytes", param=name, code="invalid_value")
    return text
