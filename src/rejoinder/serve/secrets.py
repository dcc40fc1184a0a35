"""Client secrets: what a server of the owner's gives to a browser, so that no API key has to leave that server.

A secret opens live calls, and nothing else, for some minutes. As OpenAI has it: `POST /v1/realtime/client_secrets`.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Scope

from rejoinder.serve.api_errors import RESPONSES, ApiError
from rejoinder.serve.realtime.protocol import RefusedError, opened
from rejoinder.serve.security import given_key, hash_of

SECRET_PREFIX = "ek_"
"""Begins each secret, as it does at OpenAI."""

MOST_SECRETS = 10_000
"""Secrets that are remembered; the oldest are forgotten first."""

_OPENING = frozenset({("WEBSOCKET", "/v1/realtime"), ("POST", "/v1/realtime/calls")})


class ExpiresAfter(BaseModel):
    """How long calls may be opened with a secret; a call goes on after that."""

    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=10, le=7200)] = 600


class SecretRequest(BaseModel):
    """What a secret is to be for."""

    model_config = ConfigDict(extra="forbid")

    expires_after: ExpiresAfter = ExpiresAfter()
    session: dict[str, Any] = Field(default_factory=lambda: {"type": "realtime"})
    """What the calls begin with, as in `session.update`."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What is known of a secret; it itself is nowhere."""

    owner: str | None
    """Whose key asked for it, where keys are asked for."""
    session: dict[str, Any]
    expires_at_s: float
    """In seconds since 1970."""


class Secrets:
    """The secrets of one server that have not expired, by their hashes, in memory only."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: OrderedDict[str, Secret] = OrderedDict()

    def make(self, *, owner: str | None, session: dict[str, Any], seconds: int) -> tuple[str, Secret]:
        """A new secret, which cannot be shown again."""
        value = SECRET_PREFIX + secrets.token_urlsafe(32)
        secret = Secret(owner, session, self._clock() + seconds)
        self._known[hash_of(value)] = secret
        while len(self._known) > MOST_SECRETS:
            self._known.popitem(last=False)
        return value, secret

    def find(self, value: str) -> Secret | None:
        """What is known of a secret; None when it never was, or has expired.

        The look-up goes by the hash of 256 random bits: how long it takes tells nothing of a secret.
        """
        hashed = hash_of(value)
        secret = self._known.get(hashed)
        if secret is not None and secret.expires_at_s <= self._clock():
            del self._known[hashed]
            return None
        return secret

    def session(self, scope: Scope) -> dict[str, Any] | None:
        """What the call of this request begins with, where it came with a secret."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        secret = self.find(given_key(headers, scope.get("subprotocols") or ()))
        return secret.session if secret is not None else None


def opens_call(scope: Scope) -> bool:
    """Whether a request opens a live call, which is all that a secret is good for."""
    method = "WEBSOCKET" if scope["type"] == "websocket" else scope.get("method")
    return (method, scope.get("path")) in _OPENING


def router(known: Secrets) -> APIRouter:
    """The route that makes secrets. It expects the name of the caller's key in `request.scope["owner"]`."""
    routes = APIRouter()

    @routes.post(
        "/v1/realtime/client_secrets", summary="Make a secret with which a browser can call", responses=dict(RESPONSES)
    )
    async def make(wanted: SecretRequest, request: Request) -> dict[str, Any]:
        try:
            settings = opened(wanted.session)
        except RefusedError as error:
            raise ApiError(str(error), param=error.param, code=error.code) from None
        value, secret = known.make(
            owner=request.scope.get("owner"), session=wanted.session, seconds=wanted.expires_after.seconds
        )
        expires_at = int(secret.expires_at_s)
        kind = "realtime.session" if settings.type == "realtime" else "realtime.transcription_session"
        session = {"id": f"sess_{secrets.token_hex(10)}", "object": kind, **settings.model_dump()}
        return {"value": value, "expires_at": expires_at, "session": session}

    return routes
