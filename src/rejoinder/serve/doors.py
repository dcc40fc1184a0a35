"""The doors of a server: which of them stand open, by its settings and by what is installed."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.util import find_spec

from fastapi import APIRouter, WebSocket

from rejoinder.errors import SettingsError, require_extra
from rejoinder.serve import secrets
from rejoinder.serve.calls import Calls
from rejoinder.serve.page.router import router as page_router
from rejoinder.serve.realtime.endpoint import realtime
from rejoinder.serve.secrets import Secrets

logger = logging.getLogger(__name__)


def routers(calls: Calls, known: Secrets) -> Iterator[APIRouter]:
    """Those that are HTTP and WebSockets; raises `SettingsError` where a setting cannot be followed."""
    yield page_router(calls)
    yield _realtime(calls, known)
    yield secrets.router(known)
    if find_spec("aiortc") is not None:
        from rejoinder.serve.webrtc.door import WebRtc

        yield WebRtc(calls, known).router()
    if (token := calls.settings.twilio_token) is not None:
        from rejoinder.serve.telephony import twilio

        yield twilio.router(calls, token=token.read_text(encoding="utf-8"), transfer_to=calls.settings.twilio_transfer)


@asynccontextmanager
async def beside(calls: Calls) -> AsyncIterator[None]:
    """Keep the doors open that have ports of their own; raises `SettingsError` when one cannot be opened."""
    async with AsyncExitStack() as opened:
        for name, port, door in _beside(calls):
            try:
                taken = await opened.enter_async_context(door)
            except OSError as error:
                raise SettingsError(f"{name}_port: {port} cannot be had: {error.strerror or error}") from error
            logger.info("door open", extra={"door": name, "port": taken})
        yield


def _beside(calls: Calls) -> Iterator[tuple[str, int, AbstractAsyncContextManager[int]]]:
    settings = calls.settings
    if settings.wyoming_port is not None:
        from rejoinder.serve.wyoming.door import serve_wyoming

        yield "wyoming", settings.wyoming_port, serve_wyoming(calls, settings.host, settings.wyoming_port)
    if settings.riva_port is not None:
        require_extra("riva", "riva")
        from rejoinder.serve.riva.door import serve_riva

        yield "riva", settings.riva_port, serve_riva(calls, settings.host, settings.riva_port)
    if settings.sip_port is not None:
        from rejoinder.serve.telephony.sip import serve_sip

        door = serve_sip(
            calls,
            settings.host,
            settings.sip_port,
            transfer_to=settings.sip_transfer,
            public_host=settings.sip_public_host,
        )
        yield "sip", settings.sip_port, door


def _realtime(calls: Calls, known: Secrets) -> APIRouter:
    routes = APIRouter()

    @routes.websocket("/v1/realtime")
    async def live(websocket: WebSocket) -> None:
        with calls.answer("realtime", admit=False, owner=websocket.scope.get("owner")) as call:
            await realtime(websocket, call, session=known.session(websocket.scope))

    return routes
