"""What owners say about turns is learned from."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rejoinder.adapt.instant import fit
from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE
from rejoinder.domain import Domain
from rejoinder.domain.corrections import Corrected, read_corrections
from rejoinder.errors import DomainError
from rejoinder.evaluate.sets import read_tests
from rejoinder.manifest import read_manifest
from rejoinder.serve.store.learning import MANIFEST, check, learn, unlearn
from rejoinder.serve.store.recording import encoded
from rejoinder.serve.store.turns import Correction, Kept, Verdict
from tests.serve.store.turns import turn

DOMAIN = """\
name: shop
slots:
  size: [small, large]
intents:
  hours:
    examples: [when are you open, what are your opening hours, are you open today]
    reply: From seven to six.
  order:
    examples: [I want to order a coffee, bring me a coffee, one large coffee]
    slots: [size]
    reply: It is on its way.
"""
FLAC = encoded((np.sin(np.arange(SAMPLE_RATE)) * 8000).astype(np.int16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "domain.yaml").write_text(DOMAIN)
    return tmp_path


def corrected(text: str, intent: str | None = "hours", **slots: str) -> Correction:
    verdict = Verdict.CORRECTED if intent else Verdict.OUT_OF_SCOPE
    return Correction(verdict=verdict, text=text, intent=intent, slots=slots)


def test_a_corrected_turn_becomes_an_example(folder: Path) -> None:
    wrong = Kept(7, turn(text="can I pop by at dawn", intent="order"))
    written = learn(folder, wrong, corrected("can I pop by at dawn"), None)
    assert written == [folder / "corrections.jsonl"]
    assert (folder / "domain.yaml").read_text() == DOMAIN
    assert "can I pop by at dawn" in Domain.load(folder).intents["hours"].examples


def test_what_was_misheard_is_learned_as_it_will_be_misheard_again(folder: Path) -> None:
    heard = Kept(7, turn(text="when are you hoping", intent="order"))
    learn(folder, heard, corrected("when are you open"), None)
    assert [one.text for one in read_corrections(folder)] == ["when are you open", "when are you hoping"]
    learn(folder, heard, corrected("do you sell cups", None), None)  # an opinion may be changed
    assert read_corrections(folder) == (Corrected("do you sell cups", None, "call_a/1"),)
    assert Domain.load(folder).out_of_scope_examples == ("do you sell cups",)


@pytest.mark.parametrize(
    ("heard", "correction"),
    [
        (turn(text="large please", intent="order", source="slot"), corrected("large please", "order")),
        (turn(text="yes", intent="yes", source="command"), Correction(verdict=Verdict.FINE, text="yes")),
        (turn(text="[name]", intent="order"), corrected("[name]")),
    ],
)
def test_answers_and_names_are_no_examples(folder: Path, heard: object, correction: Correction) -> None:
    assert isinstance(heard, type(turn()))
    learn(folder, Kept(7, heard), correction, None)
    assert [one.text for one in read_corrections(folder) if one.text != "name"] == []


def test_audio_becomes_a_manifest_that_adapt_and_evaluate_read(folder: Path) -> None:
    for n in (1, 2, 2):
        learn(folder, Kept(n, turn(n=n)), corrected(f"a large coffee {n}", "order", size="large"), FLAC)
    learn(folder, Kept(3, turn("call_b", 3)), corrected("call [name]", "order"), FLAC)
    learn(folder, Kept(4, turn(n=4)), Correction(verdict=Verdict.FINE, text="yes"), FLAC)
    utterances = read_manifest(folder / MANIFEST)
    assert [(one.text, one.speaker, one.duration_s) for one in utterances] == [
        ("a large coffee 1", "call_a", 1.0),
        ("a large coffee 2", "call_a", 1.0),
        ("yes", "call_a", 1.0),
    ]
    recordings = read_tests(folder / MANIFEST, Domain.load(folder)).recordings
    assert [(one.intent, one.slots) for one in recordings] == [
        *[("order", {"size": "large"})] * 2,
        (None, None),
    ]
    assert soundfile.info(io.BytesIO(utterances[0].audio.read_bytes())).samplerate == SAMPLE_RATE


def test_a_forgotten_call_leaves_nothing(folder: Path) -> None:
    for call in ("call_a", "call_ab"):
        learn(folder, Kept(1, turn(call, intent="order")), corrected("open up"), FLAC)
    assert unlearn(folder, "call_a") == 2
    assert [one.turn for one in read_corrections(folder)] == ["call_ab/1"]
    assert [one.audio.name for one in read_manifest(folder / MANIFEST)] == ["call_ab-1.flac"]
    assert [file.name for file in folder.glob("corrections/*.flac")] == ["call_ab-1.flac"]
    assert unlearn(folder, "../call_ab") == unlearn(folder, "*") == 0


@pytest.mark.parametrize(
    ("correction", "said"),
    [
        (corrected("x", "hour"), "no intent 'hour'.*did you mean 'hours'"),
        (corrected("x", "order", sise="large"), "no slot 'sise'.*did you mean 'size'"),
        (corrected("x", "order", size="big"), "'big' is no value of the slot 'size'"),
        (corrected(" ? "), "what was said is missing"),
    ],
)
def test_a_correction_must_fit_the_domain(folder: Path, correction: Correction, said: str) -> None:
    with pytest.raises(DomainError, match=said):
        check(Domain.load(folder), correction)


@pytest.mark.model
def test_a_wrong_turn_is_understood_after_instant_adaptation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REJOINDER_CACHE", str(folder / "cache"))
    said, other = "might I drop in past midnight", "what do you think of the weather"
    before = Assistant.load(folder)
    meant = before.ask(said).understanding
    before.close()
    assert meant.intent != "hours"
    learn(folder, Kept(1, turn(text=said, intent=meant.intent, source=meant.source)), corrected(said), None)
    fit(folder)
    after = Assistant.load(folder)
    assert after.ask(said).understanding.intent == "hours"
    assert after.ask(other).understanding.intent is None
    after.close()
