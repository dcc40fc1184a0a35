"""Fine-tuning a recognizer on utterances, recorded or synthetic."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rejoinder.acoustics import Augmentation, augment
from rejoinder.adapt.asr.lora import low_rank
from rejoinder.adapt.asr.pretrained import open_pretrained
from rejoinder.adapt.asr.recipe import Recipe
from rejoinder.adapt.asr.trainable import IGNORED, Trainable
from rejoinder.adapt.team import Team
from rejoinder.adapt.trainer import TrainingResult, train
from rejoinder.errors import AdaptError
from rejoinder.manifest import Utterance
from rejoinder.progress import Progress, silent

LONGEST_S = 30.0
"""The recognizers were trained on at most so much at once."""

SHORTEST_S = 0.1

DEFAULT = Recipe()

_MANY_CAPITALS = 0.1

_N_AT_ONCE = 16

_N_SHOWN = 10
"""Problems that an error message lists."""


@dataclass(frozen=True, slots=True)
class _Example:
    """An utterance to be learned, or, `replayed`, to be heard as the base hears it."""

    utterance: Utterance
    tokens: tuple[int, ...]
    replayed: bool = False


def fine_tune(
    base: str,
    utterances: Sequence[Utterance],
    *,
    replayed: Sequence[Utterance] = (),
    validation: Sequence[Utterance] = (),
    recipe: Recipe = DEFAULT,
    folder: Path,
    progress: Progress = silent,
) -> Path:
    """Fine-tune a pretrained recognizer; returns a folder that the runtime opens as it opens the base.

    `base` is a model's name or source (`pkg:…`, `hf:…`, `file:…`). `utterances` are to be learned, `replayed` ones
    (general speech) to be heard as the base hears them. With `validation`, the weights of the epoch with the least loss
    on it are kept, and `recipe.training.patience` may end the training. What is under way is kept in `folder`: the same
    call goes on where an earlier one was killed or interrupted.

    Raises `AdaptError` that names the utterances that cannot be learned, or when memory or disk do not suffice, and
    `ModelError` when the base is missing.
    """
    recognizer = _opened(base, recipe)
    tune(
        recognizer,
        utterances,
        replayed=replayed,
        validation=validation,
        recipe=recipe,
        folder=folder,
        progress=progress,
    )
    scratch, made = folder / "exporting", folder / "recognizer"
    if Team.of_this_process().leads:
        for path in (scratch, made):
            shutil.rmtree(path, ignore_errors=True)
        recognizer.export(scratch)
        scratch.rename(made)
    return made


def tune(
    recognizer: Trainable,
    utterances: Sequence[Utterance],
    *,
    replayed: Sequence[Utterance] = (),
    validation: Sequence[Utterance] = (),
    recipe: Recipe,
    folder: Path,
    progress: Progress = silent,
) -> TrainingResult:
    """Train the parameters of `recognizer.module` that require a gradient, in place; see `fine_tune`."""
    examples = _examples(recognizer, _cased(utterances), replayed=False)
    examples += _examples(recognizer, _cased(replayed), replayed=True)
    held_out = _examples(recognizer, _cased(validation), replayed=False)
    needs_base = bool(replayed) or recipe.tuned_share != 1.0
    base = deepcopy(recognizer.module).eval().requires_grad_(False) if needs_base else None

    def collate(part: Sequence[_Example], rng: np.random.Generator) -> dict[str, Tensor]:
        return _batch(recognizer, part, recipe, rng)

    def loss(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return _loss(recognizer, module, base, batch, recipe)

    def validate(module: nn.Module) -> float:
        return validation_loss(recognizer, module, held_out)

    options = recipe.training
    adapters: AbstractContextManager[None] = nullcontext()
    if recipe.lora:
        options = replace(options, learning_rate=recipe.lora.learning_rate)
        adapters = low_rank(recognizer.module, recipe.lora, seed=options.seed)
    with adapters:
        result = train(
            recognizer.module,
            examples,
            loss=loss,
            collate=collate,
            length=lambda example: example.utterance.duration_s,
            options=options,
            folder=folder,
            validate=validate if held_out else None,
            progress=progress,
        )
    if base is not None:
        mix(recognizer.module, base, recipe.tuned_share)
    recognizer.module.eval()
    return result


def _opened(base: str, recipe: Recipe) -> Trainable:
    """The pretrained recognizer, of which what is to be trained requires a gradient."""
    recognizer = open_pretrained(base)
    if recipe.freeze_embeddings:
        recognizer.module.get_input_embeddings().requires_grad_(False)
    return recognizer


def mix(tuned: nn.Module, base: nn.Module, share: float) -> None:
    """Put `tuned` at `share` of the way from `base` to where it is."""
    with torch.no_grad():
        for weight, before in zip(tuned.parameters(), base.parameters(), strict=True):
            weight.copy_(torch.lerp(before.to(weight.device), weight, share))


def _batch(
    recognizer: Trainable, part: Sequence[_Example], recipe: Recipe, rng: np.random.Generator
) -> dict[str, Tensor]:
    audio = [example.utterance.samples() for example in part]
    if recipe.augmentation:
        audio = [augment(samples, rng, recipe.augmentation) for samples in audio]
    batch = recognizer.batch(audio, [example.tokens for example in part])
    return {**batch, "replayed": torch.tensor([example.replayed for example in part])}


def _loss(
    recognizer: Trainable, module: nn.Module, base: nn.Module | None, batch: Mapping[str, Tensor], recipe: Recipe
) -> Tensor:
    """The mean over targets: cross-entropy, for replayed speech the divergence from the base."""
    logits = recognizer.logits(module, batch)
    counted = batch["targets"] != IGNORED
    targets = batch["targets"][counted]
    each = nn.functional.cross_entropy(
        logits.float(), targets, reduction="none", label_smoothing=recipe.label_smoothing
    )
    replayed = batch["replayed"][:, None].expand_as(counted)[counted]
    if base is not None and recipe.distillation and replayed.any():
        rows = batch["replayed"]
        heard = {name: tensor[rows] for name, tensor in batch.items()}
        with torch.no_grad():
            expected = recognizer.logits(base.to(logits.device), heard).float().log_softmax(dim=-1)
        own = logits[replayed].float().log_softmax(dim=-1)
        divergence = nn.functional.kl_div(own, expected, log_target=True, reduction="none").sum(dim=-1)
        each = each.masked_scatter(replayed, recipe.distillation * divergence)
    return each.mean()


def held_out_loss(
    base: str,
    utterances: Sequence[Utterance],
    held_out: Sequence[Sequence[Utterance]],
    *,
    replayed: Sequence[Utterance],
    recipe: Recipe,
    folder: Path,
    progress: Progress = silent,
) -> float:
    """How badly a recognizer tuned as `fine_tune` does hears what it did not learn from: the mean over some sets.

    They are heard through the rooms, noise and telephones of the default recipe, the same for every `recipe`: what is
    varied less in training must not make the test easier.
    """
    recognizer = _opened(base, recipe)
    tune(recognizer, utterances, replayed=replayed, recipe=recipe, folder=folder, progress=progress)
    sets = [_examples(recognizer, _cased(part), replayed=False) for part in held_out if part]
    with torch.no_grad():
        losses = [
            validation_loss(recognizer, recognizer.module, part, augmentation=DEFAULT.augmentation) for part in sets
        ]
    return sum(losses) / len(losses)


def validation_loss(
    recognizer: Trainable,
    module: nn.Module,
    examples: Sequence[_Example],
    *,
    augmentation: Augmentation | None = None,
) -> float:
    """Mean cross-entropy a token, without augmentation, or with the same one each time."""
    total, n_targets = 0.0, 0
    rng = np.random.default_rng(0)
    ordered = sorted(examples, key=lambda example: example.utterance.duration_s)
    for first in range(0, len(ordered), _N_AT_ONCE):
        part = ordered[first : first + _N_AT_ONCE]
        audio = [e.utterance.samples() for e in part]
        if augmentation:
            audio = [augment(samples, rng, augmentation) for samples in audio]
        batch = recognizer.batch(audio, [e.tokens for e in part])
        batch = {name: tensor.to(next(module.parameters()).device) for name, tensor in batch.items()}
        targets = batch["targets"][batch["targets"] != IGNORED]
        logits = recognizer.logits(module, batch).float()
        total += float(nn.functional.cross_entropy(logits, targets, reduction="sum"))
        n_targets += len(targets)
    return total / n_targets


def _cased(utterances: Sequence[Utterance]) -> Sequence[Utterance]:
    """Transcripts all in capitals, as many corpora have them, in lower case; the vocabulary has few words in capitals.

    Only where a tenth of those of two and more words are: a spelled name in capitals stays as it is.
    """
    capitals = [utterance.text.isupper() for utterance in utterances if " " in utterance.text]
    if sum(capitals) <= _MANY_CAPITALS * len(capitals):
        return utterances
    return [replace(one, text=one.text.lower()) if one.text.isupper() else one for one in utterances]


def _examples(recognizer: Trainable, utterances: Sequence[Utterance], *, replayed: bool) -> list[_Example]:
    """What is to be learned; raises one `AdaptError` that names each utterance that cannot be."""
    examples: list[_Example] = []
    problems: list[str] = []
    for utterance in utterances:
        try:
            examples.append(_Example(utterance, _checked_tokens(recognizer, utterance), replayed))
        except AdaptError as error:
            problems.append(f"{utterance.audio}: {error}")
    if problems:
        more = f"\n… and {len(problems) - _N_SHOWN} more" if len(problems) > _N_SHOWN else ""
        shown = "\n".join(problems[:_N_SHOWN]) + more
        raise AdaptError(f"{len(problems)} of {len(utterances)} utterances cannot be learned:\n{shown}")
    return examples


def _checked_tokens(recognizer: Trainable, utterance: Utterance) -> tuple[int, ...]:
    """The tokens of an utterance's text; raises `AdaptError` when it cannot be learned."""
    if not SHORTEST_S <= utterance.duration_s <= LONGEST_S:
        raise AdaptError(
            f"lasts {utterance.duration_s:.2f} s; cut recordings into utterances of {SHORTEST_S:g} to {LONGEST_S:g} s"
        )
    tokens = recognizer.tokens(utterance.text)
    n_most = recognizer.n_most_tokens(utterance.duration_s)
    if len(tokens) > n_most:
        raise AdaptError(
            f"its text has {len(tokens)} tokens, more than anybody says in {utterance.duration_s:.2f} s ({n_most}): "
            f"is it another recording's? ({utterance.text[:60]!r})"
        )
    return tokens
