"""The shared training loop: the same weights however often it is interrupted, and clear words when it cannot go on."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rejoinder.adapt import trainer
from rejoinder.adapt.trainer import Batch, TrainingOptions, TrainingResult, train
from rejoinder.errors import AdaptError

OPTIONS = TrainingOptions(learning_rate=0.05, n_epochs=3, batch_size=4, seed=5, device="cpu")
EXAMPLES = tuple(range(22))
"""Numbers whose sine is to be learnt; the last batch of an epoch has two."""


def make_model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1))


def collate(numbers: Sequence[int], rng: np.random.Generator) -> Batch:
    x = torch.tensor([[number / 10] for number in numbers])
    return {"x": x + torch.from_numpy(rng.normal(0, 0.01, x.shape).astype(np.float32)), "y": torch.sin(x)}


def squared(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.mse_loss(model(batch["x"]), batch["y"])


def run(model: nn.Module, folder: Path, options: TrainingOptions = OPTIONS, **more: object) -> TrainingResult:
    return train(model, EXAMPLES, loss=squared, collate=collate, options=options, folder=folder, **more)  # type: ignore[arg-type]


def weights(model: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def killed_at(n_steps: int, kill: Callable[[], None]) -> Callable[..., None]:
    def progress(task: str, n_done: int, n_total: int, note: str = "") -> None:  # noqa: ARG001
        if n_done == n_steps:
            kill()

    return progress


def test_weights_have_the_rate_that_their_name_says(tmp_path: Path) -> None:
    model, before = make_model(), make_model()
    run(model, tmp_path, replace(OPTIONS, rates={"0.": 0.0, "3.bias": 1e-6}))
    changes = {
        name: float((now - was).detach().abs().max())
        for (name, now), was in zip(model.named_parameters(), before.parameters(), strict=True)
    }
    assert changes["0.weight"] == changes["0.bias"] == 0
    assert 0 < changes["3.bias"] < 1e-4
    assert changes["3.weight"] > 1e-2


def test_training_lowers_the_loss_and_is_the_same_for_a_seed(tmp_path: Path) -> None:
    one, two = make_model(), make_model()
    result = run(one, tmp_path / "one")
    run(two, tmp_path / "two")
    assert result.losses[-1] < 0.5 * result.losses[0]
    assert result.n_steps == 3 * 6
    assert torch.equal(weights(one), weights(two))


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one, two = make_model(), make_model()
    run(one, tmp_path / "one")
    run(two, tmp_path / "two", replace(OPTIONS, seed=6))
    assert not torch.equal(weights(one), weights(two))


@pytest.mark.parametrize("average", [None, 0.9])
@pytest.mark.parametrize("at", [1, 6, 11, 18])
def test_ctrl_c_keeps_the_work_and_resuming_ends_with_the_same_weights(
    tmp_path: Path, at: int, average: float | None
) -> None:
    options = replace(OPTIONS, average=average)
    whole, parts = make_model(), make_model()
    expected = run(whole, tmp_path / "whole", options)
    with pytest.raises(KeyboardInterrupt):
        run(parts, tmp_path / "parts", options, progress=killed_at(at, lambda: os.kill(os.getpid(), signal.SIGINT)))
    resumed = make_model()
    steps: list[int] = []
    result = run(resumed, tmp_path / "parts", options, progress=lambda _task, n, _total, _note: steps.append(n))
    assert steps == list(range(at + 1, 19))
    assert torch.equal(weights(whole), weights(resumed))
    assert result.losses == pytest.approx(expected.losses)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    options = replace(OPTIONS, checkpoint_every_s=0.0)
    whole, parts, resumed = make_model(), make_model(), make_model()

    def die() -> None:
        raise ZeroDivisionError

    run(whole, tmp_path / "whole", options)
    with pytest.raises(ZeroDivisionError):
        run(parts, tmp_path / "parts", options, progress=killed_at(8, die))
    run(resumed, tmp_path / "parts", options)
    assert torch.equal(weights(whole), weights(resumed))


def test_a_finished_training_returns_at_once(tmp_path: Path) -> None:
    one, again = make_model(), make_model()
    run(one, tmp_path)
    run(again, tmp_path, progress=killed_at(1, lambda: pytest.fail("it trained again")))
    assert torch.equal(weights(one), weights(again))


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_not_taken(tmp_path: Path) -> None:
    run(make_model(), tmp_path)
    assert run(make_model(), tmp_path, replace(OPTIONS, learning_rate=0.01)).n_steps == 18
    (tmp_path / trainer.CHECKPOINT).write_bytes(b"cut off")
    expected, model = make_model(), make_model()
    run(expected, tmp_path / "new")
    run(model, tmp_path)
    assert torch.equal(weights(expected), weights(model))


def test_validation_keeps_the_best_weights_and_stops_early(tmp_path: Path) -> None:
    scores = iter([3.0, 1.0, 2.0, 2.5, 0.0])
    seen: list[Tensor] = []

    def validate(model: nn.Module) -> float:
        assert not model.training
        seen.append(weights(model))
        return next(scores)

    model = make_model()
    options = replace(OPTIONS, n_epochs=9, patience=2)
    result = run(model, tmp_path, options, validate=validate)
    assert result.scores == (3.0, 1.0, 2.0, 2.5)
    assert torch.equal(weights(model), seen[1])


def test_the_average_follows_the_weights_quickly_at_first(tmp_path: Path) -> None:
    plain, averaged, start = make_model(), make_model(), weights(make_model())
    one_step = TrainingOptions(learning_rate=0.05, n_epochs=1, batch_size=22, device="cpu")
    run(plain, tmp_path / "plain", one_step)
    run(averaged, tmp_path / "averaged", replace(one_step, average=0.999))
    assert torch.allclose(weights(averaged), start + 0.9 * (weights(plain) - start), atol=1e-6)


def test_too_little_memory_cuts_batches_into_parts_with_the_same_gradients(tmp_path: Path) -> None:
    def plain(numbers: Sequence[int], _: np.random.Generator) -> Batch:
        x = torch.tensor([[number / 10] for number in numbers])
        return {"x": x, "y": torch.sin(x)}

    def with_room_for_one(numbers: Sequence[int], rng: np.random.Generator) -> Batch:
        if len(numbers) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        return plain(numbers, rng)

    def make() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    models = make(), make()
    for model, batched, n_parts in zip(models, (plain, with_room_for_one), (1, 4), strict=True):
        result = train(model, EXAMPLES, loss=squared, collate=batched, options=OPTIONS, folder=tmp_path / str(n_parts))
        assert result.n_micro_batches == n_parts
    assert torch.allclose(weights(models[0]), weights(models[1]), atol=1e-4)


def test_no_memory_for_even_one_example_is_said(tmp_path: Path) -> None:
    def greedy(*_: object) -> Batch:
        raise MemoryError

    with pytest.raises(AdaptError, match="one example at a time"):
        train(make_model(), EXAMPLES, loss=squared, collate=greedy, options=OPTIONS, folder=tmp_path)


def test_other_errors_are_not_taken_for_a_lack_of_memory(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        train(
            make_model(),
            EXAMPLES,
            loss=lambda model, batch: model(batch["x"].T).mean(),
            collate=collate,
            options=OPTIONS,
            folder=tmp_path,
        )


def test_a_diverging_training_is_said(tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match="diverged at step 0"):
        train(
            make_model(),
            EXAMPLES,
            loss=lambda model, batch: squared(model, batch) * float("nan"),
            collate=collate,
            options=OPTIONS,
            folder=tmp_path,
        )


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match="nothing to train on"):
        train(make_model(), (), loss=squared, collate=collate, options=OPTIONS, folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AdaptError, match="make room"):
        run(make_model(), tmp_path / "file" / "inside")


def test_examples_of_like_length_share_a_batch_and_each_comes_once(tmp_path: Path) -> None:
    lengths = [int(length) for length in np.random.default_rng(0).permutation(200)]
    batches: list[list[int]] = []

    def note(examples: Sequence[int], rng: np.random.Generator) -> Batch:
        batches.append(list(examples))
        return collate(examples, rng)

    options = TrainingOptions(learning_rate=0.01, n_epochs=1, batch_size=8, device="cpu")
    train(make_model(), lengths, loss=squared, collate=note, options=options, folder=tmp_path, length=lambda n: n)
    assert sorted(n for batch in batches for n in batch) == list(range(200))
    assert max(max(batch) - min(batch) for batch in batches) < 10


def test_training_in_a_thread_leaves_the_signals_alone(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            run(make_model(), tmp_path)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors


def test_an_unknown_device_is_said() -> None:
    with pytest.raises(AdaptError, match="known: auto, cpu, cuda"):
        trainer.torch_device("tpu")
