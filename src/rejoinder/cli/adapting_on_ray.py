"""What `rejoinder adapt --ray` does: several domains at the same time, by the processes of a cluster."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.bars import Bars
from rejoinder.errors import AdaptError, require_extra

if TYPE_CHECKING:
    from rejoinder.adapt.plan import AdaptOptions
    from rejoinder.adapt.run import Outcome
    from rejoinder.build import Stage

OPTIONS = ("address", "workers", "cpus", "tune")
"""What only goes with --ray."""


def ray_options(command: Any) -> Any:
    """Let a command take how a cluster is to adapt."""
    for option in reversed(
        (
            click.option("--ray", "ray", is_flag=True, help="Adapt by Ray: several DOMAINs, and more processes."),
            click.option(
                "--address", metavar="ADDRESS", help="A Ray cluster: auto, ray://…; without it, one is started here."
            ),
            click.option(
                "--workers", metavar="N", type=click.IntRange(min=1), default=1, help="Processes for each DOMAIN."
            ),
            click.option(
                "--cpus", metavar="N", type=click.IntRange(min=1), help="CPUs of each; all that there are, shared out."
            ),
            click.option(
                "--tune", metavar="N", type=click.IntRange(min=1), help="asr, nlu: try N settings, take the best."
            ),
        )
    ):
        command = option(command)
    return command


def adapt_on_ray(
    folders: Sequence[Path],
    stages: tuple["Stage", ...],
    chosen: "AdaptOptions",
    given: Mapping[str, Any],
    show: Callable[["Outcome", Path], None],
) -> tuple[bool, Mapping[str, Exception]]:
    """Adapt all domains; whether a model was kept aside, and the errors by domain.

    `given` are the command's options, `show` is called with each model as soon as it is there.
    """
    require_extra("ray", "ray")
    from rejoinder.adapt.cluster.connection import connected
    from rejoinder.adapt.cluster.domains import DomainOrder, side_by_side
    from rejoinder.adapt.cluster.workforce import RayWorkforce
    from rejoinder.adapt.search import SEARCHED

    if given["tune"] and not set(stages or SEARCHED) <= set(SEARCHED):
        raise AdaptError(f"--tune is for the stages {' and '.join(SEARCHED)}; name them: rejoinder adapt DOMAIN asr …")
    named = _named(folders)
    aside = False
    with Bars() as bars, connected(given["address"]) as resources:
        n_cpus, workers = int(resources.get("CPU", 0)), given["workers"]
        cpus = given["cpus"] or max(1, n_cpus // (workers * len(named)))
        if workers * cpus > n_cpus:
            raise AdaptError(
                f"{workers} workers with {cpus} CPUs each are more than Ray has ({n_cpus}); give fewer --workers"
            )

        gpus = chosen.device != "cpu" and resources.get("GPU", 0) >= workers * len(named)

        def hear(name: str, report: Any) -> None:
            nonlocal aside
            if isinstance(report, tuple):
                task, *rest = report
                bars(f"{name}: {task}", *rest)
            else:
                aside |= not report.promoted
                show(report, named[name])

        orders = {
            name: DomainOrder(
                folder=folder,
                stages=stages,
                options=chosen,
                n_tries=given["tune"] or 0,
                keep_work=given["keep_work"],
                workforce=RayWorkforce(n_workers=workers, n_cpus=cpus, gpus=gpus),
            )
            for name, folder in named.items()
        }
        errors = side_by_side(orders, hear)
    return aside, errors


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """The domains' folders by the names that they are shown by: the last part of the path, where that tells them."""
    resolved = list(dict.fromkeys(folder.resolve() for folder in folders))
    names = [folder.name for folder in resolved]
    return {folder.name if names.count(folder.name) == 1 else str(folder): folder for folder in resolved}
