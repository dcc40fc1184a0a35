"""Adapting the recognizer, from a domain folder to the gate's verdict, with a tiny base and a voice that beeps."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rejoinder import build
from rejoinder.adapt import recognition
from rejoinder.adapt.asr.recipe import Recipe
from rejoinder.adapt.recognition import RecognitionAdaptation, RecognitionRecipe
from rejoinder.adapt.run import Outcome, adapt
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.assistant import Assistant, AssistantOptions
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError, ManifestError, ModelError
from rejoinder.manifest import Utterance
from rejoinder.progress import silent
from tests.adapt.asr.small import moonshine_folder
from tests.adapt.shop import EVERYDAY, make_manifest, make_quick, make_shop

pytestmark = pytest.mark.model

RECIPE = RecognitionRecipe(
    n_sentences=12,
    n_replayed=4,
    tuning=Recipe(training=TrainingOptions(learning_rate=1e-3, n_epochs=1, batch_size=8, device="cpu")),
)


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The stand-ins of `make_quick`, and a cache of these tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REJOINDER_CACHE", str(tmp_path_factory.mktemp("cache")))
        make_quick(patch)
        yield


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The shop's recognizer, adapted from a base with random weights, which understands nothing."""
    base = moonshine_folder(tmp_path_factory.mktemp("small") / "moonshine")
    shop = Domain.load(make_shop(tmp_path_factory.mktemp("adapted") / "shop"))
    return adapt(RecognitionAdaptation(shop, base=f"file:{base}", recipe=RECIPE, device="cpu"))


@pytest.fixture
def shop(tmp_path: Path) -> Domain:
    return Domain.load(make_shop(tmp_path / "shop"))


def test_from_a_domain_to_a_verdict(outcome: Outcome) -> None:
    card = outcome.card
    assert not outcome.promoted
    assert "errors on the domain: " in card.reason
    assert card.before["domain_error"] < card.after["domain_error"] == 1.0
    assert card.before.keys() == card.after.keys() >= {"canary_wer", "false_alarms", "domain_error phone"}
    assert [(one["name"], one["n"]) for one in card.data["train"][:2]] == [
        ("spoken sentences of the domain", 12),
        ("spoken everyday sentences, replayed", 4),
    ]
    assert card.data["test"]["n"] == 2
    assert card.data["canary"][0]["n"] == len(EVERYDAY)
    assert card.recipe["tuning"]["training"]["n_epochs"] == 1
    assert card.base.startswith("file:")


def test_the_assistant_opens_what_is_promoted(outcome: Outcome) -> None:
    folder, order, right = outcome.folder.parents[2], outcome.folder.parents[2] / "0.wav", {"size": "large"}

    def understood(**options: Any) -> bool:
        with closing(Assistant.load(folder, options=AssistantOptions(**options))) as assistant:
            return assistant.hear(order).understanding.slots == right

    assert understood(), "what was kept aside is not opened"
    assert not understood(candidates={Stage.ASR: outcome.folder})
    build.promote(folder, Stage.ASR, outcome.card.id)
    assert not understood()
    assert understood(adapted=False)
    weights = max(outcome.folder.glob("*.onnx"), key=lambda path: path.stat().st_size)
    weights.write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"is damaged.*asr --rollback"):
        understood()
    build.rollback(folder, Stage.ASR)
    assert understood()


class TestData:
    def test_a_test_set_that_is_trained_on_is_refused_and_named(self, shop: Domain) -> None:
        manifest = shop.folder / "train.jsonl"
        manifest.write_text('{"audio_filepath": "1.wav", "text": "can I have a small cup"}\n')
        adaptation = RecognitionAdaptation(shop, manifests=[manifest], recipe=RECIPE)
        with pytest.raises(ManifestError, match=r"1 of the 2 test recordings(.|\n)*1\.wav"):
            adaptation.gather(silent)

    def test_a_canary_that_is_trained_on_is_left_out(self, shop: Domain, tmp_path: Path) -> None:
        manifest = make_manifest(tmp_path / "calls", n=12)
        other = make_manifest(tmp_path / "general", n=3)
        for n in range(3):  # other recordings than the calls
            (tmp_path / "general" / f"{n}.wav").write_bytes((shop.folder / "0.wav").read_bytes())
        adaptation = RecognitionAdaptation(shop, manifests=[manifest], canaries=[manifest, other], recipe=RECIPE)
        data = adaptation.gather(silent)
        assert data["left out of the canary"] == [f"{manifest}: some of it is trained on"]
        assert [one["name"] for one in data["canary"]] == ["everyday sentences", str(other)]

    def test_two_utterances_alone_are_too_few(self, shop: Domain, tmp_path: Path) -> None:
        manifest = make_manifest(tmp_path / "calls", n=2)
        adaptation = RecognitionAdaptation(shop, manifests=[manifest], recipe=replace(RECIPE, n_sentences=0))
        with pytest.raises(AdaptError, match="2 utterances to learn from, and at least 10 are needed"):
            adaptation.gather(silent)

    def test_without_a_test_set_some_speakers_are_kept_apart(self, shop: Domain, tmp_path: Path) -> None:
        (shop.folder / "recordings.jsonl").unlink()
        manifest = make_manifest(tmp_path / "calls", n=60, speakers=6)
        data = RecognitionAdaptation(shop, manifests=[manifest], recipe=RECIPE).gather(silent)
        assert data["test"]["name"] == "recordings kept out of training"
        assert data["test"]["n"] == 10
        assert data["train"][2]["n"] == 50

    def test_without_recordings_sentences_are_spoken_that_are_not_trained_on(self, shop: Domain) -> None:
        (shop.folder / "recordings.jsonl").unlink()
        data = RecognitionAdaptation(shop, recipe=RECIPE).gather(silent)
        assert data["test"]["name"] == "spoken sentences of the domain, by beeper"
        assert data["test"]["n"] >= 20

    def test_a_domain_that_says_nothing_has_nothing_to_measure_on(self, shop: Domain) -> None:
        (shop.folder / "recordings.jsonl").unlink()
        silent_one = replace(shop, intents={}, slots={}, terms=())
        with pytest.raises(AdaptError, match="nothing to measure on"):
            RecognitionAdaptation(silent_one, recipe=RECIPE).gather(silent)


@pytest.mark.parametrize("n_speakers", [1, 5])
def test_nobody_is_both_learned_from_and_measured_on(n_speakers: int) -> None:
    everyone = [Utterance(Path(f"{n}.wav"), f"text {n}", 1.0, speaker=f"s{n % n_speakers}") for n in range(50)]
    train, test = recognition._kept_apart(everyone, 0)
    assert len(train) + len(test) == 50
    assert test
    assert not {one.text for one in train} & {one.text for one in test}
    if n_speakers > 1:
        assert not {one.speaker for one in train} & {one.speaker for one in test}
