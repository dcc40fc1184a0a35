"""Fine-tuning for intents and slots, from examples to the folder that the assistant opens."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from rejoinder.adapt.nlu.calibration import calibrate
from rejoinder.adapt.nlu.data import Example, split
from rejoinder.adapt.nlu.export import export
from rejoinder.adapt.nlu.model import (
    IGNORED,
    SCALE,
    Encoded,
    JointNetwork,
    collate,
    encode,
    freeze,
    joint_loss,
    open_encoder,
    outputs,
)
from rejoinder.adapt.team import Team
from rejoinder.adapt.trainer import TrainingOptions, TrainingResult, torch_device, train
from rejoinder.errors import AdaptError
from rejoinder.nlu.classifier import OUT_OF_SCOPE
from rejoinder.nlu.joint import BEGIN, INSIDE, LABELS, OUTSIDE, Calibration, JointModel, Labels, softmax
from rejoinder.progress import Progress, silent

if TYPE_CHECKING:
    from tokenizers import Tokenizer

N_FOR_CENTRE = 30
"""Sentences of an intent whose mean is where its centre starts."""

CENTRE_LENGTH = 0.1
"""Only a centre's direction counts; a short one turns faster at the same learning rate, as a head has to."""

MOST_LOST = 0.003
"""Share of the validation sentences that 8 bits may lose; beyond it the model stays at 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to fine-tune an encoder."""

    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(learning_rate=2e-4, n_epochs=8, batch_size=64, average=0.99)
    )
    frozen_share: float = 0.5
    """Share of the encoder's layers, from the bottom, that stay as they are, with the embeddings."""
    dropout: float = 0.1
    label_smoothing: float = 0.1
    """Share of a target's probability that is spread over all intents (Szegedy et al. 2016)."""
    tag_weight: float = 1.0
    """Weight of the slots' loss beside the intents'."""
    validation_share: float = 0.1
    """What is held out of the examples where no others are given to validate on."""


def fine_tune(
    base: str,
    examples: Sequence[Example],
    *,
    validation: Sequence[Example] = (),
    recipe: Recipe = Recipe(),
    folder: Path,
    progress: Progress = silent,
) -> Path:
    """Fine-tune the encoder `base` (a source, see `models.resolve`); returns the model's folder, which is in `folder`.

    The best epoch and how far to believe the model are settled on `validation`, held out of `examples` where none is
    given. An interrupted call goes on from the checkpoint in `folder` when called again. Raises `AdaptError` when there
    is too little to learn from, `ModelError` when `base` is no encoder that can be opened.
    """
    if not validation:
        examples, validation = split(examples, share=recipe.validation_share, seed=recipe.training.seed)
    labels = _labels(examples)
    network, tokenizer, _ = _tuned(base, examples, validation, labels, recipe, folder, progress)
    if not Team.of_this_process().leads:
        return folder / "joint"
    return _finish(network, tokenizer, labels, validation, folder=folder / "joint", progress=progress)


def held_out_error(
    base: str,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    *,
    recipe: Recipe,
    folder: Path,
    progress: Progress = silent,
) -> float:
    """How badly a model tuned as `fine_tune` does reads sentences that it did not learn from; less is better."""
    *_, result = _tuned(base, examples, held_out, _labels(examples), recipe, folder, progress)
    return min(result.scores)


