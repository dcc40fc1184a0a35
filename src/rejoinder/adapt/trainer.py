"""The training loop that every stage shares: schedule, averaging, early stopping, checkpoints, resume, seeds.

Everything random is drawn from the seed and the number of the step, and nothing else: a training that was killed goes
on from its last checkpoint and ends with the weights that it would have had without the interruption. Checkpoints are
safetensors, never pickles. Where several processes train together (`Team`), each takes a part of every batch.
"""

import hashlib
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from rejoinder.adapt.checkpoint import CHECKPOINT, Checkpoint
from rejoinder.adapt.team import Team
from rejoinder.errors import AdaptError
from rejoinder.progress import Progress, silent

Example = TypeVar("Example")
Batch = Mapping[str, Tensor]

N_BATCHES_IN_POOL = 50
"""Examples are sorted by length within pools of so many batches: little padding, and yet batches that vary."""

__all__ = ["CHECKPOINT", "Batch", "Trainer", "TrainingOptions", "TrainingResult", "torch_device", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How to train."""

    learning_rate: float
    rates: Mapping[str, float] = field(default_factory=dict)
    """Other learning rates, of the weights whose names begin so, {"encoder.": 1e-5}: the first that fits counts."""
    n_epochs: int = 2
    batch_size: int = 8
    warmup_share: float = 0.1
    """Share of the steps in which the learning rate rises; then it falls linearly to zero."""
    weight_decay: float = 0.01
    """Of matrices only, as is usual: never of biases and scales."""
    max_grad_norm: float = 1.0
    average: float | None = None
    """Decay of an exponential moving average of the weights (0.999), which is then what is validated and kept."""
    patience: int | None = None
    """Stop after so many epochs that validated no better than the best; None: never."""
    checkpoint_every_s: float = 60.0
    seed: int = 0
    device: str = "auto"
    """"cpu", "cuda", or "auto": CUDA, with mixed precision, where PyTorch has it."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What became of a training."""

    n_steps: int
    losses: tuple[float, ...]
    """The mean of each epoch."""
    scores: tuple[float, ...]
    """Of each validation; less is better."""
    n_micro_batches: int
    """Into how many parts a batch was cut, because memory did not suffice for more at once."""
    minutes: float
    """Spent in this process; a resumed training has spent more before."""


@dataclass(slots=True)
class _Run:
    """Where a training is; what a checkpoint holds besides tensors."""

    step: int = 0
    n_micro_batches: int = 1
    n_epochs_without_gain: int = 0
    losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    sum_of_losses: float = 0.0
    """Of the epoch under way."""


class Trainer(Generic[Example]):
    """One training; `train` makes and runs it."""

    def __init__(
        self,
        model: nn.Module,
        examples: Sequence[Example],
        *,
        loss: Callable[[nn.Module, Batch], Tensor],
        collate: Callable[[Sequence[Example], np.random.Generator], Batch],
        length: Callable[[Example], float] | None,
        options: TrainingOptions,
        folder: Path,
        key: str = "",
    ) -> None:
        self.device = torch_device(options.device)
        self.model = model.to(self.device)
        self._examples = examples
        self._loss = loss
        self._collate = collate
        self._lengths = [length(example) for example in examples] if length else None
        self._options = options
        self._folder = folder
        self._team = Team.of_this_process()
        self._trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._optimizer = torch.optim.AdamW(_groups(self._trained, options), fused=True)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self.device.type == "cuda")
        self._average = self._weights() if options.average else None
        self._best: dict[str, Tensor] | None = None
        self._run = _Run()
        self.n_steps_in_epoch = max(1, math.ceil(len(examples) / options.batch_size))
        self.n_steps = self.n_steps_in_epoch * options.n_epochs
        self._key = self._fingerprint(key)

    def run(self, validate: Callable[[nn.Module], float] | None, progress: Progress) -> TrainingResult:
        """Train to the end, from the last checkpoint if there is one; see `train`."""
        started = saved = time.monotonic()
        self._resume()
        batches: list[list[int]] = []
        with _interrupts_wait() as interrupted:
            while self._run.step < self.n_steps and not self._stopped_early():
                epoch, in_epoch = divmod(self._run.step, self.n_steps_in_epoch)
                if not batches or in_epoch == 0:
                    batches = self._batches(epoch)
                self._run.sum_of_losses += self._step([self._examples[n] for n in batches[in_epoch]])
                self._run.step += 1
                mean = self._run.sum_of_losses / (in_epoch + 1)
                progress("training", self._run.step, self.n_steps, f"epoch {epoch + 1}, loss {mean:.3f}")
                if in_epoch + 1 == self.n_steps_in_epoch:
                    self._end_epoch(mean, validate)
                if interrupted.is_set() or time.monotonic() - saved > self._options.checkpoint_every_s:
                    self._save()
                    saved = time.monotonic()
                if interrupted.is_set():
                    raise KeyboardInterrupt
        self._save()  # what comes after training may be killed, too
        final = self._best or self._average
        if final is not None:
            self._put(final)
        run = self._run
        minutes = (time.monotonic() - started) / 60
        return TrainingResult(run.step, run.losses, run.scores, run.n_micro_batches, minutes)

    def _step(self, examples: Sequence[Example]) -> float:
        """One update of the weights; the mean loss of its examples."""
        while True:
            try:
                return self._update(examples)
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                if self._run.n_micro_batches >= len(self._team.part(examples)[1]):
                    raise AdaptError(
                        "memory does not suffice to train on one example at a time; "
                        "take shorter examples, a smaller model (--base) or a machine with more memory"
                    ) from error
                self._run.n_micro_batches *= 2
                self._optimizer.zero_grad(set_to_none=True)
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _update(self, examples: Sequence[Example]) -> float:
        options, step = self._options, self._run.step
        self.model.train()
        first, own = self._team.part(examples)
        torch.manual_seed(hash((options.seed, step, *([first] if first else []))) & 0xFFFF_FFFF)  # dropout
        size = max(1, math.ceil(len(own) / self._run.n_micro_batches))
        total = 0.0
        for at in range(0, len(own), size):
            part = own[at : at + size]
            batch = self._collate(part, np.random.default_rng([options.seed, step, first + at]))
            batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
            with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
                loss = self._loss(self.model, batch) * (len(part) / len(examples))
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        total = self._team.add_up(list(self._trained.values()), total)
        if not math.isfinite(total):
            raise AdaptError(f"the training diverged at step {step} (loss {total}); take a smaller learning rate")
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self._trained.values(), options.max_grad_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * self._schedule(step)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average is not None and options.average:
            decay = min(options.average, (step + 1) / (step + 10))  # as TensorFlow's ExponentialMovingAverage begins
            for name, weight in self._trained.items():
                self._average[name].lerp_(weight.detach(), 1 - decay)
        return total

    def _schedule(self, step: int) -> float:
        """Share of the learning rate at a step."""
        n_warmup = max(1, round(self._options.warmup_share * self.n_steps))
        return min((step + 1) / n_warmup, (self.n_steps - step) / max(1, self.n_steps - n_warmup))

    def _batches(self, epoch: int) -> list[list[int]]:
        """The examples of an epoch by number, shuffled, those of about the same length together."""
        rng, size = np.random.default_rng([self._options.seed, epoch]), self._options.batch_size
        order = rng.permutation(len(self._examples)).tolist()
        lengths = self._lengths
        if lengths is not None:
            pool = N_BATCHES_IN_POOL * size
            pools = [sorted(order[at : at + pool], key=lambda n: lengths[n]) for at in range(0, len(order), pool)]
            order = [n for part in pools for n in part]
        batches = [order[at : at + size] for at in range(0, len(order), size)]
        return [batches[n] for n in rng.permutation(len(batches))]

    def _end_epoch(self, mean_loss: float, validate: Callable[[nn.Module], float] | None) -> None:
        self._run.losses += (mean_loss,)
        self._run.sum_of_losses = 0.0
        if validate is None:
            return
        own = self._weights()
        if self._average is not None:
            self._put(self._average)
        self.model.eval()
        with torch.no_grad():
            score = self._team.firsts(validate(self.model) if self._team.leads else math.nan)
        better = score < min(self._run.scores, default=math.inf)
        if better:
            self._best = self._weights()
        self._put(own)
        self._run.scores += (score,)
        self._run.n_epochs_without_gain = 0 if better else self._run.n_epochs_without_gain + 1

    def _stopped_early(self) -> bool:
        patience = self._options.patience
        return patience is not None and self._run.n_epochs_without_gain >= patience

    def _weights(self) -> dict[str, Tensor]:
        return {name: weight.detach().clone() for name, weight in self._trained.items()}

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self._trained.items():
                weight.copy_(weights[name])

    def _fingerprint(self, key: str) -> str:
        """Changes with whatever makes a checkpoint another training's."""
        options = {k: v for k, v in asdict(self._options).items() if k not in ("checkpoint_every_s", "device")}
        shapes = {name: list(weight.shape) for name, weight in self._trained.items()}
        start = hashlib.sha256()
        for weight in self._trained.values():
            start.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        text = json.dumps([options, shapes, len(self._examples), self._lengths, start.hexdigest(), key], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _save(self) -> None:
        """Write a checkpoint."""
        if not self._team.leads:
            return
        tensors = {f"weights/{name}": weight.detach() for name, weight in self._trained.items()}
        for kind, weights in (("average", self._average), ("best", self._best)):
            tensors |= {f"{kind}/{name}": weight for name, weight in (weights or {}).items()}
        for name, weight in self._trained.items():
            for moment, tensor in self._optimizer.state.get(weight, {}).items():
                tensors[f"adam.{moment}/{name}"] = tensor
        scaler = {k: v for k, v in self._scaler.state_dict().items() if isinstance(v, (int, float))}
        about = {"key": self._key, "run": json.dumps(asdict(self._run)), "scaler": json.dumps(scaler)}
        Checkpoint(about, tensors).write(self._folder)

    def _resume(self) -> None:
        """Go on from the checkpoint, if there is one of this very training, and all from the same."""
        found = Checkpoint.read(self._folder, self._key, self.device) if self._team.leads else None
        about = self._team.firsts(found and dict(found.about))
        if about is None and self._team.size == 1:
            return
        if about is None:
            self._put(self._team.firsts_tensors(self._weights(), self.device))
            return
        found = Checkpoint(about, self._team.firsts_tensors(found.tensors if found else {}, self.device))
        self._put(found.of_kind("weights"))
        self._average, self._best = found.of_kind("average") or None, found.of_kind("best") or None
        for kind in found.kinds:
            if kind.startswith("adam."):
                for name, tensor in found.of_kind(kind).items():
                    self._optimizer.state[self._trained[name]][kind.removeprefix("adam.")] = tensor
        if scaler := json.loads(about["scaler"]):
            self._scaler.load_state_dict({**self._scaler.state_dict(), **scaler})
        run = json.loads(about["run"])
        self._run = _Run(**{**run, "losses": tuple(run["losses"]), "scores": tuple(run["scores"])})


def train(
    model: nn.Module,
    examples: Sequence[Example],
    *,
    loss: Callable[[nn.Module, Batch], Tensor],
    collate: Callable[[Sequence[Example], np.random.Generator], Batch],
    options: TrainingOptions,
    folder: Path,
    key: str = "",
    length: Callable[[Example], float] | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Train `model` in place, on the parameters that require a gradient, and leave the best weights in it.

    `collate` makes a batch of named tensors from examples, drawing what is random (augmentation) from its generator;
    `loss` is the mean over the batch. With `length`, examples of like length share a batch. `validate` is called after
    each epoch and gives a score, less is better; without it the last (or averaged) weights are kept.

    `folder` holds the checkpoint; a call with the same options, number of examples, starting weights and `key`, which
    stands for whatever else may differ, goes on where an earlier one was killed or interrupted, and returns at once
    where it had ended: delete the folder when the result is in its place. Where memory does not suffice, batches are
    cut into parts whose gradients are added up. In a process group of PyTorch's all members call this alike, and end
    with the same weights.

    Raises `AdaptError` when there is nothing to train on, when the training diverges, when not even one example fits,
    or when the checkpoint cannot be written; `KeyboardInterrupt` only after a checkpoint.
    """
    if not examples:
        raise AdaptError("there is nothing to train on: no example was given")
    trainer = Trainer(
        model, examples, loss=loss, collate=collate, length=length, options=options, folder=folder, key=key
    )
    return trainer.run(validate, progress)


def torch_device(name: str) -> torch.device:
    """Where to train: "cpu", "cuda" or "auto". Raises `AdaptError` when there is no such device."""
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise AdaptError("PyTorch sees no CUDA device here; type --device cpu, or see: rejoinder doctor")
    if name not in ("auto", "cpu", "cuda"):
        raise AdaptError(f"unknown device '{name}' (known: auto, cpu, cuda)")
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def _groups(weights: Mapping[str, nn.Parameter], options: TrainingOptions) -> list[dict[str, Any]]:
    """AdamW's groups, each with its own learning "rate", and weight decay for matrices only."""
    unused = [beginning for beginning in options.rates if not any(name.startswith(beginning) for name in weights)]
    assert not unused, f"no weight's name begins with {unused}"
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in weights.items():
        rates = [rate for beginning, rate in options.rates.items() if name.startswith(beginning)]
        rate = rates[0] if rates else options.learning_rate
        groups.setdefault((rate, options.weight_decay if weight.ndim > 1 else 0.0), []).append(weight)
    return [{"params": some, "rate": rate, "weight_decay": decay} for (rate, decay), some in groups.items()]


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in ("can't allocate memory", "not enough memory", "out of memory"))


@contextmanager
def _interrupts_wait() -> Iterator[threading.Event]:
    """Ctrl-C waits for the end of the step, so that a checkpoint can be written; a second one does not wait."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def note(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
