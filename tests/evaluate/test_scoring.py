"""A small run, scored: every figure known beforehand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jiwer
import pytest

from rejoinder.domain import Domain
from rejoinder.errors import RejoinderError
from rejoinder.evaluate.records import Check, Meaning, Played, PlayedTurn, Spoken, Turn, Wait
from rejoinder.evaluate.scores import Behaviour, Conversations, OperatingPoint, Scores, TermScore
from rejoinder.evaluate.scoring import SCORES, read_scores, score, write_scores
from rejoinder.evaluate.significance import share

DOMAIN = """
name: shop
slots:
  size: [small, {value: large, synonyms: [big]}]
  drink: [latte, mocha]
intents:
  order:
    slots: {drink: {required: true, ask: Which drink?}, size: }
    patterns: ["a [{size}] {drink}"]
    reply: A {drink}.
"""

LATTE, LARGE = Meaning("order", {"drink": "latte"}), Meaning("order", {"drink": "latte", "size": "large"})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Domain:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "domain.yaml").write_text(DOMAIN)
    return Domain.load(folder)


def turn(system: str, utterance: str, said: str | None, heard: str, meant: Meaning | None, got: Meaning | None) -> Turn:
    """A turn that ended 0.2 s after its speech did."""
    return Turn(
        system=system,
        condition="clean",
        utterance=utterance,
        duration_s=2.0,
        said=said,
        heard=heard,
        confidence=0.9,
        meant=meant,
        understood=got,
        of_reference=meant if said is not None else None,
        speech_end_s=1.5,
        heard_until_s=1.48 if got else None,
        decided_s=1.7 if got else None,
        n_turns=1 if got else 0,
    )


BASE = (
    turn("base", "1", "a latte", "a lottery", LATTE, Meaning(None, confidence=0.2)),
    turn("base", "2", "a large latte", "a big mocha", LARGE, Meaning("order", {"drink": "mocha", "size": "large"})),
    turn("base", "3", "good day", "good mocha", Meaning(None), Meaning("order", {"drink": "mocha"}, 0.6)),
    turn("base", "4", None, "", LATTE, None),
    turn("base", "5", "thank you", "thank you", None, Meaning(None, confidence=0.1)),
)
DEEP = (
    turn("deep", "1", "a latte", "a latte", LATTE, LATTE),
    turn("deep", "2", "a large latte", "a large latte", LARGE, LARGE),
    turn("deep", "3", "good day", "good day", Meaning(None), Meaning(None, confidence=0.1)),
    turn("deep", "4", None, "a latte", LATTE, LATTE),
)


@pytest.fixture(scope="module")
def scores(shop: Domain) -> Scores:
    return score((*DEEP, *BASE), domain=shop)


class TestHeard:
    def test_recognition(self, scores: Scores) -> None:
        heard = scores.heard["base"]["clean"]
        assert heard.n == 5
        recognition = heard.recognition
        assert recognition is not None
        assert (recognition.wer.value, recognition.wer.n) == ((1 + 2 + 1 + 0) / (2 + 3 + 2 + 2), 4)
        said, heard_words = zip(*((one.said, one.heard) for one in BASE if one.said), strict=True)
        assert recognition.wer.value == pytest.approx(jiwer.wer(list(said), list(heard_words)))
        assert recognition.cer.value == pytest.approx(jiwer.cer(list(said), list(heard_words)))
        assert recognition.term_recall is not None
        assert (recognition.term_recall.value, recognition.term_recall.n) == (1 / 3, 2)
        assert recognition.false_alarms == share([True, False])
        assert recognition.terms == (
            TermScore("latte", n_said=2, n_heard=0, n_false=0),
            TermScore("mocha", n_said=0, n_heard=0, n_false=2),
            TermScore("large", n_said=1, n_heard=1, n_false=0),
        )
        assert recognition.confusions == (("latte", "lottery", 1), ("latte", "mocha", 1))

    def test_understanding(self, scores: Scores) -> None:
        heard = scores.heard["base"]["clean"]
        assert heard.understood == share([False] * 4)
        understanding = heard.understanding
        assert understanding is not None
        assert understanding.heard.accuracy.value == 1 / 4
        assert understanding.heard.intents == ("order", "none")
        assert understanding.heard.confusion == ((1, 2), (1, 0))
        assert understanding.reference is not None
        assert understanding.reference.understood == share([True] * 3)
        assert understanding.out_of_scope_auroc == pytest.approx(1 / 3)

    def test_turns(self, scores: Scores) -> None:
        turns = scores.heard["base"]["clean"].turn_taking
        assert turns.cut_off == share([False] * 4)
        assert (turns.delay_p50_s, turns.delay_p95_s) == pytest.approx((0.2, 0.2))
        assert turns.n_unanswered == 1

    def test_where_turns_were_lost(self, scores: Scores) -> None:
        assert scores.heard["base"]["clean"].lost == {"turn taking": 1, "recognition": 3}
        assert scores.heard["deep"]["clean"].lost == {}

    def test_a_turn_that_was_cut_off_has_no_delay(self, shop: Domain) -> None:
        cut = replace(BASE[0], utterance="6", heard_until_s=0.7, decided_s=1.0)
        turns = score([*BASE, cut], domain=shop).heard["base"]["clean"].turn_taking
        assert turns.cut_off.value == 1 / 5
        assert turns.delay_p50_s == pytest.approx(0.2)

    def test_meanings_without_words_and_words_without_meanings(self, shop: Domain) -> None:
        (heard,) = score([BASE[3]], domain=shop).heard["base"].values()
        assert heard.recognition is None
        assert heard.understanding is not None
        assert heard.understanding.reference is None
        (heard,) = score([BASE[4]], domain=shop).heard["base"].values()
        assert (heard.understood, heard.understanding) == (None, None)
        assert heard.recognition is not None
        assert heard.recognition.term_recall is None
        assert heard.recognition.false_alarms == share([False])

    def test_nothing_was_heard(self, shop: Domain) -> None:
        assert score((), domain=shop) == Scores({})


class TestDifferences:
    def test_every_system_against_the_base(self, scores: Scores) -> None:
        assert list(scores.heard) == ["deep", "base"]
        found = {one.measure: one for one in scores.differences}
        assert found.keys() == {"understood", "wer", "term_recall"}
        assert {(one.system, one.against, one.condition) for one in found.values()} == {("deep", "base", "clean")}
        assert found["understood"].value == 1.0
        assert found["wer"].value == pytest.approx(-4 / 7)  # only what both have heard
        assert found["term_recall"].value == pytest.approx(2 / 3)
        assert (found["understood"].p, found["wer"].p, found["term_recall"].p) == (
            1 / 8,
            1 / 4,
            1 / 2,
        )  # so few utterances

    def test_without_a_base_the_first_is_compared_with(self, shop: Domain) -> None:
        turns = [replace(one, system=name) for name in ("instant", "deep", "20261123-1") for one in DEEP]
        found = score(turns, domain=shop).differences
        assert {(one.system, one.against) for one in found} == {("deep", "instant"), ("20261123-1", "instant")}
        assert {one.p for one in found} == {1.0}

    def test_conditions_and_recordings_that_only_one_heard(self, shop: Domain) -> None:
        phone = [replace(one, condition="phone") for one in DEEP]
        assert score([*phone, *BASE], domain=shop).differences == ()
        others = [replace(one, utterance=f"other {one.utterance}") for one in DEEP]
        assert score([*others, *BASE], domain=shop).differences == ()


def wait(n_callers: int, endpointing_s: float, first_audio_s: float, **changes: Any) -> Wait:
    made = Wait("deep", n_callers, "1", endpointing_s, first_audio_s, {"recognize": 0.05}, True, False)
    return replace(made, **changes)


def test_latency(shop: Domain) -> None:
    waits = [
        *(wait(4, 0.3, 0.01), wait(1, 0.2, 0.01), wait(1, 0.4, 0.03, draft_hit=False)),
        *(wait(1, -0.5, 0.01, cut_off=True), wait(1, 0.0, 0.0, answered=False)),
    ]
    one, four = score([], waits, domain=shop).latency["deep"]
    assert (one.n_callers, one.n, one.n_lost, four.n_callers, four.n) == (1, 4, 1, 4, 1)
    assert (one.p50_ms, one.p95_ms, one.p99_ms) == pytest.approx((320, 419, 427.8))
    assert (one.endpointing_p50_ms, one.first_audio_p50_ms, one.first_audio_p95_ms) == pytest.approx((300, 20, 29))
    assert (one.draft_hits, one.cut_off) == pytest.approx((2 / 3, 1 / 3))
    assert one.stages_ms == pytest.approx({"recognize": 50})


def test_nobody_was_answered(shop: Domain) -> None:
    (lost,) = score([], [wait(8, 0.0, 0.0, answered=False)], domain=shop).latency["deep"]
    assert (lost.n, lost.n_lost, lost.p95_ms, lost.draft_hits) == (1, 1, 0.0, 0.0)


def test_the_voice(shop: Domain) -> None:
    spoken = [
        Spoken("deep", "reply", "Here you are.", "here you are", 3, 0, first_audio_s=0.02),
        Spoken("deep", "term", "latte", "lottery", 1, 1, first_audio_s=0.01),
        Spoken("deep", "term", "latte", "latte", 1, 0, first_audio_s=0.01),
        Spoken("deep", "term", "mocha", "mocha", 1, 0, first_audio_s=0.01),
        Spoken("deep", "money", "$2.50", "two fifty", 4, 2, value="2.50", value_heard="2.50", first_audio_s=0.01),
        Spoken("deep", "money", "$3", "tree dollars", 2, 1, value="3.00", first_audio_s=0.01),
    ]
    voice = score([], spoken=spoken, domain=shop).voice["deep"]
    assert (voice.wer.value, voice.wer.n) == (4 / 12, 6)
    assert voice.values_right == {"money": share([True, False])}
    assert voice.terms == (("latte", 0.5), ("mocha", 0.0))
    assert (voice.first_audio_p50_ms, voice.first_audio_p95_ms) == pytest.approx((10, 17.5))


def test_conversations(shop: Domain) -> None:
    def played(name: str, ok: bool, repeat: int = 0, mode: str = "text", error: str | None = None) -> Played:
        checks = (Check("intent", "order", "order" if ok else "none", ok),)
        return Played("deep", "orders.yaml", name, mode, repeat, (PlayedTurn("a latte", "", "", checks),), error)

    runs = [
        *(played("fine", True), played("fine", True, 1), played("shaky", True), played("shaky", False, 1)),
        *(played("wrong", False), played("fine", True, mode="audio"), played("broken", True, error="no such file")),
    ]
    assert score([], played=runs, domain=shop).conversations["deep"] == Conversations(
        n=5,
        n_ok=2,
        flaky=("orders.yaml: shaky (text)",),
        failed=("orders.yaml: wrong (text)", "orders.yaml: broken (text)"),
    )


class TestFiles:
    def test_everything_comes_back(self, shop: Domain, tmp_path: Path) -> None:
        scores = score(
            [*BASE, *DEEP],
            [wait(1, 0.2, 0.01)],
            [Spoken("deep", "money", "$3", "tree", 2, 1, value="3.00")],
            [Played("deep", "orders.yaml", "fine", "text", 0, ())],
            domain=shop,
            endpointing=[OperatingPoint("500 ms", 0.01, 0.5, 0.6, is_default=True)],
            behaviour={"deep": Behaviour(120.0, 200.0, 5, 0, 6, 1)},
        )
        write_scores(tmp_path, scores)
        assert read_scores(tmp_path) == scores
        assert all(
            json.loads((tmp_path / SCORES).read_text())[part]
            for part in ("heard", "differences", "endpointing", "latency", "voice", "conversations", "behaviour")
        )

    def test_a_run_without_scores(self, tmp_path: Path) -> None:
        with pytest.raises(RejoinderError, match=r"scores\.json: no such file"):
            read_scores(tmp_path)

    @pytest.mark.parametrize("text", ["{", "[]", '{"heard": {"base": {"clean": {"n": 1}}}}'])
    def test_scores_of_another_kind(self, tmp_path: Path, text: str) -> None:
        (tmp_path / SCORES).write_text(text)
        with pytest.raises(RejoinderError, match=r"scores\.json: .*evaluate again"):
            read_scores(tmp_path)
