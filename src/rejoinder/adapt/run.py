"""What `rejoinder adapt` does: measure, train, measure again, and promote what the gate lets through.

Each stage gives an `Adaptation`; the way from there to a promoted model is the same for all of them, and wherever it is
cut short nothing is promoted and the next run with the same domain, data and recipe goes on from there.
"""

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rejoinder import build
from rejoinder.adapt.gate import BOUNDS, Verdict, decide
from rejoinder.build import Card, Stage
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError
from rejoinder.progress import Progress, silent

LEAST_FREE_BYTES = 1_000_000_000
"""Room that an adaptation needs: synthetic speech, two checkpoints with the optimizer's state, the model."""

_MODEL, _SPENT = "model", "spent.json"


class Adaptation(Protocol):
    """What one stage does with a domain."""

    stage: Stage
    domain: Domain
    base: str
    """The pretrained model that is tuned."""

    @property
    def consent(self) -> str | None:
        """For a voice: the speaker's consent."""
        ...

    @property
    def recipe(self) -> Mapping[str, Any]:
        """How it is trained: what makes another training when it changes, and stands in the card."""
        ...

    def gather(self, progress: Progress) -> Mapping[str, Any]:
        """Read or make all data and check it; what there is, with hashes, for the card."""
        ...

    def train(self, folder: Path, progress: Progress) -> Path:
        """Fine-tune, resuming from what `folder` holds; returns a folder in it with the model and nothing else."""
        ...

    def measure(self, candidate: Path | None, progress: Progress) -> Mapping[str, float]:
        """The measures of `gate.BOUNDS` for a model that was trained; None: for what the assistant opens now."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an adaptation."""

    card: Card
    folder: Path
    resumed: bool
    """Whether an earlier run had begun it."""

    @property
    def promoted(self) -> bool:
        """Whether the assistant opens the new model from now on."""
        return self.card.verdict == build.PROMOTED_VERDICT


def adapt(
    adaptation: Adaptation,
    *,
    keep_work: bool = False,
    found: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Outcome:
    """Adapt one stage of a domain and promote the result if the gate lets it through.

    `found` is how a search came upon the recipe, for the card.

    Raises `AdaptError`, `ManifestError` or `ModelError` when that is not possible. After a `KeyboardInterrupt`, or
    when the process is killed, the same call goes on where it was; only a finished model is ever opened.
    """
    domain, stage = adaptation.domain, adaptation.stage
    _check_room(domain.folder)
    data = adaptation.gather(progress)
    key = build.digest(adaptation.base, data.get("train", data), adaptation.recipe)
    with build.work(domain.folder, stage, key) as work:
        resumed = any(work.iterdir())
        clock = _Clock(work / _SPENT)
        before = adaptation.measure(None, progress)
        model = work / _MODEL
        if not model.is_dir():
            try:
                made = adaptation.train(work, progress)
            finally:
                clock.save()
            made.rename(model)  # a run that is killed while measuring need not train again
        after = adaptation.measure(model, progress)
        verdict = decide(before, after, BOUNDS[stage])
        clock.save()
        if found:
            data = {**data, "search": found}
        card = _card(adaptation, data, before, after, verdict, clock.spent_s)
        folder = build.publish(model, domain.folder, card)
        if verdict.promoted:
            build.promote(domain.folder, stage, card.id)
        if not keep_work:
            build.forget_work(domain.folder, stage)
    return Outcome(Card.read(folder / build.CARD), folder, resumed)


def _card(
    adaptation: Adaptation,
    data: Mapping[str, Any],
    before: Mapping[str, float],
    after: Mapping[str, float],
    verdict: Verdict,
    spent_s: float,
) -> Card:
    created = build.now()
    return Card(
        id=build.new_id(created, adaptation.base, build.digest(data, adaptation.recipe)),
        stage=adaptation.stage,
        base=adaptation.base,
        created=created,
        data=data,
        recipe=adaptation.recipe,
        before=before,
        after=after,
        verdict=build.PROMOTED_VERDICT if verdict.promoted else build.ASIDE_VERDICT,
        reason=verdict.reason,
        minutes=round(spent_s / 60, 2),
        consent=adaptation.consent,
    )


def _check_room(folder: Path) -> None:
    """Raise `AdaptError` when the disk will be full before the model is finished."""
    n_free = shutil.disk_usage(folder).free
    if n_free < LEAST_FREE_BYTES:
        raise AdaptError(
            f"{folder}: only {n_free / 1e6:.0f} MB are free on this disk, and an adaptation needs about "
            f"{LEAST_FREE_BYTES / 1e6:.0f}; make room and type the same command"
        )


class _Clock:
    """How long an adaptation has taken over all runs that it needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()
        self._earlier_s = 0.0
        with suppress(OSError, ValueError, KeyError, TypeError):
            self._earlier_s = float(json.loads(path.read_text())["seconds"])

    @property
    def spent_s(self) -> float:
        return self._earlier_s + time.monotonic() - self._started

    def save(self) -> None:
        with suppress(OSError):  # worth nothing beside the checkpoint
            self._path.write_text(json.dumps({"seconds": round(self.spent_s, 1)}))
