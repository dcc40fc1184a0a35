"""Recipes set from texts: every kind of field, and clear words for what cannot be set."""

from dataclasses import dataclass, field

import pytest

from rejoinder.adapt.settings import settable, with_settings
from rejoinder.errors import AdaptError


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    learning_rate: float = 3e-5
    n_epochs: int = 2
    patience: int | None = 3
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    lora: bool = False
    share: float | None = None
    layers: tuple[int, ...] = (1, 2)
    training: Training = field(default_factory=Training)


def test_fields_however_deep_they_lie() -> None:
    settings = {"learning_rate": "1e-4", "n_epochs": "5", "lora": "yes", "share": "1", "device": "cpu"}
    assert with_settings(Recipe(), settings) == Recipe(
        lora=True, share=1.0, training=Training(learning_rate=1e-4, n_epochs=5, device="cpu")
    )


def test_none_where_it_may_be() -> None:
    assert with_settings(Recipe(), {"patience": "none"}).training.patience is None
    with pytest.raises(AdaptError, match="n_epochs: must be a whole number, not 'none'"):
        with_settings(Recipe(), {"n_epochs": "none"})


def test_nothing_set_changes_nothing() -> None:
    assert with_settings(Recipe(share=0.5), {}) == Recipe(share=0.5)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("n_epochs", "1.5", "must be a whole number, not '1.5'"),
        ("learning_rate", "fast", "must be a number, not 'fast'"),
        ("lora", "maybe", "must be true or false, not 'maybe'"),
        ("learning_rte", "1", "no such setting; did you mean 'learning_rate'"),
        ("layers", "1", r"no such setting.*known: device, learning_rate, lora, n_epochs, patience, share"),
        ("training", "1", "no such setting"),
    ],
)
def test_what_cannot_be_set(name: str, text: str, message: str) -> None:
    with pytest.raises(AdaptError, match=message):
        with_settings(Recipe(), {name: text})


def test_all_that_can_be_set() -> None:
    assert dict(settable(Recipe())) == {
        **{"lora": False, "share": None},
        **{"learning_rate": 3e-5, "n_epochs": 2, "patience": 3, "device": "auto"},
    }
