"""A search for a recipe's settings, by Ray Tune: at random, the ones that there are first."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import RunConfig, TuneConfig, Tuner
from ray.tune.callback import Callback
from ray.tune.search import BasicVariantGenerator

from rejoinder.adapt.search import Between, Choices, Found, Try
from rejoinder.errors import AdaptError, RejoinderError
from rejoinder.progress import Progress, silent

SCORE = "score"


def search(
    attempt: Try,
    choices: Choices,
    before: Mapping[str, float],
    *,
    n_tries: int,
    n_cpus: int = 1,
    n_workers: int = 1,
    seed: int = 0,
    progress: Progress = silent,
) -> Found:
    """Try `before` and then others of `choices`, each in a process of its own, `n_workers` of them at the same time.

    A try that fails, or whose training diverges, counts as the worst. Raises `AdaptError` when all did.
    """
    space = {
        name: tune.loguniform(choice.low, choice.high) if isinstance(choice, Between) else tune.choice(choice.values)
        for name, choice in choices.items()
    }
    first = {name: value for name, value in before.items() if name in space}
    with tempfile.TemporaryDirectory(prefix="rejoinder-search-") as notes:
        results = Tuner(
            tune.with_resources(tune.with_parameters(_try, attempt=attempt, n_threads=n_cpus), {"cpu": n_cpus}),
            param_space=space,
            tune_config=TuneConfig(
                metric=SCORE,
                mode="min",
                num_samples=n_tries,
                max_concurrent_trials=n_workers,
                search_alg=BasicVariantGenerator(points_to_evaluate=[first], random_state=seed),
            ),
            run_config=RunConfig(storage_path=notes, name="search", verbose=0, callbacks=[_Shown(progress, n_tries)]),
        ).fit()
        tries = [
            (result.metrics or {}, result.config or {}) for result in map(results.__getitem__, range(len(results)))
        ]
    scores = [float(metrics.get(SCORE, math.inf)) for metrics, _ in tries]
    best = min(range(len(scores)), key=lambda n: scores[n])
    if not math.isfinite(scores[best]):
        reason = next((str(metrics["error"]) for metrics, _ in tries if metrics.get("error")), "its process died")
        raise AdaptError(f"none of the {n_tries} tries of --tune came to an end: {reason}")
    (was,) = [score for score, (_, config) in zip(scores, tries, strict=True) if config == first][:1] or [math.inf]
    return Found(
        settings={name: f"{value:.4g}" for name, value in tries[best][1].items()},
        score=round(scores[best], 6),
        score_before=round(was, 6),
        n_tries=n_tries,
    )


def _try(config: Mapping[str, float], *, attempt: Try, n_threads: int) -> None:
    """One try, in a process of Ray Tune's."""
    import torch

    torch.set_num_threads(n_threads)
    with tempfile.TemporaryDirectory(prefix="rejoinder-try-") as folder:
        try:
            score = attempt({name: f"{value:.4g}" for name, value in config.items()}, Path(folder))
        except RejoinderError as error:
            tune.report({SCORE: math.inf, "error": str(error)})
        else:
            tune.report({SCORE: score if math.isfinite(score) else math.inf})


class _Shown(Callback):
    """Shows each try that is over."""

    def __init__(self, progress: Progress, n_tries: int) -> None:
        self._progress = progress
        self._n_tries = n_tries
        self._scores: list[float] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        """See Ray Tune."""
        self._scores.append(float(trial.last_result.get(SCORE, math.inf)))
        self._progress("searching settings", len(self._scores), self._n_tries, f"best {min(self._scores):.4g}")
