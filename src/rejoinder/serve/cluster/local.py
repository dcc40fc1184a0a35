"""`rejoinder serve --ray`: a Ray of its own on this machine, until it is told to end."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rejoinder.errors import SettingsError
from rejoinder.serve.cluster.environment import prepare
from rejoinder.serve.cluster.plan import Plan, Scale
from rejoinder.serve.settings import Settings

STEP_S = 0.5
"""Between looks at whether the last call is over."""


def serve(plan: Plan, scale: Scale, settings: Settings, *, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and let calls go on for the settings' `drain_s` then.

    `listening` is told the URL once all replicas are ready. Raises `SettingsError` for what does not go with Ray.
    """
    scale = scale.model_copy(update={"drain_s": settings.drain_s})
    scale.check(settings)
    plan.check()
    if not settings.port:
        raise SettingsError("port: 0 takes any port on one machine; with --ray, say which")
    prepare(alone=True)
    import ray
    from ray import serve as ray_serve

    from rejoinder.serve.cluster.application import application

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with _until_told() as told_to_end:
            ray_serve.start(proxy_location="HeadOnly", http_options={"host": settings.host, "port": settings.port})
            ray_serve.run(application(plan, scale), name=plan.domain.name, route_prefix="/")
            listening(f"http://{settings.host}:{settings.port}")
            told_to_end.wait()
            _end(plan.domain.name, settings.drain_s)
    finally:
        ray.shutdown()


def _end(name: str, drain_s: float) -> None:
    """Let the calls come to their end first: Serve's own shutdown cuts them after half a minute."""
    from ray import serve as ray_serve

    ray_serve.delete(name, _blocking=False)
    until = time.monotonic() + drain_s + STEP_S
    while name in ray_serve.status().applications and time.monotonic() < until:
        time.sleep(STEP_S)
    ray_serve.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Set on SIGTERM and Ctrl-C, within the block; Ray has handlers of its own, which this replaces."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
