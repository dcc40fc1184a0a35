"""What is compared: which models each system opens."""

from pathlib import Path

import pytest

from rejoinder import build
from rejoinder.assistant import AssistantOptions
from rejoinder.build import Card, Stage
from rejoinder.domain import Domain
from rejoinder.errors import ModelError
from rejoinder.evaluate.systems import default_system, system, systems


@pytest.fixture
def shop(tmp_path: Path) -> Domain:
    (tmp_path / "domain.yaml").write_text("name: shop\nintents:\n  greet:\n    examples: [hello]\n    reply: Hello.\n")
    return Domain.load(tmp_path)


def made(shop: Domain, minute: int, *, stage: Stage = Stage.ASR, promote: bool = True) -> Card:
    """An adapted model, as an adaptation leaves it."""
    created = f"2026-11-23T10:{minute:02}:00+00:00"
    card = Card(build.new_id(created), stage, "moonshine-tiny", created)
    with build.unfinished(shop.folder, stage) as scratch:
        (scratch / "model.onnx").write_text("a model")
        build.publish(scratch, shop.folder, card)
    if promote:
        build.promote(shop.folder, stage, card.id)
    return card


def test_before_anything_is_adapted(shop: Domain) -> None:
    assert default_system(shop).name == "instant"
    base, instant = systems(shop, ["base", "instant", "base"])
    assert (base.options.bias, base.options.adapted) == (False, False)
    assert (instant.options.bias, instant.options.adapted) == (True, True), "tuned pronunciations are there"
    assert base.models == {
        "asr": "moonshine-tiny, without the domain",
        "nlu": "minilm-int8",
        "voice": "hibari",
    }
    assert instant.models["asr"] == "moonshine-tiny"


def test_what_callers_meet_is_what_was_promoted(shop: Domain) -> None:
    card, reader = made(shop, 1), made(shop, 2, stage=Stage.READER)
    deep = default_system(shop)
    assert deep.name == "deep"
    assert (deep.options.adapted, deep.options.candidates) == (True, {})
    assert deep.models["asr"] == f"{card.id} (adapted)"
    assert deep.models["reader"] == f"{reader.id} (adapted)"
    instant = system(shop, "instant")
    assert not instant.options.adapted
    assert "reader" not in instant.models


def test_a_model_that_was_kept_aside_with_the_others_that_are_in_use(shop: Domain) -> None:
    reader, aside = made(shop, 1, stage=Stage.READER), made(shop, 2, promote=False)
    one = system(shop, aside.id)
    assert one.options.candidates == {Stage.ASR: shop.folder / "build" / "asr" / aside.id}
    assert one.options.adapted
    assert (one.models["asr"], one.models["reader"]) == (f"{aside.id} (adapted)", f"{reader.id} (adapted)")


def test_the_rest_of_the_options_stays(shop: Domain) -> None:
    options = AssistantOptions(device="cpu", n_threads=2)
    assert all(one.options.n_threads == 2 for one in systems(shop, ["base", "instant"], options))


def test_what_there_is_not(shop: Domain) -> None:
    with pytest.raises(ModelError, match=rf"no 'deep' to measure; type: rejoinder adapt {shop.folder} --deep"):
        system(shop, "deep")
    card = made(shop, 1)
    with pytest.raises(ModelError, match=rf"no system 'depe' \(known: {card.id}, base, deep, instant"):
        system(shop, "depe")
