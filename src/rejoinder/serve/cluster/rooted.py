"""An app under a prefix of the path: several domains share a cluster, and each is served as if it were alone."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ROOT = "rejoinder.root"


class Rooted:
    """Raw ASGI that takes the prefix off what comes in, and puts it before the places that are told of."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as at the root."""
        root = scope.get("root_path", "").rstrip("/")
        if not root:
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(root)
        if scope["type"] == "http" and not path:  # the app's own root is a slash
            await send({"type": "http.response.start", "status": 307, "headers": [(b"location", f"{root}/".encode())]})
            await send({"type": "http.response.body"})
            return

        async def told(message: Message) -> None:
            if "headers" in message:
                message = {**message, "headers": [_placed(name, value, root) for name, value in message["headers"]]}
            await send(message)

        inside = {**scope, "path": path, "raw_path": path.encode(), "root_path": "", _ROOT: root}
        await self._app(inside, receive, told)


def root_of(scope: Scope) -> str:
    """The prefix that was taken off, for what must name whole addresses; empty at the root."""
    return str(scope.get(_ROOT, ""))


def _placed(name: bytes, value: bytes, root: str) -> tuple[bytes, bytes]:
    if name.lower() == b"location" and value.startswith(b"/"):
        return name, root.encode() + value
    return name, value
