"""The server: one app in which every door leads to the same assistant, and how it is run."""

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from rejoinder import __version__
from rejoinder.assistant import Assistant
from rejoinder.errors import SettingsError
from rejoinder.serve.api_errors import add_handlers
from rejoinder.serve.calls import Calls
from rejoinder.serve.doors import beside, routers
from rejoinder.serve.entrance import Entrance
from rejoinder.serve.metrics import MEDIA_TYPE, Metrics
from rejoinder.serve.realtime.endpoint import RealtimeOptions
from rejoinder.serve.rest import Rest
from rejoinder.serve.secrets import Secrets
from rejoinder.serve.security import Admission, Keys
from rejoinder.serve.settings import Settings
from rejoinder.serve.states import States
from rejoinder.serve.store import review
from rejoinder.serve.store.recording import Recorder
from rejoinder.serve.tracing import Tracing

LOOP_STEP_S = 0.1
"""How often the event loop's lag is measured."""

DRAIN_STEP_S = 0.1
"""How often a draining server looks whether the last call is over."""

CUT_S = 5
"""How long clients have at least to take note that their connection is closed."""


def create_app(
    assistant: Assistant,
    settings: Settings | None = None,
    *,
    states: States | None = None,
    secrets: Secrets | None = None,
) -> FastAPI:
    """The app of one assistant, for any ASGI server; it closes the assistant when the server ends.

    `states` and `secrets` are given where several servers share them; otherwise they are this one's alone.

    Raises `SettingsError` for settings that contradict each other or would let anyone in.
    """
    settings = settings or Settings()
    settings.check()
    keys = Keys.load(settings.keys) if settings.keys is not None else None
    metrics = Metrics()
    requests = Admission(settings.max_requests, "requests")
    sessions = Admission(settings.max_sessions, "calls")
    metrics.watch("requests_in_progress", "Requests being worked on.", requests)
    metrics.watch("sessions", "Live calls.", sessions)

    known = secrets or Secrets()
    recorder = Recorder.of(settings, assistant.domain, metrics.registry) if settings.store else None
    tracing = Tracing.start(settings.otel_endpoint) if settings.otel_endpoint else None
    watchers = tuple(one.watch for one in (recorder, tracing) if one is not None)
    calls = Calls(assistant, settings, keys=keys, admission=sessions, metrics=metrics, watchers=watchers, states=states)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            for one in (assistant, recorder, tracing):
                if one is not None:
                    opened.push_async_callback(asyncio.to_thread, one.close)
            watching = asyncio.create_task(_watch_loop(metrics))
            opened.callback(watching.cancel)
            try:
                await opened.enter_async_context(beside(calls))
            except SettingsError as error:
                app.state.failure = error  # uvicorn logs it and exits
                raise
            yield

    app = FastAPI(
        title=f"Rejoinder: {assistant.domain.name}",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # these pages would fetch their scripts from elsewhere
        redoc_url=None,
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.origins,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["authorization", "content-type"],
                expose_headers=["location", "x-request-id"],
            ),
            Middleware(
                Entrance,
                settings=settings,
                keys=keys,
                secrets=known,
                metrics=metrics,
                requests=requests,
                sessions=sessions,
            ),
        ],
    )
    app.state.calls = calls
    add_handlers(app)
    app.include_router(Rest(assistant, settings, metrics).router())
    for router in routers(calls, known):
        app.include_router(router)
    if recorder is not None:
        app.include_router(review.router(recorder.store, assistant.domain, keys))

    @app.get("/healthz", summary="Whether the server runs")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether another call would be taken", responses={503: {"description": "It is full"}})
    async def readyz() -> JSONResponse:
        if sessions.draining:
            return JSONResponse({"status": "draining"}, 503, {"Retry-After": "5"})
        if sessions.is_full or requests.is_full:
            return JSONResponse({"status": "full"}, 503, {"Retry-After": "1"})
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def show_metrics() -> Response:
        return Response(metrics.exposition(), media_type=MEDIA_TYPE)

    return app


def listen(settings: Settings) -> socket.socket:
    """Take the address and port; raises `OSError` when they cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=1024)


class DrainingServer(uvicorn.Server):
    """On SIGTERM, calls under way may go on for `drain_s`; uvicorn would cut every WebSocket at once.

    Meanwhile no call is let in, and `/readyz` says so, for a load balancer to send callers elsewhere.
    """

    def __init__(self, config: uvicorn.Config, calls: Calls) -> None:
        super().__init__(config)
        self._calls = calls

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order; a second signal ends the wait."""
        admission = self._calls.admission
        admission.draining = True
        ends_s = time.monotonic() + self._calls.settings.drain_s
        while admission.n_inside and time.monotonic() < ends_s and not self.force_exit:
            await asyncio.sleep(DRAIN_STEP_S)
        self.config.timeout_graceful_shutdown = round(max(CUT_S, ends_s - time.monotonic()))
        await super().shutdown(sockets)


def server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """What runs the app of `create_app`. On SIGTERM it drains and returns."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # the entrance writes one without queries and addresses
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=[str(network) for network in settings.proxies],
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # it takes 3 ms for a second of a reply, on the event loop
        ws_max_size=2 * RealtimeOptions().longest_message,  # the endpoint answers what is too long with an error
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    return DrainingServer(config, app.state.calls)


def serve(assistant: Assistant, settings: Settings, *, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `listening` is told the URL once the port is taken.

    Raises `SettingsError` when another door's port cannot be had.
    """
    app = create_app(assistant, settings)
    gc.collect()
    gc.freeze()  # what was loaded stays: to look through it again would hold up the event loop for 0.1 s
    with listen(settings) as taken:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        listening(f"{'https' if settings.uses_tls else 'http'}://{host}:{taken.getsockname()[1]}")
        try:
            server(app, settings).run(sockets=[taken])
        except SystemExit as ended:  # uvicorn's, when the app could not be started
            raise getattr(app.state, "failure", ended) from None


async def _watch_loop(metrics: Metrics) -> None:
    """Measure by how much the event loop is late, as long as the server runs."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + LOOP_STEP_S
        await asyncio.sleep(LOOP_STEP_S)
        metrics.loop_lag(max(0.0, loop.time() - due_s))
