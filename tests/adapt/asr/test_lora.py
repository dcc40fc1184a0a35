"""Low-rank additions train alone, become part of the weights, and leave nothing behind."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rejoinder.adapt.asr.lora import LoraOptions, low_rank
from rejoinder.adapt.asr.pretrained import open_pretrained
from rejoinder.adapt.asr.recipe import Recipe
from rejoinder.adapt.asr.training import fine_tune
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.errors import AdaptError
from rejoinder.manifest import Utterance
from tests.adapt.asr.small import moonshine_folder

ATTENTION = LoraOptions(rank=4, dropout=0.0, matrices=("q_proj", "v_proj"))


@pytest.fixture
def module(tmp_path: Path) -> Any:
    module = open_pretrained(f"file:{moonshine_folder(tmp_path)}").module
    module.get_input_embeddings().requires_grad_(False)
    return module


def state_of(module: Any) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in module.state_dict().items()}


def expectations(module: Any) -> torch.Tensor:
    samples = torch.linspace(-1, 1, 8_000)[None].sin()
    expected: torch.Tensor = module(input_values=samples, decoder_input_ids=torch.tensor([[1, 270]])).logits
    return expected


def step(module: Any) -> None:
    """One update of what is trained, after which the expectations are others."""
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    for _ in range(2):  # the first moves only the factors that begin at zero
        torch.autograd.backward(expectations(module).square().mean())
        optimizer.step()


def test_the_factors_alone_are_trained_and_merged(module: Any) -> None:
    before, flags = state_of(module), {name: weight.requires_grad for name, weight in module.named_parameters()}
    untouched = expectations(module)
    with low_rank(module, ATTENTION):
        torch.testing.assert_close(expectations(module), untouched)  # they begin as nothing
        n_trained = sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
        assert n_trained == (2 + 3 + 3) * 2 * (4 * 104 + 104 * 4)  # attentions, matrices of each, factors
        step(module)
        tuned = expectations(module)
    torch.testing.assert_close(expectations(module), tuned, atol=1e-4, rtol=1e-4)
    after = state_of(module)
    assert after.keys() == before.keys()
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed == {name for name in before if name.endswith(("q_proj.weight", "v_proj.weight"))}
    assert {name: weight.requires_grad for name, weight in module.named_parameters()} == flags


def test_an_exception_leaves_the_module_as_it_was(module: Any) -> None:
    def interrupted() -> None:
        step(module)
        raise KeyboardInterrupt

    before = state_of(module)
    with pytest.raises(KeyboardInterrupt), low_rank(module, ATTENTION):
        interrupted()
    after = state_of(module)
    assert after.keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())


def test_a_seed_makes_the_same_factors(module: Any) -> None:
    def start(seed: int) -> dict[str, torch.Tensor]:
        with low_rank(module, ATTENTION, seed=seed):
            return state_of(module)

    first, again, other = start(1), start(1), start(2)
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    assert not all(torch.equal(weight, other[name]) for name, weight in first.items())


def test_matrices_that_the_model_lacks_are_named(module: Any) -> None:
    with (
        pytest.raises(AdaptError, match="no matrices of these names: k_projection"),
        low_rank(module, LoraOptions(matrices=("k_projection",))),
    ):
        pass


@pytest.mark.model
def test_a_recipe_with_lora_learns(lessons: tuple[Utterance, ...], tmp_path: Path) -> None:
    lesson = lessons[0]
    training = TrainingOptions(learning_rate=1e-9, n_epochs=8, batch_size=1)  # the factors' own rate counts
    lora = LoraOptions(learning_rate=3e-3, dropout=0.0)
    recipe = Recipe(training=training, lora=lora, augmentation=None, label_smoothing=0.0)
    result = MoonshineRecognizer.load(fine_tune("moonshine-tiny", [lesson], recipe=recipe, folder=tmp_path))
    assert result.transcribe(lesson.samples()).text == lesson.text
