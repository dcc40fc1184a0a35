"""A Ray to adapt on: one of its own on this machine, or a cluster that runs."""

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rejoinder.errors import AdaptError
from rejoinder.serve.cluster.environment import prepare

KNOCK_S = 10.0
"""How long to wait for a cluster's head; Ray itself waits for minutes."""

CACHE = "REJOINDER_CACHE"
"""What every process of a cluster has to be told."""


@contextmanager
def connected(address: str | None = None, *, n_cpus: int | None = None) -> Iterator[Mapping[str, float]]:
    """Ray, until the block ends; gives how much it has of what: "CPU", "GPU".

    `address` is that of a running cluster ("auto", "ray://head:10001"); without it, Ray is started here, with
    `n_cpus`. Raises `AdaptError` when there is no such cluster.
    """
    prepare(alone=address is None)
    import ray
    from ray.exceptions import RayError

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init(address="local", num_cpus=n_cpus, include_dashboard=False, **quiet)
        else:
            _knock(address)
            kept = {CACHE: os.environ[CACHE]} if CACHE in os.environ else {}
            ray.init(address=address, runtime_env={"env_vars": kept}, **quiet)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        if address is None:
            raise AdaptError(f"Ray cannot be started on this machine ({error})") from error
        raise AdaptError(
            f"--address {address}: there is no Ray cluster that this machine reaches ({error}); docs/cluster.md says "
            "how one is started"
        ) from error
    try:
        yield ray.cluster_resources()  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise `OSError` when nobody is at an address of the kind ray://host:port or host:port."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), KNOCK_S).close()
