"""What is to run on a cluster: which domain with which settings, and how many of it."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rejoinder.build import FOLDER, Stage, promoted_id
from rejoinder.errors import SettingsError
from rejoinder.serve.settings import Count, Positive, Settings

DEPLOYMENT = "Assistant"
"""Name of the Serve deployment in each application."""

SURGE_PERCENT = 25
"""How many more replicas an update may start before old ones stop: of one replica, one more."""

UPSCALE_S, DOWNSCALE_S = 5.0, 300.0
"""How long there are more, or fewer, calls than wanted until replicas are added, or taken away."""

N_QUICK = 64
"""Requests beside the calls and those that are worked on: for files, metrics and health, and those that are refused."""

HEALTH_PERIOD_S, HEALTH_TIMEOUT_S = 10.0, 30.0

TEXTS = (".yaml", ".yml", ".md", ".txt", ".py", ".jsonl")
"""Files of a domain that its assistant reads; corrections are in the last kind."""

OWN_PORTS = ("wyoming_port", "riva_port", "sip_port")
"""Settings of doors that replicas cannot share."""


class Plan(BaseModel):
    """What each replica of one domain's assistant opens and serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: Path
    """Its folder, on every machine that may run a replica."""
    settings: Settings = Settings()
    device: str = "auto"
    """As in `AssistantOptions`."""
    n_threads: Count = 1
    """Threads for the models: as many as a replica has CPUs."""
    models: str = ""
    """`models_of` the domain: another value replaces the replicas. Each opens what is promoted when it starts."""

    def check(self) -> None:
        """Raise `SettingsError` for settings that do not go on a cluster."""
        for name in OWN_PORTS:
            if getattr(self.settings, name) is not None:
                raise SettingsError(
                    f"{name}: replicas on one machine cannot share a port; serve this door with a server of its own: "
                    "rejoinder serve, without --ray"
                )
        if self.settings.uses_tls:
            raise SettingsError(
                "tls_certificate: what balances the load in front of the cluster speaks HTTPS; list it in 'proxies'"
            )
        if (self.settings.store or "").startswith("sqlite"):
            raise SettingsError("store: replicas on several machines need a database they share: postgresql://…")

    def to_json(self) -> dict[str, Any]:
        """As it stands in a Serve config."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Scale(BaseModel):
    """How many replicas there are, and what each of them takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_replicas: Count = 1
    max_replicas: Count = 1
    calls_per_replica: Positive = 8.0
    """Live calls that a replica is to have on average: with more, replicas are added."""
    cpus: Positive = 1.0
    """Cores of a replica; may be a fraction."""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """GPUs of a replica; replicas share one that gives each a fraction."""
    drain_s: Positive = 3600.0
    """How long the calls of a replica that is replaced may go on; then they are cut, and resumed on another one."""

    def check(self, settings: Settings) -> None:
        """Raise `SettingsError` where the figures contradict each other."""
        if self.max_replicas < self.min_replicas:
            raise SettingsError(f"max_replicas: {self.max_replicas} is below min_replicas, {self.min_replicas}")
        if self.calls_per_replica > settings.max_sessions:
            raise SettingsError(
                f"calls_per_replica: {self.calls_per_replica:g} is above max_sessions, {settings.max_sessions}, "
                "which is what a replica takes at most: no replica would ever be added"
            )
        if self.gpus > 1 and not self.gpus.is_integer():
            raise SettingsError(f"gpus: {self.gpus:g}: a replica has a part of one, or whole ones")

    def options(self, settings: Settings) -> dict[str, Any]:
        """The options of the Serve deployment. A live WebSocket counts as a request that is under way."""
        several = self.max_replicas > self.min_replicas
        autoscaling = {
            "min_replicas": self.min_replicas,
            "max_replicas": self.max_replicas,
            "target_ongoing_requests": self.calls_per_replica,
            "upscale_delay_s": UPSCALE_S,
            "downscale_delay_s": DOWNSCALE_S,
        }
        return {
            **({"autoscaling_config": autoscaling} if several else {"num_replicas": self.min_replicas}),
            # More than the app lets in, which says so at once: what Serve holds back waits until a call is over.
            "max_ongoing_requests": settings.max_sessions + settings.max_requests + N_QUICK,
            "graceful_shutdown_timeout_s": self.drain_s,
            "graceful_shutdown_wait_loop_s": 1.0,
            "max_surge_percent": SURGE_PERCENT,
            "health_check_period_s": HEALTH_PERIOD_S,
            "health_check_timeout_s": HEALTH_TIMEOUT_S,
            "ray_actor_options": {"num_cpus": self.cpus, "num_gpus": self.gpus},
            "logging_config": {"enable_access_log": False},  # the entrance writes one without addresses
        }


def models_of(domain: Path) -> str:
    """Tells one set of promoted models of a domain, and one state of its files, from another."""
    promoted = {stage.value: promoted_id(domain, stage) for stage in Stage}
    names = sorted(path.relative_to(domain) for path in domain.rglob("*") if path.is_file() and path.suffix in TEXTS)
    content = [
        (str(name), hashlib.sha256((domain / name).read_bytes()).hexdigest())
        for name in names
        if name.parts[0] != FOLDER or len(name.parts) == 2  # what a stage has there counts when it is promoted
    ]
    return hashlib.sha256(json.dumps([promoted, content]).encode()).hexdigest()[:12]
