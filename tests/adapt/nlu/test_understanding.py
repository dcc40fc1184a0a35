"""The assistant's understanding with a model that was tuned on the domain."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rejoinder.adapt.nlu.data import domain_examples
from rejoinder.adapt.nlu.measure import understood
from rejoinder.domain import Intent
from rejoinder.domain.spoken_values import REFERENCE_DAY
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.joint import LABELS, Calibration, JointModel, Labels
from rejoinder.nlu.understand import Understander
from tests.nlu.domains import shop

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def joint(shop_model: Path) -> JointModel:
    return JointModel.load(shop_model)


@pytest.fixture(scope="module")
def understander(encoder: Encoder, joint: JointModel) -> Understander:
    return Understander.fit(shop(), encoder, joint=joint, today=lambda: REFERENCE_DAY)


def test_the_domains_own_sentences_are_understood(understander: Understander, encoder: Encoder) -> None:
    figures = understood(understander, domain_examples(shop(), n=60, seed=11, encoder=encoder))
    assert figures["domain_error"] < 0.1
    assert figures["false_alarms"] < 0.1


def test_the_joint_model_decides_what_is_believed(encoder: Encoder, shop_model: Path, tmp_path: Path) -> None:
    text = "can i get a large mocha with soy milk for her"
    values = {"size": "large", "drink": "mocha", "milk": "soy milk"}
    sure = Understander.fit(shop(), encoder, joint=JointModel.load(shop_model)).understand(text)
    assert (sure.intent, sure.source, dict(sure.slots)) == ("order", "classifier", values)
    shutil.copytree(shop_model, tmp_path / "doubting")
    labels = tmp_path / "doubting" / LABELS
    replace(Labels.read(labels), calibration=Calibration(odds=0.0, bias=-9.0)).write(labels)
    assert Understander.fit(shop(), encoder, joint=JointModel.load(labels.parent)).understand(text).intent is None


def test_a_model_that_lacks_an_intent_is_left_out(
    encoder: Encoder, joint: JointModel, caplog: pytest.LogCaptureFixture
) -> None:
    domain = shop()
    grown = replace(domain, intents={**domain.intents, "jobs": Intent("jobs", examples=("are you hiring",))})
    with_joint = Understander.fit(grown, encoder, joint=joint)
    assert "adapt . nlu --deep" in caplog.text
    without = Understander.fit(grown, encoder)
    for text in ("so could i have one mocha that is large", "are you hiring anybody", "what is the weather"):
        assert with_joint.understand(text) == without.understand(text)
