"""What a run must reach: read, and held against scores."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.errors import RejoinderError
from rejoinder.evaluate.scores import (
    Behaviour,
    Conversations,
    Estimate,
    Heard,
    Latency,
    Meanings,
    Recognition,
    Scores,
    TurnTaking,
    Understanding,
    VoiceScore,
)
from rejoinder.evaluate.thresholds import MEASURES, Threshold, check, parse, resolve, usual_system


def estimate(value: float, n: int = 40) -> Estimate:
    return Estimate(value, value, value, n)


MEANINGS = Meanings(estimate(0.9), 0.8, ("order",), ((40,),), estimate(0.7), {}, estimate(0.6))
TURN_TAKING = TurnTaking(estimate(0.025), 0.2, 0.6, 4)
HEARD = Heard(
    n=40,
    understood=estimate(0.95),
    recognition=Recognition(estimate(0.062), estimate(0.03), estimate(0.85), estimate(0.01), (), ()),
    understanding=Understanding(MEANINGS, None, 0.99, (), 0.04, ()),
    turn_taking=TURN_TAKING,
    lost={},
)
LATENCY = Latency(1, 20, 300, 700, 900, 280, 10, 20, {}, 0.9, 0.0, 1)
SCORES = Scores(
    heard={
        "base": {"clean": replace(HEARD, understood=estimate(0.5)), "noise10": replace(HEARD, understood=estimate(0))},
        "deep": {"clean": HEARD, "noise10": replace(HEARD, understood=estimate(0.875))},
    },
    latency={"deep": (LATENCY, replace(LATENCY, n_callers=8, p95_ms=1234.4))},
    voice={"deep": VoiceScore(estimate(0.05), {"money": estimate(0.9), "code": estimate(0.5)}, (), 30, 60)},
    conversations={"deep": Conversations(20, 19, (), ("orders.yaml: a latte (text)",))},
    behaviour={"deep": Behaviour(100, 240, 10, 1, 4, 1)},
)


def complaints(*texts: str, scores: Scores = SCORES) -> list[str]:
    return [str(failure) for failure in check(map(parse, texts), scores)]


class TestReading:
    def test_what_can_be_written(self) -> None:
        assert parse("understood=97") == Threshold("understood=97", "understood", 97.0)
        assert parse(" deep.noise10.wer = 12.5% ") == Threshold(
            " deep.noise10.wer = 12.5% ", "wer", 12.5, "deep.noise10"
        )
        assert parse("latency.p95@8=800ms") == Threshold("latency.p95@8=800ms", "latency.p95", 800.0, n_callers=8)
        assert parse("voice.wer=5").name == "voice.wer"
        assert (parse("noise2.5.wer=5").scope, parse("wer=250").limit) == ("noise2.5", 250.0)

    @given(st.sampled_from(sorted(MEASURES)), st.sampled_from(["", "deep", "noise2.5", "deep.clean"]))
    def test_every_measure_can_be_asked_for(self, name: str, scope: str) -> None:
        threshold = parse(f"{scope}.{name}=50" if scope else f"{name}=50")
        assert (threshold.name, threshold.scope) == (name, scope)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("understood", "is no threshold; write it like understood=97"),
            ("understood=high", "is no threshold"),
            ("understood=-1", "is no threshold"),
            ("=3", "is no threshold"),
            ("understod=97", r"unknown measure 'understod'; did you mean 'understood'\? \(known: .*wer"),
            ("deep.noise10.werr=9", r"unknown measure 'deep.noise10.werr'; did you mean 'wer'\?"),
            ("latency.p90=800", r"did you mean 'latency.p9[59]'\?"),
            ("zzz=1", r"unknown measure 'zzz' \(known: "),
            ("understood=0.97", "in percent; for 0.97 write understood=97"),
            ("understood=970", "a percentage, at most 100"),
            ("latency.p95=80%", "'latency.p95' is not in % but in ms"),
            ("understood=97 ms", "'understood' is not in ms but in %"),
            ("wer@4=5", "'wer' is not measured by the number of callers"),
        ],
    )
    def test_what_cannot(self, text: str, message: str) -> None:
        with pytest.raises(RejoinderError, match=message):
            parse(text)


class TestNames:
    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ("wer=5", (None, None)),
            ("deep.wer=5", ("deep", None)),
            ("clean.wer=5", (None, "clean")),
            ("base.noise2.5.wer=5", ("base", "noise2.5")),
            ("20261123-1.clean.wer=5", ("20261123-1", "clean")),
        ],
    )
    def test_known(self, text: str, where: tuple[str | None, str | None]) -> None:
        assert resolve(parse(text), ("base", "deep", "20261123-1"), ("clean", "noise2.5")) == where

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("dep.wer=5", r"'dep' is no system.*did you mean 'deep'\? \(known: base, clean, deep, noise10\)"),
            ("deep.noise20.wer=5", r"'deep.noise20' is no system.*did you mean 'noise10'\?"),
            ("clean.deep.wer=5", "is no system and no condition of this run"),
            ("clean.latency.p95=5", "'latency.p95' is not measured by condition"),
        ],
    )
    def test_unknown(self, text: str, message: str) -> None:
        with pytest.raises(RejoinderError, match=message):
            check([parse(text)], SCORES)

    @pytest.mark.parametrize(
        ("systems", "usual"),
        [
            (["base", "instant", "deep"], "deep"),
            (["instant", "base"], "instant"),
            (["base"], "base"),
            (["base", "20261123-1", "20261124-2"], "20261124-2"),
            (["20261123-1", "base"], "20261123-1"),
        ],
    )
    def test_the_system_that_callers_meet(self, systems: list[str], usual: str) -> None:
        assert usual_system(systems) == usual


class TestChecks:
    def test_all_is_well(self) -> None:
        assert complaints("understood=87.5", "clean.understood=95", "wer=6.2", "cut_off=2.5", "latency.p95=800") == []
        assert complaints("base.clean.understood=50", "base.noise10.understood=0") == []

    @pytest.mark.parametrize(
        ("text", "lines"),
        [
            ("understood=90", ["deep, noise10: understood 87.5% is under 90%"]),
            (
                "understood=97",
                ["deep, clean: understood 95.0% is under 97%", "deep, noise10: understood 87.5% is under 97%"],
            ),
            ("base.clean.understood=90", ["base, clean: understood 50.0% is under 90%"]),
            ("noise10.wer=5", ["deep, noise10: wer 6.2% is over 5%"]),
            ("latency.p95=600", ["deep, 1 caller: latency.p95 700 ms is over 600 ms"]),
            ("latency.p95@8=800", ["deep, 8 callers: latency.p95 1234 ms is over 800 ms"]),
            ("latency.p95@8=1234", ["deep, 8 callers: latency.p95 1234.4 ms is over 1234 ms"]),
            ("conversations=100", ["deep: conversations 95.0% is under 100%"]),
            ("voice.values=90", ["deep: voice.values 50.0% is under 90%"]),
            ("stop.wrongly=5", ["deep: stop.wrongly 25.0% is over 5%"]),
        ],
    )
    def test_what_failed_is_said(self, text: str, lines: list[str]) -> None:
        assert complaints(text) == lines

    def test_a_near_miss_does_not_look_like_a_hit(self) -> None:
        near = replace(SCORES, heard={"deep": {"clean": replace(HEARD, understood=estimate(0.96998))}})
        assert complaints("understood=97", scores=near) == ["deep, clean: understood 96.998% is under 97%"]

    @given(st.integers(0, 1000), st.integers(1, 1000))
    def test_rounding_is_no_failure(self, k: int, n: int) -> None:
        k = min(k, n)
        exact = replace(SCORES, heard={"deep": {"clean": replace(HEARD, understood=estimate(k / n))}})
        assert not check([Threshold("", "understood", 100 * k / n)], exact)

    @pytest.mark.parametrize(
        ("name", "figure"),
        [
            *(("understood", 95), ("intent", 90), ("intent_f1", 80), ("slot_f1", 70), ("out_of_scope", 99)),
            *(("calibration_error", 4), ("wer", 6.2), ("cer", 3), ("term_recall", 85), ("false_alarms", 1)),
            *(("cut_off", 2.5), ("unanswered", 10), ("delay.p50", 200), ("delay.p95", 600)),
            *(("latency.p50", 300), ("latency.p95", 700), ("latency.p99", 900), ("latency.lost", 5)),
            *(("voice.wer", 5), ("voice.values", 50), ("voice.first_audio.p95", 60), ("conversations", 95)),
            *(("stop.p95", 240), ("stop.missed", 10), ("stop.wrongly", 25)),
        ],
    )
    def test_every_measure(self, name: str, figure: float) -> None:
        scores = replace(SCORES, heard={"deep": {"clean": HEARD}})
        worse = -0.1 if MEASURES[name].at_most else 0.1
        assert not check([Threshold(name, name, figure)], scores)
        assert len(check([Threshold(name, name, figure + worse)], scores)) == 1

    def test_every_measure_is_tested(self) -> None:
        mark = next(mark for mark in TestChecks.test_every_measure.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
        assert {name for name, _ in mark.args[1]} == MEASURES.keys()


class TestNoFigures:
    def test_nothing_was_measured(self) -> None:
        assert complaints("understood=1", scores=Scores({})) == ["understood=1: nothing was measured"]

    @pytest.mark.parametrize("name", sorted(MEASURES))
    def test_a_part_that_was_not_run(self, name: str) -> None:
        bare = Heard(40, None, None, None, TurnTaking(estimate(0.0, n=0), 0.0, 0.0, 40), {})
        silent = replace(LATENCY, n=5, n_lost=5, p95_ms=0.0)
        scores = Scores(
            heard={"deep": {"clean": bare, "phone": bare}},
            latency={"deep": (silent,)},
            conversations={"deep": Conversations(0, 0, (), ())},
            behaviour={"deep": Behaviour(0, 0, 0, 0, 0, 0)},
        )
        if name in ("unanswered", "latency.lost"):
            assert all("100.0% is over 50%" in line for line in complaints(f"{name}=50", scores=scores))
        else:
            line = f"deep: {name}=50 cannot be checked: the run has no figures for it"
            assert complaints(f"{name}=50", scores=scores) == [line]

    def test_nobody_waited(self) -> None:
        everyone = replace(TURN_TAKING, cut_off=estimate(1.0), delay_p95_s=0.0)
        scores = Scores(
            heard={"deep": {"clean": replace(HEARD, turn_taking=everyone)}},
            latency={"deep": (replace(LATENCY, cut_off=1.0, p95_ms=0.0),)},
        )
        for name in ("delay.p95", "latency.p95"):
            (line,) = complaints(f"{name}=800", scores=scores)
            assert "no figures" in line

    def test_one_condition_lacks_them(self) -> None:
        scores = replace(SCORES, heard={"deep": {"clean": HEARD, "phone": replace(HEARD, recognition=None)}})
        line = "deep, phone: wer=50 cannot be checked: the run has no figures for it"
        assert complaints("wer=50", scores=scores) == [line]
        assert complaints("phone.wer=50", scores=scores) == [line.replace("wer=50", "phone.wer=50")]

    def test_another_number_of_callers(self) -> None:
        assert complaints("latency.p95@3=800") == [
            "deep: latency.p95@3=800 cannot be checked: the run has no figures for it"
        ]


def test_every_part_of_the_scores_can_be_asked_for() -> None:
    parts = {field.name for field in fields(Scores)} - {"differences", "endpointing"}
    assert {measure.part for measure in MEASURES.values()} == parts