def _tuned(
    base: str,
    examples: Sequence[Example],
    validation: Sequence[Example],
    labels: Labels,
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> tuple[JointNetwork, "Tokenizer", TrainingResult]:
    """The network of the best epoch, and its tokenizer."""
    _check_known(validation, labels)
    encoder, tokenizer, n_dimensions = open_encoder(base, dropout=recipe.dropout)
    torch.manual_seed(recipe.training.seed)
    network = JointNetwork(
        encoder, n_dimensions, n_intents=len(labels.intents), n_tags=len(labels.tags), dropout=recipe.dropout
    )
    freeze(encoder, recipe.frozen_share)
    learned, held_out = (
        encode(part, tokenizer, intents=labels.intents, tags=labels.tags) for part in (examples, validation)
    )
    _place_centres(network, learned, device=recipe.training.device)
    result = train(
        network,
        learned,
        loss=partial(joint_loss, label_smoothing=recipe.label_smoothing, tag_weight=recipe.tag_weight),
        collate=collate,
        length=lambda example: float(len(example.ids)),
        validate=partial(_misread, examples=held_out) if held_out else None,
        options=recipe.training,
        folder=folder,
        progress=progress,
    )
    return network, tokenizer, result


def _labels(examples: Sequence[Example]) -> Labels:
    """What there is to tell apart; raises `AdaptError` where that is nothing."""
    intents = tuple(sorted({example.intent for example in examples}))
    if len(intents) < 2:
        found = f"only the intent '{intents[0]}'" if intents and intents[0] != OUT_OF_SCOPE else "no intent"
        raise AdaptError(
            f"the {len(examples)} sentences to learn from have {found}: nothing to tell apart; "
            "give the domain intents with patterns or examples, and sentences under out_of_scope"
        )
    slots = sorted({tag[len(BEGIN) :] for example in examples for tag in example.tags if tag != OUTSIDE})
    tags = (OUTSIDE, *(f"{prefix}{slot}" for slot in slots for prefix in (BEGIN, INSIDE)))
    return Labels(intents, tags, SCALE, Calibration())


def _check_known(validation: Sequence[Example], labels: Labels) -> None:
    """Raise `AdaptError` for a validation sentence with an intent or slot that is not trained."""
    known = {*labels.intents, *labels.tags}
    for example in validation:
        if unknown := {example.intent, *example.tags} - known:
            raise AdaptError(
                f"the validation sentence '{example.text}' has {sorted(unknown)}, which no sentence to learn from has"
            )


def _place_centres(network: JointNetwork, examples: Sequence[Encoded], *, device: str) -> None:
    """Begin with each intent's centre at the mean of some of its sentences, as the pretrained encoder sees them."""
    chosen: dict[int, list[Encoded]] = defaultdict(list)
    for example in examples:
        if len(chosen[example.intent]) < N_FOR_CENTRE:
            chosen[example.intent].append(example)
    where = torch_device(device)
    network.to(where).eval()
    with torch.no_grad():
        for intent, own in chosen.items():
            batch = collate(own)
            vectors = network.embed(batch["input_ids"].to(where), batch["attention_mask"].to(where))
            network.centres[intent] = CENTRE_LENGTH * functional.normalize(vectors.mean(dim=0), dim=-1)


def _misread(network: nn.Module, *, examples: Sequence[Encoded]) -> float:
    """The share of sentences whose intent is wrong and of words whose tag is, and, for equal ones, how nearly."""
    assert isinstance(network, JointNetwork)
    cosines, logits = outputs(network, examples)
    targets = np.array([example.intent for example in examples])
    wrong = float((cosines.argmax(axis=1) != targets).mean())
    surprise = -float(np.log(softmax(SCALE * cosines)[np.arange(len(targets)), targets] + 1e-9).mean())
    wanted = np.concatenate([np.array(example.tags) for example in examples])
    tagged = np.concatenate(logits).argmax(axis=1)[wanted != IGNORED] != wanted[wanted != IGNORED]
    return wrong + float(tagged.mean()) + 0.01 * surprise


def _finish(
    network: JointNetwork,
    tokenizer: "Tokenizer",
    labels: Labels,
    validation: Sequence[Example],
    *,
    folder: Path,
    progress: Progress,
) -> Path:
    """Write the model whose 8-bit numbers agree with the trained ones, and how far to believe it."""
    known = [example for example in validation if example.words]
    truth = np.array([labels.intents.index(example.intent) for example in known])
    trained, _ = outputs(network, encode(known, tokenizer, intents=labels.intents, tags=labels.tags))
    for int8 in (True, False):
        progress("exporting", 0, 1, "8 bits" if int8 else "32 bits, for 8 lost accuracy")
        export(network, tokenizer, labels, folder, int8=int8)
        exported = JointModel.load(folder)
        cosines = np.array([exported.run(example.words)[0] for example in known]).reshape(len(known), -1)
        lost = _accuracy(trained, truth) - _accuracy(cosines, truth)
        if lost <= MOST_LOST:
            break
    if known:
        intents = [example.intent for example in known]
        replace(labels, calibration=calibrate(cosines, intents, labels.intents, scale=SCALE)).write(folder / LABELS)
    progress("exporting", 1, 1)
    return folder


def _accuracy(cosines: NDArray[np.float32], truth: NDArray[Any]) -> float:
    return float((cosines.argmax(axis=1) == truth).mean()) if len(truth) else 0.0
