"""The gate's decisions: what is promoted, what is kept aside, and the reason in words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.adapt.gate import BOUNDS, Bound, decide, with_bound
from rejoinder.build import Stage

ASR = BOUNDS[Stage.ASR]
BEFORE = {"domain_error": 0.15, "canary_wer": 0.08, "false_alarms": 0.01}
BETTER = {"domain_error": 0.025, "canary_wer": 0.084, "false_alarms": 0.01}


def test_better_on_the_domain_and_hardly_worse_elsewhere() -> None:
    verdict = decide(BEFORE, BETTER, ASR)
    assert verdict.promoted
    assert verdict.reason == (
        "errors on the domain: 15.0% → 2.5%; word errors on general speech: 8.0% → 8.4%; "
        "terms heard that nobody said: 1.0% → 1.0%"
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"domain_error": 0.15}, "errors on the domain: 15.0% → 15.0%, no better than before"),
        ({"domain_error": 0.16}, "errors on the domain: 15.0% → 16.0%, worse than before"),
        (
            {"canary_wer": 0.0851},
            "word errors on general speech: 8.0% → 8.5%, 0.51 points worse (the bound is 0.5 points)",
        ),
        (
            {"false_alarms": 0.05},
            "terms heard that nobody said: 1.0% → 5.0%, 4 points worse (the bound is 1 point)",
        ),
        ({"canary_wer": math.nan}, "word errors on general speech: not measured"),
    ],
)
def test_one_bound_that_does_not_hold(changed: dict[str, float], reason: str) -> None:
    verdict = decide(BEFORE, {**BETTER, **changed}, ASR)
    assert not verdict.promoted
    assert verdict.reason == reason


def test_every_bound_that_does_not_hold_is_named() -> None:
    verdict = decide(BEFORE, {"domain_error": 0.5, "canary_wer": 0.5}, ASR)
    assert [problem.partition(":")[0] for problem in verdict.reason.split("; ")] == [bound.label for bound in ASR]


def test_the_bound_itself_still_holds() -> None:
    assert decide(BEFORE, {**BETTER, "canary_wer": 0.08 + 0.005, "false_alarms": 0.01 + 0.01}, ASR).promoted


def test_a_limit_holds_whatever_was_before() -> None:
    bounds = BOUNDS[Stage.VOICE]
    before = {"similarity": 0.55, "wer": 0.09}
    assert decide(before, {"similarity": 0.9, "wer": 0.13}, bounds).promoted
    short = decide(before, {"similarity": 0.7, "wer": 0.13}, bounds)
    assert short.reason == "likeness to the speaker: 0.55 → 0.7, which is beyond the limit of 0.8"
    assert not decide(before, {"similarity": 0.9, "wer": 0.15}, bounds).promoted


def test_another_bound() -> None:
    loose = with_bound(ASR, "canary_wer", 0.5)
    assert decide(BEFORE, {**BETTER, "canary_wer": 0.5}, loose).promoted
    assert not decide(BEFORE, {**BETTER, "canary_wer": 0.5}, ASR).promoted


def test_each_stage_has_one_measure_that_must_get_better() -> None:
    for stage in Stage:
        goal, *others = BOUNDS[stage]
        assert goal.worse_by is None
        assert all(bound.worse_by is not None for bound in others)


measures = st.fixed_dictionaries({bound.name: st.floats(0, 1) for bound in ASR})


@given(measures, measures, st.sampled_from(ASR), st.floats(0, 1))
def test_a_better_measure_never_demotes(
    before: dict[str, float], after: dict[str, float], bound: Bound, better: float
) -> None:
    if decide(before, after, ASR).promoted:
        assert decide(before, {**after, bound.name: min(after[bound.name], better)}, ASR).promoted


@given(measures, measures)
def test_going_there_and_back_is_never_promoted_twice(before: dict[str, float], after: dict[str, float]) -> None:
    assert not (decide(before, after, ASR).promoted and decide(after, before, ASR).promoted)
