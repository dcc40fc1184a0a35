"""The `Workforce` of a Ray cluster: many sentences by Ray Data, training by Ray Train."""

import logging
import math
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic

import ray
from ray.cloudpickle import dumps, loads

from rejoinder.adapt.cluster.reports import Told, followed, queue_of_reports
from rejoinder.adapt.workforce import Crew, Item, Result, Training, Work, do_all
from rejoinder.errors import AdaptError, RejoinderError
from rejoinder.progress import Progress, silent

N_AT_ONCE = 8
"""Items that an actor takes at a time: 2 s of synthesis, against some 10 ms that Ray adds."""

MOST_FAILURES = 3
"""How often a training whose workers died, or whose machine did, goes on from its checkpoint."""

_RUNS = "ray"
"""Ray Train's own notes, in the training's folder."""

_FAILED = "failed"
"""Beside them: there when it is of no use to begin again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayWorkforce:
    """Processes of the cluster that this process is connected to."""

    n_workers: int = 1
    n_cpus: int = 1
    """CPUs of each: threads for the same work in one process, as `torch.get_num_threads` for training."""
    gpus: bool = False
    """Whether each worker trains on a GPU of its own."""

    @contextmanager
    def crew(self, work: Work[Item, Result]) -> Iterator[Crew[Item, Result]]:
        """See `Workforce`: each call is a job of Ray Data, by a pool of actors in which the work is open."""
        yield partial(self._do, work)

    def train(self, training: Training, folder: Path, progress: Progress, *, alone: bool = False) -> Path:
        """See `Workforce`: a job of Ray Train.

        A worker that dies takes the others along, and all go on from the last checkpoint, which is in `folder`: a
        disk that all machines share. Raises `AdaptError` when they die again and again.
        """
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchTrainer

        runs = folder / _RUNS
        shutil.rmtree(runs, ignore_errors=True)
        runs.mkdir(parents=True)
        ended: list[Path | RejoinderError] = []

        def hear(report: Any) -> None:
            if isinstance(report, tuple):
                progress(*report)
            else:
                ended.append(report)

        with queue_of_reports() as queue:
            trainer = TorchTrainer(
                _train,
                train_loop_config={
                    "training": training,
                    "folder": folder,
                    "failed": runs / _FAILED,
                    "n_threads": self.n_cpus,
                    "queue": queue,
                },
                scaling_config=ScalingConfig(
                    num_workers=1 if alone else self.n_workers,
                    use_gpu=self.gpus,
                    resources_per_worker={"CPU": self.n_cpus, **({"GPU": 1} if self.gpus else {})},
                ),
                run_config=RunConfig(
                    name="training", storage_path=str(runs), failure_config=FailureConfig(max_failures=MOST_FAILURES)
                ),
            )
            with followed(queue, hear), _own_ctrl_c():
                try:
                    trainer.fit()
                except TrainingFailedError as error:
                    failure = AdaptError(
                        f"{folder}: training was begun {MOST_FAILURES + 1} times, and a worker died each time "
                        f"({_last_line(error)}); the same command goes on from the last checkpoint"
                    )
                    ended.append(failure)
        shutil.rmtree(runs, ignore_errors=True)
        if isinstance(ended[0], RejoinderError):
            raise ended[0]
        return ended[0]

    def _do(self, work: Work[Item, Result], items: Sequence[Item]) -> Iterator[Result]:
        if not items:
            return
        from ray.data import ActorPoolStrategy, DataContext

        logging.getLogger("ray.data").setLevel(logging.WARNING)
        context = DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        context.raise_original_map_exception = True
        n_threads = self.n_cpus if work.side_by_side else 1
        n_batches = math.ceil(len(items) / N_AT_ONCE)
        size = min(self.n_workers * self.n_cpus // n_threads, n_batches)
        # Not read by tasks, which would wait for a CPU that the actors have.
        rows = ray.data.from_items([{"item": _packed(item)} for item in items], override_num_blocks=n_batches)
        done = rows.map_batches(
            _Hands,
            fn_constructor_args=(_packed(work), n_threads),
            batch_size=None,
            compute=ActorPoolStrategy(size=size),
            num_cpus=n_threads,
        )
        for row in done.iter_rows():
            result = loads(row["result"])
            if isinstance(result, RejoinderError):
                raise result
            yield result


class _Hands(Generic[Item, Result]):
    """An actor of Ray Data, in which some work is open."""

    def __init__(self, packed: bytes, n_threads: int) -> None:
        self._n_threads = n_threads
        self._failed: RejoinderError | None = None
        try:
            work: Work[Item, Result] = loads(packed)
            self._open = work.opened()
            self._do: Callable[[Item], Result] = self._open.__enter__()
        except RejoinderError as error:  # told as a result: Ray would start the actor again and again
            self._failed = error

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The results; an error of ours stands for all that would have followed."""
        if self._failed is not None:
            return {"result": [_packed(self._failed)]}
        found: list[Any] = []
        try:
            found.extend(do_all(self._do, [loads(item) for item in batch["item"]], n_threads=self._n_threads))
        except RejoinderError as error:  # it is no machine's fault: not to be tried again
            found.append(error)
        return {"result": [_packed(result) for result in found]}


def _packed(value: object) -> bytes:
    """A value as Ray sends it: Arrow, in which rows travel, has no objects."""
    packed: bytes = dumps(value)  # type: ignore[no-untyped-call]
    return packed


def _train(config: Mapping[str, Any]) -> None:
    """What each worker of Ray Train does."""
    import torch
    from ray.train import get_context

    queue, failed = config["queue"], config["failed"]
    if failed.exists():  # Ray begins again, but wrong data, say, would be wrong again
        return
    torch.set_num_threads(config["n_threads"])
    leads = get_context().get_world_rank() == 0
    try:
        made = config["training"](folder=config["folder"], progress=Told(queue) if leads else silent)
    except RejoinderError as error:
        queue.put(error)
        failed.touch()
        raise
    if leads:
        queue.put(made)


@contextmanager
def _own_ctrl_c() -> Iterator[None]:
    """Take the handler of Ctrl-C away again that Ray Train leaves behind."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # elsewhere it left none, and none can be set
            signal.signal(signal.SIGINT, before)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
