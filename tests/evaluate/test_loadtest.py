"""How long callers wait, and how many may call at once."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.assistant import Assistant
from rejoinder.evaluate.loadtest import Level, answer, largest, measure, most_within
from rejoinder.evaluate.records import WAITS, Wait, append, read
from rejoinder.evaluate.turntaking import Call
from rejoinder.workers import Workers
from tests.fakes import FakeRecognizer, fake_pipeline, silence, speak

WAIT = Wait("base", 1, "1.flac", 0.3, 0.01, {"recognize": 0.1}, draft_hit=True, cut_off=False)


def level(n_callers: int, *totals_s: float) -> Level:
    return Level(n_callers, tuple(replace(WAIT, endpointing_s=total_s, first_audio_s=0.0) for total_s in totals_s))


class TestLevel:
    def test_percentiles_are_waits_that_somebody_had(self) -> None:
        hundred = level(1, *(n / 100 for n in range(1, 101)))
        assert [hundred.wait_s(percent) for percent in (50, 95, 99, 100)] == [0.5, 0.95, 0.99, 1.0]
        assert level(1, 0.4).wait_s(50) == level(1, 0.4).wait_s(99) == 0.4

    def test_a_lost_turn_waits_for_ever(self) -> None:
        lost = Level(1, (*level(1, *[0.3] * 18).waits, *[replace(WAIT, answered=False)] * 2))
        assert lost.wait_s(50) == 0.3
        assert lost.wait_s(95) == math.inf
        assert (lost.n_lost, lost.holds(10.0)) == (2, False)

    def test_a_turn_that_was_cut_off_is_counted_and_its_wait_is_not(self) -> None:
        cut = Level(1, (*level(1, 0.3).waits, replace(WAIT, endpointing_s=5.0, cut_off=True)))
        assert cut.cut_off == 0.5
        assert cut.holds(0.3)

    def test_nothing_measured_holds_nothing(self) -> None:
        empty = Level(1, ())
        assert not empty.holds(10.0)
        assert (empty.loop_lag_s, empty.cut_off, empty.first_audio_s(50)) == (0.0, 0.0, math.inf)


class TestSearch:
    @given(capacity=st.integers(0, 100))
    def test_the_largest_number_is_found_to_a_tenth(self, capacity: int) -> None:
        tried: list[int] = []

        def at(n_callers: int) -> Level:
            tried.append(n_callers)
            return level(n_callers, 0.3 if n_callers <= capacity else 2.0)

        levels = largest(at, bound_s=0.8)
        found = most_within(levels, 0.8) or 0
        assert capacity - max(0, capacity // 10) <= found <= capacity
        assert len(tried) == len(set(tried)) == len(levels)
        assert [one.n_callers for one in levels] == sorted(tried)

    def test_it_stops_where_it_is_told_to(self) -> None:
        levels = largest(lambda n: level(n, 0.1), bound_s=0.8, most=10)
        assert [one.n_callers for one in levels] == [1, 2, 4, 8, 10]
        assert most_within(levels, 0.8) == 10

    def test_a_lucky_level_beyond_the_first_that_fails_does_not_count(self) -> None:
        assert most_within([level(1, 0.3), level(2, 2.0), level(4, 0.3)], 0.8) == 1
        assert most_within([level(1, 2.0)], 0.8) is None


@pytest.mark.usefixtures("fake_ears")
class TestCallers:
    async def test_a_wait_is_from_the_last_sample_to_the_first(self) -> None:
        assistant = Assistant(fake_pipeline(), Workers(2))
        call = Call.of(np.concatenate([silence(0.1), speak("a large latte")]))
        wait = await answer(assistant, call, "1.flac", system="instant", n_callers=3)
        assistant.close()
        assert (wait.system, wait.n_callers, wait.utterance, wait.answered) == ("instant", 3, "1.flac", True)
        assert not wait.cut_off
        assert wait.total_s > 0.2, "no turn is over before so much silence"
        assert wait.endpointing_s > 0.2
        assert {"recognize", "understand", "respond"} <= wait.took_s.keys()

    async def test_slow_models_are_waited_for_after_the_decision(self) -> None:
        assistant = Assistant(fake_pipeline(recognizer=FakeRecognizer(delay_s=1.2)), Workers(2))
        wait = await answer(assistant, Call.of(speak("a latte")), "1.flac")
        assistant.close()
        assert wait.answered
        assert not wait.draft_hit
        assert wait.first_audio_s > 0.3

    async def test_nobody_answers_silence(self) -> None:
        assistant = Assistant(fake_pipeline(), Workers(2))
        call = replace(Call.of(silence(0.1)), samples=silence(0.3))
        wait = await answer(assistant, call, "1.flac")
        assistant.close()
        assert not wait.answered
        assert (wait.total_s, wait.took_s) == (0.0, {})

    def test_callers_speak_one_turn_after_another_until_the_time_is_over(self) -> None:
        assistant = Assistant(fake_pipeline(), Workers(2))
        calls = [(words, Call.of(speak(words)).without_lead()) for words in ("a latte", "when are you open")]
        told: list[tuple[object, ...]] = []
        two = measure(assistant, calls, 2, system="base", seconds=1.0, progress=lambda *what: told.append(what))
        assistant.close()
        assert two.n_callers == 2
        assert len(two.waits) >= 2
        assert {wait.utterance for wait in two.waits} == {"a latte", "when are you open"}
        assert all(wait.answered and wait.n_callers == 2 for wait in two.waits)
        assert told[-1] == ("2 callers at once", 1, 1, f"{len(two.waits)} turns")
        assert all(n_done == 0 for _, n_done, *_ in told[:-1])


def test_waits_are_read_as_they_were_written(tmp_path: Path) -> None:
    waits = [WAIT, replace(WAIT, loop_lag_s=0.02, answered=False)]
    append(tmp_path, WAITS, *waits)
    assert list(read(tmp_path, WAITS, Wait)) == waits
