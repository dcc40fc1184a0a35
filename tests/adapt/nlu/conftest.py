"""A BERT of one layer and 64 dimensions, untrained, and what comes of teaching it the tests' shop for a few seconds."""

import string
from pathlib import Path

import pytest

from rejoinder.adapt.nlu.data import Example, domain_examples
from rejoinder.adapt.nlu.training import Recipe, fine_tune
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.nlu.encoder import Encoder
from tests.adapt.bert import SPECIAL, write_bert
from tests.nlu.domains import shop

QUICK = Recipe(
    frozen_share=0.0,
    dropout=0.0,
    training=TrainingOptions(learning_rate=4e-3, n_epochs=10, batch_size=16, average=0.9, device="cpu"),
)


@pytest.fixture(scope="session")
def tiny_bert(examples: tuple[Example, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the untrained encoder, as transformers writes it; it knows letters and the shop's words."""
    folder = tmp_path_factory.mktemp("tiny-bert")
    letters = [f"{mark}{letter}" for letter in string.ascii_lowercase for mark in ("", "##")]
    words = sorted({word for example in examples for word in example.words} - set(letters))
    return write_bert(folder, (*SPECIAL, *letters, *words), num_hidden_layers=1, num_attention_heads=2)


@pytest.fixture(scope="session")
def examples(encoder: Encoder) -> tuple[Example, ...]:
    return domain_examples(shop(), n=300, encoder=encoder)


@pytest.fixture(scope="session")
def shop_model(tiny_bert: Path, examples: tuple[Example, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a joint model of the shop."""
    return fine_tune(f"file:{tiny_bert}", examples, recipe=QUICK, folder=tmp_path_factory.mktemp("shop"))
