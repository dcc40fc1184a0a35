"""`rejoinder serve --ray`: a Ray of its own on this machine, until it is told to end."""

import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rejoinder.errors import SettingsError
from rejoinder.serve.app import listen
from rejoinder.serve.cluster.deploying import FAILED, last_words
from rejoinder.serve.cluster.environment import prepare
from rejoinder.serve.cluster.plan import Plan, Scale
from rejoinder.serve.settings import Settings

STEP_S = 0.5
"""Between looks at whether all replicas are ready, or the last call is over."""


def serve(plan: Plan, scale: Scale, settings: Settings, *, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and let calls go on for the settings' `drain_s` then.

    `listening` is told the URL once all replicas are ready. Raises `SettingsError` for what does not go with Ray, when
    the port cannot be had, and when the replicas cannot be started.
    """
    scale = scale.model_copy(update={"drain_s": settings.drain_s})
    scale.check(settings)
    plan.check()
    if not settings.port:
        raise SettingsError("port: 0 takes any port on one machine; with --ray, say which")
    try:
        listen(settings).close()  # HAProxy could only try again and again
    except OSError as error:
        raise SettingsError(f"port {settings.port} of {settings.host} cannot be had ({error.strerror})") from error
    prepare(alone=True)
    # Ray listens on all addresses of this machine, and does whatever it is told by those who know this.
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray
    from ray import serve as ray_serve

    from rejoinder.serve.cluster.application import application

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with _starting():
        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        _check_room(scale, ray.cluster_resources())  # type: ignore[no-untyped-call]
        with _until_told() as told_to_end:
            with _starting():
                ray_serve.start(proxy_location="HeadOnly", http_options={"host": settings.host, "port": settings.port})
            target = ray_serve.RunTarget(application(plan, scale), name=plan.domain.name, route_prefix="/")
            ray_serve.run_many(
                [target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False
            )
            if _is_ready(plan.domain.name, told_to_end):
                host = f"[{settings.host}]" if ":" in settings.host else settings.host
                listening(f"http://{host}:{settings.port}")
                told_to_end.wait()
            _end(plan.domain.name, settings.drain_s)
    finally:
        ray.shutdown()


@contextmanager
def _starting() -> Iterator[None]:
    """Raise `SettingsError` where Ray's own processes are not there within the 30 to 60 s that it gives them."""
    try:
        yield
    except Exception as error:  # Ray raises exceptions of any kind
        raise SettingsError(f"Ray did not start ({last_words(str(error))}); is the machine too busy?") from error


def _check_room(scale: Scale, there: Mapping[str, float]) -> None:
    """Raise `SettingsError` where the machine has not what the replicas take: Ray would wait for more machines."""
    for name, flag, each in (("CPU", "--cpus", scale.cpus), ("GPU", "--gpus", scale.gpus)):
        if scale.min_replicas * each > (n := there.get(name, 0.0)):
            raise SettingsError(
                f"{scale.min_replicas} replicas with {flag} {each:g} are too many: this machine has {n:g} {name}s"
            )


def _is_ready(name: str, told_to_end: threading.Event) -> bool:
    """Wait until all replicas are; False when told to end meanwhile. Raises `SettingsError` when they cannot start."""
    from ray import serve as ray_serve

    while not told_to_end.wait(STEP_S):
        found = ray_serve.status().applications[name]
        if found.status in FAILED:
            raise SettingsError(f"{name} cannot be served: {last_words(found.message)}")
        if found.status == "RUNNING":
            return True
    return False


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
