"""What others read: a config that `serve deploy` takes, and a RayService for KubeRay."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from math import ceil
from pathlib import PurePosixPath
from typing import Any

import yaml

from rejoinder.errors import SettingsError
from rejoinder.serve.cluster.environment import VARIABLES
from rejoinder.serve.cluster.plan import DEPLOYMENT, Plan, Scale
from rejoinder.serve.settings import LOOPBACK, Settings

IMPORT_PATH = "rejoinder.serve.cluster.application:build"

DOMAINS = "/domains"
"""Where the pods see the volume with the domains."""

HEAD_RESOURCES = {"cpu": "2", "memory": "4Gi"}

REPLICA_MEMORY_GB = 2
"""What a pod has for each replica on it: the models take 0.7 GB."""


def serve_config(plans: Mapping[str, Plan], scale: Scale, settings: Settings) -> dict[str, Any]:
    """The config of a cluster that serves these plans, by name, each below its own prefix where there are several.

    Raises `SettingsError` where the settings do not go on a cluster.
    """
    scale.check(settings)
    for plan in plans.values():
        plan.check()
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": settings.host, "port": settings.port},
        "applications": [
            {
                "name": name,
                "route_prefix": prefix,
                "import_path": IMPORT_PATH,
                "args": plan.to_json(),
                "deployments": [{"name": DEPLOYMENT, **scale.options(settings)}],
            }
            for (name, plan), prefix in zip(plans.items(), prefixes(tuple(plans)), strict=True)
        ],
    }


def prefixes(names: Sequence[str]) -> tuple[str, ...]:
    """Where each domain is served: the only one at the root."""
    return ("/",) if len(names) == 1 else tuple(f"/{name}" for name in names)


def ray_service(config: Mapping[str, Any], scale: Scale, *, name: str, image: str) -> dict[str, Any]:
    """A RayService (ray.io/v1) that runs a Serve config: a head without replicas, and pods for them.

    A pod has one replica, or as many as share a GPU. Raises `SettingsError` when the name is none that Kubernetes
    takes, nobody outside a pod could reach its port, or the pods would not find a file.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?", name):
        raise SettingsError(f"the name '{name}' must be of small letters, digits and hyphens, as Kubernetes has names")
    _check_reachable(config)
    n_domains = len(config["applications"])
    port = config["http_options"]["port"]
    n_together = int(1 / scale.gpus) if 0 < scale.gpus < 1 else 1
    pod = {"cpu": f"{n_together * scale.cpus:g}", "memory": f"{n_together * REPLICA_MEMORY_GB}Gi"}
    if scale.gpus:
        pod["nvidia.com/gpu"] = f"{max(1.0, scale.gpus):g}"
    n_least, n_most = (ceil(n_domains * n / n_together) for n in (scale.min_replicas, _most_replicas(scale)))
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": name},
        "spec": {
            "serveConfigV2": as_yaml(config),
            "rayClusterConfig": {
                "rayVersion": version("ray"),
                "enableInTreeAutoscaling": scale.max_replicas > scale.min_replicas,
                "headGroupSpec": {
                    "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"},
                    "template": _pod("ray-head", image, HEAD_RESOURCES, {"dashboard": 8265, "serve": port}),
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "replicas",
                        "replicas": n_least,
                        "minReplicas": n_least,
                        "maxReplicas": n_most,
                        "rayStartParams": {},
                        "template": _pod("ray-worker", image, pod, {"serve": port}),
                    }
                ],
            },
        },
    }


def _check_reachable(config: Mapping[str, Any]) -> None:
    """Raise `SettingsError` for what is on this machine only."""
    host = config["http_options"]["host"]
    if host in LOOPBACK:
        raise SettingsError(f"host: {host} is reached from within a pod only; set it to 0.0.0.0, with keys")
    for one in config["applications"]:
        given = one["args"]
        files = {name: given.get("settings", {}).get(name) for name in ("keys", "twilio_token")}
        for name, file in {"domain": given["domain"], **files}.items():
            if file is not None and not PurePosixPath(file).is_relative_to(DOMAINS):
                raise SettingsError(f"{name}: {file}: pods see no files but those below {DOMAINS}")


def _most_replicas(scale: Scale) -> int:
    """Replicas of one domain while it is updated: those that go, with their last calls, and those that come."""
    return 2 * scale.max_replicas


def _pod(name: str, image: str, resources: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, Any]:
    container = {
        "name": name,
        "image": image,
        "env": [{"name": key, "value": value} for key, value in VARIABLES.items()],
        "ports": [{"name": key, "containerPort": value} for key, value in ports.items()],
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "volumeMounts": [{"name": "domains", "mountPath": DOMAINS, "readOnly": True}],
    }
    volume = {"name": "domains", "persistentVolumeClaim": {"claimName": "rejoinder-domains"}}
    return {"spec": {"containers": [container], "volumes": [volume]}}


def as_yaml(config: Mapping[str, Any]) -> str:
    """As a file, in the order in which it was made."""
    text: str = yaml.safe_dump(dict(config), sort_keys=False)
    return text
