"""The page's routes: its files, which hold no secret and need no key, and what the page asks for."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter, Request, Response, WebSocket
from starlette.exceptions import HTTPException

from rejoinder.serve.calls import Calls
from rejoinder.serve.page.about import about
from rejoinder.serve.page.messages import Message
from rejoinder.serve.page.socket import Talks

FOLDER = "/static/page/"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Permissions-Policy": "microphone=(self), speaker-selection=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asked for anew each time, and answered with 304: no stale half after an update
}

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the package, read once: no request reaches the file system."""

    content: bytes
    type: str
    etag: str

    def response(self, request: Request) -> Response:
        """The file, or that the browser has it already."""
        headers = {**HEADERS, "ETag": self.etag}
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.type)


def static_files() -> dict[str, StaticFile]:
    """The page's files by path: `/` and those in `FOLDER`."""
    found: dict[str, StaticFile] = {}
    for file in (files("rejoinder.serve") / "static" / "page").iterdir():
        content = file.read_bytes()
        path = "/" if file.name == "index.html" else FOLDER + file.name
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        found[path] = StaticFile(content, _TYPES["." + file.name.rpartition(".")[2]], etag)
    return found


STATIC_FILES = static_files()

OPEN = frozenset(STATIC_FILES)
"""Paths that need no key: a browser cannot send one when it opens a page."""


def router(calls: Calls) -> APIRouter:
    """The page at `/`, and `/talk`: over HTTP what it is about, as a WebSocket the conversation."""
    routes = APIRouter()
    talks = Talks(calls)
    subject = about(calls.assistant.domain)

    @routes.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return STATIC_FILES["/"].response(request)

    @routes.get(FOLDER + "{name}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        if (file := STATIC_FILES.get(FOLDER + name)) is None:
            raise HTTPException(404, "there is no such file")
        return file.response(request)

    @routes.get("/talk", summary="What the assistant is about, and examples of what to say")
    async def tell() -> Message:
        return subject

    @routes.websocket("/talk")
    async def talk(websocket: WebSocket) -> None:
        await talks.serve(websocket)

    return routes
