"""What is written for others: a config of Serve's, and a RayService."""

from pathlib import Path

import pytest
import yaml

from rejoinder.errors import SettingsError
from rejoinder.serve.cluster.manifest import as_yaml, ray_service, serve_config
from rejoinder.serve.cluster.plan import Plan, Scale
from rejoinder.serve.settings import Settings

SETTINGS = Settings(host="0.0.0.0", keys=Path("/domains/keys.txt"), max_sessions=16)
PLAN = Plan(domain=Path("/domains/cafe"), settings=SETTINGS, models="1f3a9c")
SCALE = Scale(min_replicas=2, max_replicas=8, cpus=2, gpus=0.25)


def test_serve_takes_the_config() -> None:
    schema = pytest.importorskip("ray.serve.schema", reason="Ray is not installed")
    written = yaml.safe_load(as_yaml(serve_config({"cafe": PLAN}, SCALE, SETTINGS)))
    (one,) = schema.ServeDeploySchema.model_validate(written).applications
    assert one.route_prefix == "/"
    assert Plan.model_validate(one.args) == PLAN
    options = one.deployments[0]
    assert options.max_ongoing_requests > 16
    assert options.autoscaling_config["target_ongoing_requests"] == 8
    assert options.ray_actor_options.num_gpus == 0.25


def test_several_domains_have_a_path_each() -> None:
    config = serve_config({"cafe": PLAN, "bank": PLAN}, SCALE, SETTINGS)
    assert [one["route_prefix"] for one in config["applications"]] == ["/cafe", "/bank"]


def test_a_fixed_number_of_replicas_is_not_scaled() -> None:
    options = serve_config({"cafe": PLAN}, Scale(min_replicas=3, max_replicas=3), SETTINGS)["applications"][0]
    assert options["deployments"][0]["num_replicas"] == 3
    assert "autoscaling_config" not in options["deployments"][0]


def test_a_ray_service_has_what_the_resource_definition_asks_for() -> None:
    config = serve_config({"cafe": PLAN}, SCALE, SETTINGS)
    service = yaml.safe_load(as_yaml(ray_service(config, SCALE, name="cafe", image="example.com/rejoinder:1")))
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    assert set(service["spec"]) == {"serveConfigV2", "rayClusterConfig"}
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == config
    cluster = service["spec"]["rayClusterConfig"]
    assert set(cluster) == {"rayVersion", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"}
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] == workers["replicas"] == 1  # four replicas share its GPU
    assert workers["maxReplicas"] == 4  # while it is updated there are 16
    for group in (cluster["headGroupSpec"], workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = group["template"]["spec"]["containers"]
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        assert all(isinstance(one["value"], str) for one in container["env"])


@pytest.mark.parametrize(
    ("cpus", "gpus", "n_pods", "has"),
    [
        (2, 0, (3, 6), {"cpu": "2", "memory": "2Gi"}),
        (0.5, 0.4, (2, 3), {"cpu": "1", "memory": "4Gi", "nvidia.com/gpu": "1"}),
        (1, 2, (3, 6), {"cpu": "1", "memory": "2Gi", "nvidia.com/gpu": "2"}),
    ],
)
def test_a_pod_has_what_its_replicas_take(
    cpus: float, gpus: float, n_pods: tuple[int, int], has: dict[str, str]
) -> None:
    scale = Scale(min_replicas=3, max_replicas=3, cpus=cpus, gpus=gpus)
    config = serve_config({"cafe": PLAN}, scale, SETTINGS)
    service = ray_service(config, scale, name="cafe", image="image")
    (workers,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": has, "limits": has}
    assert (workers["replicas"], workers["maxReplicas"]) == n_pods


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (PLAN.model_copy(update={"domain": Path("/home/me/cafe")}), "domain: /home/me/cafe"),
        (PLAN.model_copy(update={"settings": Settings(keys=Path("/etc/keys.txt"))}), "keys: /etc/keys.txt"),
    ],
)
def test_files_that_pods_would_not_find_are_named(plan: Plan, says: str) -> None:
    config = serve_config({"cafe": plan}, SCALE, SETTINGS)
    with pytest.raises(SettingsError, match=says):
        ray_service(config, SCALE, name="cafe", image="image")


def test_pods_that_nobody_could_call_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"host: 127\.0\.0\.1"):
        ray_service(serve_config({"cafe": PLAN}, SCALE, Settings()), SCALE, name="cafe", image="image")


@pytest.mark.parametrize(
    ("settings", "scale", "says"),
    [
        (Settings(wyoming_port=10300), Scale(), "wyoming_port"),
        (Settings(store="sqlite:///calls.db"), Scale(), "postgresql"),
        (Settings(tls_certificate=Path("chain.pem")), Scale(), "tls_certificate"),
        (Settings(max_sessions=4), Scale(), "calls_per_replica"),
        (Settings(), Scale(min_replicas=3), "max_replicas"),
        (Settings(), Scale(gpus=1.5), "gpus"),
    ],
)
def test_what_does_not_go_on_a_cluster_is_refused(settings: Settings, scale: Scale, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        serve_config({"cafe": PLAN.model_copy(update={"settings": settings})}, scale, settings)


def test_a_name_that_kubernetes_does_not_take_is_refused() -> None:
    config = serve_config({"cafe": PLAN}, SCALE, SETTINGS)
    with pytest.raises(SettingsError, match="My_Shop"):
        ray_service(config, SCALE, name="My_Shop", image="image")
