"""How Ray is to be started for calls: variables of every process of a cluster, those of `ray start` first of all."""

import os
import socket
from collections.abc import Mapping

from rejoinder.serve.settings import Settings

VARIABLES: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the cluster
    "RAY_worker_niceness": "0",  # 15 by default: replicas and HAProxy would wait for whatever else the machine does
    # HAProxy passes connections on to the replicas, which take them on the thread that serves them. Serve's own proxy
    # and thread add 9 ms to a turn, this 2 ms (two cores, fake models, 180 turns of one caller).
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # HAProxy cuts what is left of the connections that it had before its configuration changed, after two minutes.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(round(Settings().longest_call_s)),
}


ALONE: Mapping[str, str] = {
    # How long a replica that is to end stays for what others still send it, by default half a minute.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    # HAProxy's process is killed when it is not ready in time, by default five seconds, and then nothing starts.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}
"""More of them where all is on one machine."""


def prepare(*, alone: bool = False) -> None:
    """Set them for what this process starts, before Ray is imported; those that are set already stay."""
    variables = {**VARIABLES, **(ALONE if alone else {})}
    if alone:  # another cluster may run on this machine
        variables |= {f"RAY_SERVE_HAPROXY_{name}_PORT": str(free_port()) for name in ("METRICS", "STATS")}
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
