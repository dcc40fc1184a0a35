"""Several nodes of Ray on this machine, for benchmarks and for tests; to serve, with Serve and HAProxy on the head."""

import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rejoinder.serve.cluster.environment import free_port, prepare

MEMORY = 80_000_000
"""Bytes of each node's object store; nothing large is in it."""

SETTLED_S = 3.0
"""HAProxy hears of a replica a moment after it runs."""


@dataclass
class Nodes:
    """A head without replicas, where callers connect, and nodes with room for some."""

    cluster: Any
    port: int
    workers: list[Any] = field(default_factory=list)

    def add(self, *, n_cpus: int = 1) -> None:
        """A node more, with room for so many replicas of one CPU."""
        self.workers.append(self.cluster.add_node(num_cpus=n_cpus, object_store_memory=MEMORY))
        self.cluster.wait_for_nodes()

    def kill(self, node: Any) -> None:
        """Kill a node and all processes on it, at once, as when its power fails."""
        self.workers.remove(node)
        raylet = node.all_processes["raylet"][0].process.pid
        children = Path(f"/proc/{raylet}/task/{raylet}/children").read_text(encoding="ascii")
        for process in (raylet, *map(int, children.split())):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)

    def wait_for(self, application: str, n_replicas: int, *, n_going: int = 0) -> None:
        """Until so many replicas of an application run, callers come to them, and as many go as are to."""
        from ray import serve

        while True:
            (found,) = serve.status().applications[application].deployments.values()
            states = {str(getattr(state, "value", state)): n for state, n in found.replica_states.items()}
            if states.get("RUNNING") == n_replicas and states.get("STOPPING", 0) >= n_going:
                time.sleep(SETTLED_S)
                return
            time.sleep(0.1)


@contextmanager
def nodes(n_workers: int) -> Iterator[Nodes]:
    """A cluster with so many nodes for one replica each, until the block ends."""
    with machines(n_workers) as found:
        from ray import serve

        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": found.port})
        yield found
        serve.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def machines(n_workers: int) -> Iterator[Nodes]:
    """A cluster with so many nodes of one CPU each, without Serve, until the block ends."""
    prepare(alone=True)
    folder = Path(tempfile.mkdtemp(prefix="rj", dir="/tmp"))  # short: the path of a Unix socket has 107 characters
    (folder / "ray").mkdir()
    os.environ["RAY_TMPDIR"] = str(folder)
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        found = Nodes(cluster, free_port())
        for _ in range(n_workers):
            found.add()
        yield found
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
        del os.environ["RAY_TMPDIR"]
        shutil.rmtree(folder, ignore_errors=True)
