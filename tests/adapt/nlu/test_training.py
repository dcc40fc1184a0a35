"""From examples to the folder that the assistant opens, with a tiny encoder."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rejoinder.adapt.nlu.data import Example, domain_examples
from rejoinder.adapt.nlu.measure import measure
from rejoinder.adapt.nlu.training import fine_tune
from rejoinder.errors import AdaptError, ModelError
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.joint import LABELS, MODEL, TOKENIZER, JointModel
from tests.adapt.nlu.conftest import QUICK
from tests.nlu.domains import shop

pytestmark = pytest.mark.model

Examples = tuple[Example, ...]


def test_the_model_reads_intents_and_slots_of_sentences_it_has_not_seen(
    shop_model: Path, examples: Examples, encoder: Encoder
) -> None:
    known = {example.text for example in examples}
    others = [one for one in domain_examples(shop(), n=200, seed=7, encoder=encoder) if one.text not in known]
    assert len(others) > 50
    figures = measure(JointModel.load(shop_model), others)
    assert figures["accuracy"] > 0.9
    assert figures["slots_f1"] > 0.5


def test_the_folder_holds_the_model_and_nothing_else(shop_model: Path) -> None:
    assert {path.name for path in shop_model.iterdir()} == {MODEL, TOKENIZER, LABELS}


def test_an_interrupted_training_ends_with_the_same_model(tiny_bert: Path, examples: Examples, tmp_path: Path) -> None:
    recipe = replace(QUICK, training=replace(QUICK.training, n_epochs=1, checkpoint_every_s=0.0))
    few = examples[::4]

    def kill(task: str, n_done: int, n_total: int, note: str = "") -> None:  # noqa: ARG001
        if task == "training" and n_done == n_total // 2:
            raise MemoryError("killed")

    whole = fine_tune(f"file:{tiny_bert}", few, recipe=recipe, folder=tmp_path / "whole")
    with pytest.raises(MemoryError, match="killed"):
        fine_tune(f"file:{tiny_bert}", few, recipe=recipe, folder=tmp_path / "cut", progress=kill)
    again = fine_tune(f"file:{tiny_bert}", few, recipe=recipe, folder=tmp_path / "cut")
    words = "I want a large latte".lower().split()
    assert np.array_equal(JointModel.load(whole).run(words)[0], JointModel.load(again).run(words)[0])


def test_one_intent_and_nothing_else_cannot_be_learnt(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match="only the intent 'hours': nothing to tell apart"):
        fine_tune(f"file:{tiny_bert}", [Example.plain("when do you open", "hours")] * 2, folder=tmp_path)


def test_no_sentences_cannot_be_learnt(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(AdaptError, match="the 0 sentences"):
        fine_tune(f"file:{tiny_bert}", [], folder=tmp_path)


def test_a_validation_sentence_of_an_unknown_intent_is_named(
    tiny_bert: Path, examples: Examples, tmp_path: Path
) -> None:
    with pytest.raises(AdaptError, match="'fly me away' has \\['travel'\\]"):
        fine_tune(f"file:{tiny_bert}", examples, validation=[Example.plain("fly me away", "travel")], folder=tmp_path)


def test_a_folder_without_an_encoder_is_refused(examples: Examples, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="no encoder that transformers can open"):
        fine_tune(f"file:{tmp_path}", examples, folder=tmp_path / "out")


def test_an_encoder_of_another_architecture_can_be_tuned(tmp_path: Path, tiny_bert: Path, examples: Examples) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    folder = tmp_path / "distilbert"
    n_word_pieces = len((tiny_bert / "vocab.txt").read_text().split("\n"))
    config = DistilBertConfig(vocab_size=n_word_pieces, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
    DistilBertModel(config).save_pretrained(folder)
    shutil.copy(tiny_bert / "vocab.txt", folder / "vocab.txt")
    recipe = replace(QUICK, frozen_share=0.5, training=replace(QUICK.training, n_epochs=1))
    made = fine_tune(f"file:{folder}", examples[::4], recipe=recipe, folder=tmp_path / "out")
    assert JointModel.load(made).read(["hello"]).prediction.ranking
