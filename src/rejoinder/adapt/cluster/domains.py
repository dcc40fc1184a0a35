"""Several domains side by side: each has a process of its own on the cluster, which shares out its work from there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import ray
from ray.exceptions import RayError
from ray.util.queue import Queue

from rejoinder.adapt.cluster.reports import followed, queue_of_reports
from rejoinder.adapt.cluster.tuning import search
from rejoinder.adapt.cluster.workforce import RayWorkforce
from rejoinder.adapt.plan import AdaptOptions, default_stages, plan
from rejoinder.adapt.run import Adaptation, Outcome, adapt
from rejoinder.adapt.search import SEARCHED, Found, Searchable, current
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError, RejoinderError, one_of
from rejoinder.progress import Progress

N_PROCESS_LOSSES = 2
"""How often a domain whose process died, or whose machine did, goes on on another one."""

Order: TypeAlias = Callable[[Progress, Callable[[Outcome], None]], None]
"""Adapts one domain, and calls the second with each stage's outcome. It can be pickled."""

Hearing: TypeAlias = Callable[[str, "Outcome | tuple[str, int, int, str]"], None]
"""Called with a domain's name and an outcome, or the arguments of a `Progress`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainOrder:
    """What is to be done with a domain: an `Order`."""

    folder: Path
    """On every machine."""
    stages: tuple[Stage, ...] = ()
    """None: all that the domain has data for."""
    options: AdaptOptions = field(default_factory=AdaptOptions)
    n_tries: int = 0
    """Settings to try before; see `search`."""
    keep_work: bool = False
    workforce: RayWorkforce = field(default_factory=RayWorkforce)

    def __call__(self, progress: Progress, done: Callable[[Outcome], None]) -> None:
        """Adapt one stage after the other; what is promoted serves the next."""
        domain = Domain.load(self.folder)
        stages = self.stages or default_stages(domain, voice=self.options.voice_data is not None)

        def planned(stage: Stage, settings: Mapping[str, str] | None = None) -> Adaptation:
            return plan(domain, stage, self.options, among=stages, workforce=self.workforce, found=settings)

        for stage, adaptation in [(stage, planned(stage)) for stage in stages]:
            if not self.n_tries:
                done(adapt(adaptation, keep_work=self.keep_work, progress=progress))
                continue
            found = self._search(adaptation, progress)
            outcome = adapt(
                planned(stage, found.settings), keep_work=self.keep_work, found=found.describe(), progress=progress
            )
            done(outcome)

    def _search(self, adaptation: Adaptation, progress: Progress) -> Found:
        """Search the settings that the user has not given; raises `AdaptError` where there are none to search."""
        if not isinstance(adaptation, Searchable):
            raise AdaptError(f"--tune is for the stages {' and '.join(SEARCHED)}, and not for '{adaptation.stage}'")
        given = {*self.options.settings, *(["n_epochs"] if self.options.n_epochs is not None else [])}
        before = current(adaptation.recipe, set(adaptation.choices) - given)
        if not before:
            raise AdaptError(f"--tune: all settings that it searches are given ({one_of(tuple(adaptation.choices))})")
        adaptation.gather(progress)
        return search(
            adaptation.attempt(),
            {name: adaptation.choices[name] for name in before},
            before,
            n_tries=self.n_tries,
            n_cpus=self.workforce.n_cpus,
            n_workers=self.workforce.n_workers,
            seed=self.options.seed or 0,
            progress=progress,
        )


def side_by_side(orders: Mapping[str, Order], hear: Hearing) -> dict[str, RejoinderError]:
    """Do what is ordered for each domain, all at once; the errors of those that failed, whatever becomes of others."""
    errors: dict[str, RejoinderError] = {}
    with queue_of_reports() as queue:
        running = {
            name: ray.remote(_run).options(num_cpus=0, max_retries=N_PROCESS_LOSSES).remote(name, order, queue)
            for name, order in orders.items()
        }
        with followed(queue, lambda report: hear(*report)):
            for name, task in running.items():
                try:
                    error = ray.get(task)
                except RayError as lost:
                    error = AdaptError(
                        f"its process came to no end ({str(lost).strip().splitlines()[-1]}); type the same command to "
                        "go on where it was"
                    )
                if error is not None:
                    errors[name] = error
    return errors


def _run(name: str, order: Order, queue: Queue) -> RejoinderError | None:
    """What the process of a domain does."""

    def progress(task: str, n_done: int, n_total: int, note: str = "") -> None:
        queue.put((name, (task, n_done, n_total, note)))

    try:
        order(progress, lambda outcome: queue.put((name, outcome)))
    except RejoinderError as error:
        return error
    return None
