"""How a recognizer is fine-tuned; the figures behind the defaults stand in docs/log.md."""

from dataclasses import dataclass, field

from rejoinder.acoustics import Augmentation
from rejoinder.adapt.asr.lora import LoraOptions
from rejoinder.adapt.trainer import TrainingOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to fine-tune a recognizer."""

    training: TrainingOptions = field(
        default_factory=lambda: TrainingOptions(learning_rate=1e-4, n_epochs=2, batch_size=8)
    )
    lora: LoraOptions | None = None
    """Train small additions to the matrices (`LoraOptions()`); None: all weights."""
    freeze_embeddings: bool = True
    """Leave the vocabulary as it is: a domain has words for a small part of it."""
    label_smoothing: float = 0.02
    """Share of a target's probability that is spread over the whole vocabulary (Szegedy et al. 2016)."""
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    """What is done at random to every utterance each time it is heard; None: nothing."""
    distillation: float = 1.0
    """Weight of staying close to the base on replayed speech: the divergence of its expectations from the base's
    (Hinton et al. 2015; against forgetting Li and Hoiem 2016, "Learning without Forgetting"). 0: replayed speech is
    learned as any other."""
    tuned_share: float = 1.0
    """How far to go from the base's weights to the tuned ones, in a straight line (Wortsman et al. 2022, "Robust
    fine-tuning of zero-shot models"): less than 1 gives back some of what was forgotten."""
