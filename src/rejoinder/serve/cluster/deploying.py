"""Has a running Ray cluster serve a config, by the REST API that `serve deploy` uses."""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rejoinder.errors import SettingsError

PATH = "/api/serve/applications/"

WAIT_S = 120.0
"""How long to watch: an update is over only when the last call of an old replica is."""

STEP_S = 1.0

FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
"""Statuses of an application from which it does not recover by waiting."""


def deploy(config: Mapping[str, Any], address: str, *, told: Callable[[str, str], None]) -> None:
    """Deploy, and watch for a while; `told` hears of each application's status when it changes.

    What is unchanged stays as it is; what the config does not name ends. Raises `SettingsError` when an application
    cannot be deployed, or the cluster not be reached.
    """
    names = [one["name"] for one in config["applications"]]
    _ask(address, config)
    shown: dict[str, str] = {}
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        time.sleep(STEP_S)
        found = _ask(address).get("applications", {})
        for name in names:
            one = found.get(name, {})
            status = str(one.get("status", "NOT_STARTED"))
            if shown.get(name) != status:
                told(name, status)
            shown[name] = status
            if status in FAILED:
                raise SettingsError(f"{name}: {status.lower()}: {last_words(one.get('message', ''))}")
        if all(shown[name] == "RUNNING" for name in names):
            return
    for name in names:
        if shown.get(name) != "RUNNING":
            told(name, "goes on by itself: old replicas still have calls, or CPUs are missing; type: serve status")


def _ask(address: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What runs; with a config, have it run."""
    try:
        request = urllib.request.Request(
            address.rstrip("/") + PATH,
            data=None if config is None else json.dumps(config).encode(),
            headers={"content-type": "application/json", "accept": "application/json", **_authorization()},
            method="GET" if config is None else "PUT",
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        found: dict[str, Any] = json.loads(text) if config is None and text else {}
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise SettingsError(
                f"{address}: the cluster wants its token: copy ~/.ray/auth_token from its head to this machine, or set "
                "RAY_AUTH_TOKEN"
            ) from error
        raise SettingsError(f"{address}: {last_words(error.read().decode(errors='replace'))}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # the last where something else listens
        raise SettingsError(
            f"{address}: there is no Ray cluster's dashboard; docs/cluster.md says how a cluster is started"
        ) from error
    return found


def _authorization() -> dict[str, str]:
    """The cluster's token, from where Ray looks for it (docs.ray.io, "Token authentication")."""
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    if not token:
        with suppress(OSError):
            token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token").read_text()
    return {"authorization": f"Bearer {token.strip()}"} if token.strip() else {}


def last_words(text: str) -> str:
    """The end of what Ray says, where the reason stands."""
    return " ".join(text.split())[-500:]
