"""`rejoinder deploy`, and what `rejoinder serve --ray` does: the server on Ray."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.commands import main, settings_of, shared_options
from rejoinder.errors import SettingsError, require_extra

if TYPE_CHECKING:
    from rejoinder.serve.cluster.plan import Plan, Scale
    from rejoinder.serve.settings import Settings

SCALING = ("replicas", "calls_per_replica", "cpus", "gpus")
"""What `scale_options` adds to a command."""

_PATH = click.Path(path_type=Path)


def scale_options(command: Any) -> Any:
    """Let a command take how many replicas there are."""
    for option in reversed(
        (
            click.option(
                "--replicas", metavar="N[-M]", default="1", show_default=True, help="Replicas, or from N to M."
            ),
            click.option(
                "--calls-per-replica", type=float, default=8.0, show_default=True, help="Live calls on average."
            ),
            click.option("--cpus", type=float, default=1.0, show_default=True, help="Cores of a replica."),
            click.option("--gpus", type=float, default=0.0, show_default=True, help="GPUs of a replica: 0.25, say."),
        )
    ):
        command = option(command)
    return command


@main.command(
    epilog="""\b
Examples:
  rejoinder deploy /domains/shop --config server.yaml --replicas 2-8
  rejoinder deploy /domains/shop /domains/bank --config server.yaml     at /shop/ and /bank/
  rejoinder deploy /domains/shop --config server.yaml --config-out serve.yaml
  rejoinder deploy /domains/shop --config server.yaml --kuberay shop.yaml --image example.com/rejoinder:1

\b
Type the same again after a promotion: replicas are replaced one by one, and calls go on. Domains
that are not named any more end."""
)
@click.argument("folders", metavar="DOMAIN...", nargs=-1, required=True, type=_PATH)
@click.option("--config", metavar="FILE", type=_PATH, help="YAML file with settings, as of rejoinder serve.")
@click.option("--address", metavar="URL", default="http://127.0.0.1:8265", show_default=True, help="Ray's dashboard.")
@click.option("--drain-s", type=float, default=3600.0, show_default=True, help="How long calls go on in an update.")
@click.option("--config-out", metavar="FILE", type=_PATH, help="Write what 'serve deploy' takes, and stop.")
@click.option("--kuberay", metavar="FILE", type=_PATH, help="Write a RayService for Kubernetes, and stop.")
@click.option("--image", metavar="NAME", help="For --kuberay: an image with rejoinder[ray,serve].")
@scale_options
@shared_options
@click.pass_context
def deploy(
    ctx: click.Context,
    /,
    folders: tuple[Path, ...],
    *,
    config: Path | None,
    address: str,
    config_out: Path | None,
    kuberay: Path | None,
    image: str | None,
    **scaling: Any,
) -> None:
    """Have a Ray cluster serve the assistants of DOMAINs, each below its own path where there are several.

    The folders must be at the same place on every machine of the cluster.
    """
    require_extra("serve", "fastapi")
    require_extra("ray", "ray")
    from rejoinder.serve.cluster import manifest
    from rejoinder.serve.cluster.deploying import deploy as deploy_config
    from rejoinder.serve.settings import resolve

    settings = resolve(file=config).settings
    settings.check()
    scale = _scale(scaling)
    plans = {folder.resolve().name: _plan(folder, settings, scale, settings_of(ctx).device) for folder in folders}
    if len(plans) < len(folders):
        raise SettingsError("two domains are in folders of the same name, which is the path that they are served at")
    made = manifest.serve_config(plans, scale, settings)
    if config_out is not None:
        _write(config_out, manifest.as_yaml(made))
        click.echo(f"Written. Type: serve deploy {config_out}")
    if kuberay is not None:
        if image is None:
            raise click.UsageError("which image? Add: --image NAME", ctx)
        service = manifest.ray_service(made, scale, name=next(iter(plans)), image=image)
        _write(kuberay, manifest.as_yaml(service))
        click.echo(f"Written. Type: kubectl apply -f {kuberay}")
    if config_out is None and kuberay is None:
        deploy_config(made, address, told=lambda name, status: click.echo(f"{name}: {status.lower()}"))


def serve_on_ray(ctx: click.Context, folder: Path, settings: "Settings", scaling: Mapping[str, Any]) -> None:
    """Serve on a Ray of its own, until it is told to end."""
    require_extra("ray", "ray")
    from rejoinder.serve.cluster.local import serve

    settings.check()
    scale = _scale(scaling)
    plan = _plan(folder, settings, scale, settings_of(ctx).device)
    serve(plan, scale, settings, listening=lambda url: click.echo(f"Serving {plan.domain.name} on {url}"))


def _write(file: Path, text: str) -> None:
    """For its owner's eyes: the settings may hold the password of a database."""
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def _scale(given: Mapping[str, Any]) -> "Scale":
    from rejoinder.serve.cluster.plan import Scale

    least, _, most = str(given["replicas"]).partition("-")
    try:
        replicas = {"min_replicas": int(least), "max_replicas": int(most or least)}
        return Scale(**replicas, **{name: value for name, value in given.items() if name != "replicas"})
    except ValueError as error:
        raise SettingsError(f"--replicas is a number, or two: 2-8; all of these are above zero ({given})") from error


def _plan(folder: Path, settings: "Settings", scale: "Scale", device: str) -> "Plan":
    from rejoinder.domain import Domain
    from rejoinder.serve.cluster.plan import Plan, models_of

    Domain.load(folder)  # says what is wrong with it before a cluster does
    folder = folder.resolve()
    # Replicas run in folders of their own.
    files = {"keys": settings.keys, "twilio_token": settings.twilio_token}
    settings = settings.model_copy(update={name: file and file.resolve() for name, file in files.items()})
    n_threads = max(1, round(scale.cpus))
    return Plan(domain=folder, settings=settings, device=device, n_threads=n_threads, models=models_of(folder))
