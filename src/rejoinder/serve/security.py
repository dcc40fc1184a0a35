"""Who may call, from where, how often and how many at a time. Nothing here waits or computes."""

import hashlib
import hmac
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rejoinder.errors import SettingsError
from rejoinder.serve.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from rejoinder.serve.secrets import Secrets

KEY_PREFIX = "rj-"
"""Begins each key, so that one which leaked into a log or a repository can be searched for."""

KEY_PROTOCOL = "openai-insecure-api-key."
"""Begins the WebSocket subprotocol with which browsers, which can set no header, send a key."""

MOST_CALLERS = 10_000
"""Callers whose rate is remembered; the one unseen longest is forgotten first."""

_KEY_LINE = re.compile(r"sha256:([0-9a-f]{64})\s+(\S.*)")


class RefusedError(Exception):
    """A request that is not let in: its HTTP status, a code for programs and a message for people."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class Keys:
    """The API keys that are let in, as hashes.

    A key is 256 random bits, so that its plain SHA-256 cannot be reversed by guessing: the slow, salted hashes that
    passwords need protect what a person could think of. A fast hash also costs a flood of wrong keys nothing.
    """

    def __init__(self, hashes: Mapping[str, str]) -> None:
        """`hashes` maps a key's SHA-256, in hexadecimal, to the name of whom it was given to."""
        self._hashes = dict(hashes)

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """Read a file of keys, a line each: `sha256:<hash> <name>`; raises `SettingsError` for any other line."""
        hashes: dict[str, str] = {}
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if (match := _KEY_LINE.fullmatch(line.strip())) is None:
                # The line is not shown: it may be a key that somebody wrote down in place of its hash.
                raise SettingsError(f"{path}:{n}: must be 'sha256:<hash> <name>'; type: rejoinder serve --new-key")
            hashes[match[1]] = match[2]
        if not hashes:
            raise SettingsError(f"{path}: holds no key; type: rejoinder serve --new-key --keys {path}")
        return cls(hashes)

    def owner(self, key: str) -> str | None:
        """Whom the key was given to. All hashes are compared, each in constant time: time tells nothing of a key."""
        given, found = hash_of(key), None
        for known, name in self._hashes.items():
            if hmac.compare_digest(given, known):
                found = name
        return found


def hash_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def add_key(path: Path, name: str) -> str:
    """Make a key, append its hash to the file, and return it: it is nowhere else, and cannot be shown again."""
    name = " ".join(name.split())
    if not name or not name.isprintable():
        raise SettingsError("the name of a key must not be empty; it tells keys apart in the log")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(f"sha256:{hash_of(key)} {name}\n")
    return key


def given_key(headers: Mapping[str, str], subprotocols: Sequence[str] = ()) -> str:
    """The key that a request brings, or ""; `headers` has lower-case names.

    It comes as `Authorization: Bearer …`, or as a WebSocket's subprotocol.
    """
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        key = next((p.removeprefix(KEY_PROTOCOL) for p in subprotocols if p.startswith(KEY_PROTOCOL)), "")
    return key.strip()


def authorize(
    headers: Mapping[str, str],
    subprotocols: Sequence[str] = (),
    *,
    keys: Keys | None,
    secrets: "Secrets | None" = None,
) -> str | None:
    """The name of the caller's key, or None where no keys are asked for; raises `RefusedError` without a known key.

    `secrets` are let in as well, for their owners: give them only for what opens a call. See `given_key`.
    """
    if keys is None:
        return None
    key = given_key(headers, subprotocols)
    if not key:
        raise RefusedError(
            401, "missing_api_key", "no API key was given; send the header 'Authorization: Bearer <key>'"
        )
    owner = keys.owner(key)
    if owner is None and secrets is not None and (secret := secrets.find(key)) is not None:
        owner = secret.owner
    if owner is None:
        raise RefusedError(401, "invalid_api_key", "this API key is not known here")
    return owner


def check_origin(headers: Mapping[str, str], settings: Settings) -> None:
    """Raise `RefusedError` for a web page that may not call; programs that are no browsers send no origin.

    Where no key is asked for, the name by which the server was called must be this machine's own, too: a page could
    point a name of its own at 127.0.0.1 and would then be of the same origin (DNS rebinding).
    """
    host = headers.get("host", "")
    if settings.keys is None and settings.is_local and _name(host) not in LOOPBACK:
        raise RefusedError(403, "host_not_allowed", "this server answers only to the name of its own machine")
    origin = headers.get("origin")
    if origin is None or origin in settings.origins:
        return
    schemes = ("http", "https") if settings.proxies else ("https" if settings.uses_tls else "http",)
    if origin.lower() not in {f"{scheme}://{host.lower()}" for scheme in schemes}:
        raise RefusedError(
            403, "origin_not_allowed", "web pages of this origin may not call; the setting 'origins' lists them"
        )


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class RateLimit:
    """A bucket of tokens for each caller: it refills evenly, and a full one allows a minute's requests at once."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count a request; raises `RefusedError` with when to come back where there have been too many."""
        now_s = self._clock()
        bucket = self._buckets.setdefault(caller, _Bucket(self._per_minute, now_s))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        per_s = self._per_minute / 60
        bucket.left = min(self._per_minute, bucket.left + (now_s - bucket.at_s) * per_s)
        bucket.at_s = now_s
        if bucket.left < 1:
            wait_s = ceil((1 - bucket.left) / per_s)
            raise RefusedError(
                429, "rate_limit_exceeded", f"more than {self._per_minute} requests a minute", retry_after_s=wait_s
            )
        bucket.left -= 1


class Admission:
    """So many at a time: one more is asked to come back rather than slowing the others down."""

    def __init__(self, n_most: int, what: str) -> None:
        self.n_most = n_most
        self.n_inside = 0
        self.draining = False
        """Set when the server is about to end: nobody else is let in."""
        self._what = what

    @property
    def is_full(self) -> bool:
        """Whether nobody else is let in."""
        return self.n_inside >= self.n_most

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be counted for as long as the block runs; raises `RefusedError` when it is full."""
        if self.draining:
            raise RefusedError(503, "draining", "the server is about to end; try again", retry_after_s=5)
        if self.is_full:
            raise RefusedError(
                503, "overloaded", f"{self.n_most} {self._what} are being served already", retry_after_s=1
            )
        self.n_inside += 1
        try:
            yield
        finally:
            self.n_inside -= 1
