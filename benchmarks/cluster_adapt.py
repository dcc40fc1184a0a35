"""Adaptation on a cluster: `make bench-cluster`, or `python -m benchmarks.cluster_adapt`.

The nodes are processes of this machine, with a CPU each, and share its cores with the process that they are compared
with: the figures show what Ray adds, and that the results are the same, but not how fast many machines are.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.cluster import RESULTS
from benchmarks.corpus import CAFE
from benchmarks.nodes import machines
from rejoinder.adapt.asr.recipe import Recipe
from rejoinder.adapt.asr.training import fine_tune
from rejoinder.adapt.cluster.domains import DomainOrder, side_by_side
from rejoinder.adapt.cluster.workforce import RayWorkforce
from rejoinder.adapt.plan import AdaptOptions, plan
from rejoinder.adapt.run import Outcome, adapt
from rejoinder.adapt.synthetic import domain_sentences, speak
from rejoinder.adapt.trainer import CHECKPOINT, TrainingOptions
from rejoinder.adapt.voices import training_voices
from rejoinder.adapt.workforce import THIS_PROCESS, Workforce
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.manifest import Utterance
from rejoinder.progress import silent

N_SENTENCES = 160
N_LEARNED = 64
N_STEPS_AT_ONCE = 8
SETTINGS = {"n_sentences": "40", "n_replayed": "16", "n_epochs": "1"}
"""Of the two small domains that are adapted side by side."""

DOMAIN = """
name: {name}
slots:
  size: [small, large, {other}]
intents:
  order:
    slots: {{size: {{required: true, ask: Which size?}}}}
    patterns: ["(I want|give me|can I have|I would like) a {{size}} (box|bag|cup) [please|today]"]
    reply: A {{size}} one.
  hours:
    examples: [when are you open, what are your opening hours, are you open today]
    reply: We are open from nine to five.
"""

Made = TypeVar("Made")


def timed(act: Callable[[], Made]) -> tuple[float, Made]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    made = act()
    return round(time.perf_counter() - began, 1), made


def synthesis(folder: Path) -> tuple[dict[str, Any], tuple[Utterance, ...]]:
    """Sentences of the cafe, spoken by this process with a thread, and by one and two nodes of the cluster."""
    domain = Domain.load(CAFE)
    texts = domain_sentences(domain, n=N_SENTENCES, seed=1)
    speak(texts[:2], voices=training_voices(), folder=folder / "warm")

    def spoken(name: str, workforce: Workforce) -> tuple[float, tuple[Utterance, ...]]:
        voices = training_voices()
        return timed(lambda: speak(texts, voices=voices, terms=domain.terms, folder=folder / name, workforce=workforce))

    here_s, here = spoken("here", THIS_PROCESS)
    one_s, by_one = spoken("one", RayWorkforce(n_workers=1))
    two_s, by_two = spoken("two", RayWorkforce(n_workers=2))
    content = [[clip.audio.read_bytes() for clip in clips] for clips in (here, by_one, by_two)]
    figures = {
        "n_sentences": len(texts),
        "here_with_a_thread_a_core_s": here_s,
        "one_node_s": one_s,
        "two_nodes_s": two_s,
        "same": content[0] == content[1] == content[2],
    }
    return figures, here


def tuning(clips: tuple[Utterance, ...], folder: Path) -> dict[str, Any]:
    """A short fine-tuning of moonshine-tiny, here with one thread, by one worker, and by two."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    options = TrainingOptions(learning_rate=1e-4, n_epochs=1, batch_size=N_STEPS_AT_ONCE, device="cpu")
    training = partial(fine_tune, "moonshine-tiny", clips[:N_LEARNED], recipe=Recipe(training=options))

    def tuned(name: str, workforce: Workforce) -> tuple[float, dict[str, Any], Path]:
        (folder / name).mkdir()
        took_s, made = timed(lambda: workforce.train(training, folder / name, silent))
        weights = load_file(folder / name / CHECKPOINT)
        return took_s, {key: one for key, one in weights.items() if key.startswith("weights/")}, made

    here_s, here, made_here = tuned("tuned-here", THIS_PROCESS)
    one_s, by_one, made_by_one = tuned("tuned-one", RayWorkforce(n_workers=1))
    two_s, by_two, _ = tuned("tuned-two", RayWorkforce(n_workers=2))
    files = [
        {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()} for made in (made_here, made_by_one)
    ]
    farthest = max(float((here[name] - by_two[name]).abs().max()) for name in here)
    return {
        "n_steps": N_LEARNED // N_STEPS_AT_ONCE,
        "here_s": here_s,
        "one_worker_s": one_s,
        "two_workers_s": two_s,
        "one_worker_same_weights": all(bool((here[name] == by_one[name]).all()) for name in here),
        "one_worker_same_files": files[0] == files[1],
        "two_workers_farthest_weight": float(f"{farthest:.2g}"),
    }


def domains(folder: Path) -> dict[str, Any]:
    """Two small domains, one after the other here, and side by side on the cluster; each run with an empty cache."""
    options = AdaptOptions(settings=SETTINGS, device="cpu")

    def made(where: str) -> dict[str, Path]:
        found = {}
        for name, other in (("shop", "huge"), ("depot", "tiny")):
            found[name] = folder / where / name
            found[name].mkdir(parents=True)
            (found[name] / "domain.yaml").write_text(DOMAIN.format(name=name, other=other))
        return found

    def here() -> dict[str, Outcome]:
        return {name: adapt(plan(Domain.load(path), Stage.ASR, options)) for name, path in made("here").items()}

    def there() -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}

        def hear(name: str, report: Any) -> None:
            if isinstance(report, Outcome):
                found[name] = report

        orders = {
            name: DomainOrder(folder=path, stages=(Stage.ASR,), options=options) for name, path in made("there").items()
        }
        assert not side_by_side(orders, hear)
        return found

    with _cache(folder / "cache-here"):
        here_s, one = timed(here)
    there_s, other = timed(there)
    return {
        "n_domains": len(one),
        "here_one_after_the_other_s": here_s,
        "side_by_side_s": there_s,
        "same_measures": all(
            (one[name].card.before, one[name].card.after) == (other[name].card.before, other[name].card.after)
            for name in one
        ),
        "same_files": all(one[name].card.hashes == other[name].card.hashes for name in one),
    }


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    before = os.environ["REJOINDER_CACHE"]
    os.environ["REJOINDER_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ["REJOINDER_CACHE"] = before


def main() -> None:
    """Run, print, add to the JSON."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="rejoinder-bench-") as scratch:
        folder = Path(scratch)
        os.environ["REJOINDER_CACHE"] = str(folder / "cache")
        figures: dict[str, Any] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores shared by all nodes, and by others",
            "date": date.today().isoformat(),
        }

        def note(name: str, measured: dict[str, Any]) -> None:
            figures[name] = {**measured, "load": round(os.getloadavg()[1], 1)}
            print(f"{name}: {json.dumps(figures[name])}", flush=True)
            known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            RESULTS.write_text(json.dumps({**known, "adapt": figures}, indent=2) + "\n")

        with machines(2):
            spoken, clips = synthesis(folder)
            note("synthesis", spoken)
            note("fine_tuning", tuning(clips, folder))
            note("domains", domains(folder))


if __name__ == "__main__":
    main()
