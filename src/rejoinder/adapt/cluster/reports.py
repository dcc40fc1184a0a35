"""What processes of a cluster report to the one that waits for them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ray.util.queue import Empty, Queue

STEP_S = 0.2
"""How long to wait for a report before looking whether the work is over."""


@dataclass(frozen=True, slots=True)
class Told:
    """A `Progress` that goes to a queue."""

    queue: Queue

    def __call__(self, task: str, n_done: int, n_total: int, note: str = "") -> None:
        """See `Progress`."""
        self.queue.put((task, n_done, n_total, note))


@contextmanager
def queue_of_reports() -> Iterator[Queue]:
    """A queue that ends with the block, and keeps no CPU from the work."""
    queue = Queue(actor_options={"num_cpus": 0})
    try:
        yield queue
    finally:
        with suppress(Exception):  # the cluster may be gone
            queue.shutdown(force=True)


@contextmanager
def followed(queue: Queue, hear: Callable[[Any], None]) -> Iterator[None]:
    """Have `hear` called with each report while the block runs, and with all that are left at its end."""
    over = threading.Event()

    def follow() -> None:
        while True:
            ending = over.is_set()  # looked at first: what was put before that is still taken
            try:
                hear(queue.get(timeout=STEP_S))
            except Empty:
                if ending:
                    return

    thread = threading.Thread(target=follow, name="rejoinder-reports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
