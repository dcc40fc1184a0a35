"""What the replicas of one application share: where calls stand, and the key that signs client secrets.

Both are in the memory of a detached actor on the head node, whose loss ends a Ray cluster anyway (unless that is made
fault-tolerant; then calls go on, but those that are lost at that moment begin anew).
"""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray

from rejoinder.serve.secrets import SECRET_PREFIX, Secret, Secrets
from rejoinder.serve.states import MemoryStates

NAMESPACE = "rejoinder"

N_KEPT = 100_000
"""Calls whose standing is remembered; one takes about a kilobyte."""

HEAD = "node:__internal_head__"
"""A resource that only the head node has."""


class Shared(MemoryStates):
    """The actor."""

    def __init__(self) -> None:
        super().__init__(n_most=N_KEPT)
        self._key = secrets.token_bytes(32)

    async def key(self) -> bytes:
        """Signs secrets; as old as the actor."""
        return self._key


@dataclass(frozen=True, slots=True)
class SharedStates:
    """`States` in the actor of an application."""

    aside_s = 0.02

    actor: Any
    """The handle of a `Shared`."""

    @classmethod
    def open(cls, application: str) -> "SharedStates":
        """The actor, started where it is not there yet."""
        options = {
            "name": f"shared:{application}",
            "namespace": NAMESPACE,
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": -1,
            "max_concurrency": 1000,
            "num_cpus": 0,
            "resources": {HEAD: 0.001},
        }
        return cls(ray.remote(Shared).options(**options).remote())

    async def keep(self, key: str, call: str, text: str) -> None:
        """See `States`."""
        await self.actor.keep.remote(key, call, text)

    async def take(self, key: str, call: str) -> str | None:
        """See `States`."""
        found: str | None = await self.actor.take.remote(key, call)
        return found

    async def forget(self, key: str, call: str) -> None:
        """See `States`."""
        await self.actor.forget.remote(key, call)

    async def secrets(self) -> "SignedSecrets":
        """Secrets that all replicas know."""
        return SignedSecrets(await self.actor.key.remote())


class SignedSecrets(Secrets):
    """Secrets that no server remembers: each says itself what it is for, and is signed.

    Whoever holds one can read what is in it: what its calls begin with, and the name of the key that asked for it.
    """

    def __init__(self, key: bytes, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self._key = key

    def make(self, *, owner: str | None, session: dict[str, Any], seconds: int) -> tuple[str, Secret]:
        """See `Secrets`."""
        secret = Secret(owner, session, self._clock() + seconds)
        content = json.dumps([secrets.token_urlsafe(6), owner, session, secret.expires_at_s]).encode()
        return f"{SECRET_PREFIX}{_text(content)}.{_text(self._signature(content))}", secret

    def find(self, value: str) -> Secret | None:
        """See `Secrets`."""
        content, _, signature = value.removeprefix(SECRET_PREFIX).partition(".")
        try:
            data, signed = _bytes(content), _bytes(signature)
        except ValueError:
            return None
        if not value.startswith(SECRET_PREFIX) or not hmac.compare_digest(signed, self._signature(data)):
            return None
        _, owner, session, expires_at_s = json.loads(data)
        return Secret(owner, session, expires_at_s) if expires_at_s > self._clock() else None

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
