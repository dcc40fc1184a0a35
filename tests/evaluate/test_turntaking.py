"""Where speech truly ends, and what settings of the endpointer make of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.audio import SAMPLE_RATE
from rejoinder.conditions import condition
from rejoinder.evaluate.turntaking import (
    AFTER_S,
    DEFAULT,
    SETTINGS,
    Call,
    Ending,
    Observed,
    endings,
    noise_floor,
    observe,
    operating_curve,
    speech_span,
)
from rejoinder.events import Completion, Samples
from rejoinder.prosody import Prosody
from rejoinder.vad import CHUNK_S
from tests.fakes import silence, speak


def observed(*pieces: tuple[float, float], end_s: float | None = None) -> Observed:
    """Speech and silence by their lengths in seconds, as the detector hears them."""
    found: list[float] = []
    last_s = 0.0
    for spoken_s, silent_s in pieces:
        found += [0.95] * round(spoken_s / CHUNK_S)
        last_s = len(found) * CHUNK_S
        found += [0.02] * round(silent_s / CHUNK_S)
    return Observed(tuple(found), last_s if end_s is None else end_s)


class TestSettings:
    def test_a_longer_fixed_silence_waits_longer_and_cuts_off_less(self) -> None:
        ended = [
            *endings("pauses for 0.45 s", observed((0.96, 0.448), (0.96, 2.0))),
            *endings("says it at once", observed((0.96, 2.0))),
        ]
        fixed = {point.setting: point for point in operating_curve(ended) if point.setting.startswith("fixed")}
        assert [fixed[f"fixed {s} s"].cut_off for s in ("0.3", "0.4", "0.5")] == [0.5, 0.5, 0.0]
        assert fixed["fixed 0.3 s"].delay_p50_s == pytest.approx(0.3, abs=CHUNK_S)
        assert fixed["fixed 0.8 s"].delay_p95_s == pytest.approx(0.8, abs=CHUNK_S)

    def test_there_is_one_default(self) -> None:
        points = operating_curve(endings("one", observed((0.96, 2.0))))
        assert [point.setting for point in points] == list(SETTINGS)
        assert [point.setting for point in points if point.is_default] == [DEFAULT]

    def test_a_call_that_never_ends_tells_nothing(self) -> None:
        goes_on = endings("noise", observed((3.2, 0.0)))
        assert all(ending.delay_s is None and not ending.cut_off for ending in goes_on)
        assert operating_curve(goes_on) == ()
        (point, *_) = operating_curve([*goes_on, *endings("one", observed((0.96, 2.0)))])
        assert point.cut_off == 0.0

    def test_all_cut_off(self) -> None:
        (point,) = operating_curve([Ending("one", "fixed 0.3 s", cut_off=True, delay_s=None)])
        assert (point.cut_off, point.delay_p50_s) == (1.0, 0.0)

    @settings(max_examples=20)
    @given(lengths=st.lists(st.tuples(st.floats(0.2, 2.0), st.floats(0.1, 1.2)), min_size=1, max_size=4))
    def test_a_call_is_cut_off_or_has_a_delay_or_neither(self, lengths: list[tuple[float, float]]) -> None:
        lengths[-1] = lengths[-1][0], 2.0
        for ending in endings("any", observed(*lengths)):
            assert not (ending.cut_off and ending.delay_s is not None)
            assert ending.delay_s is None or ending.delay_s > 0.1

    def test_unfinished_words_are_waited_for(self) -> None:
        plain = observed((0.96, 2.0))
        pause_s = 0.96

        def delay(completion: Completion) -> float:
            at_s = pause_s + 2 * CHUNK_S
            words = Observed(plain.probabilities, plain.end_s, {round(at_s, 9): (Prosody(), completion)})
            (ending,) = (one for one in endings("one", words) if one.setting == DEFAULT)
            assert ending.delay_s is not None
            return ending.delay_s

        assert delay(Completion.INCOMPLETE) > delay(Completion.COMPLETE)


@pytest.mark.usefixtures("fake_ears")
class TestObserving:
    def test_every_pause_is_looked_at_with_all_words_before_it(self) -> None:
        lengths: list[float] = []

        def understand(turn: Samples) -> Completion:
            lengths.append(len(turn) / SAMPLE_RATE)
            return Completion.PLAUSIBLE

        call = np.concatenate([silence(0.64), speak("a large"), silence(0.32), speak("latte"), silence(2.0)])
        found = observe(call, 1.5, understand)
        assert len(found.pauses) == 2
        first_s, second_s = lengths
        assert first_s == pytest.approx(0.3 + 2 * 0.192 + 2 * CHUNK_S, abs=CHUNK_S)
        assert second_s == pytest.approx(first_s + 0.32 + 0.192, abs=CHUNK_S)

    def test_without_understanding_the_voice_alone_decides(self) -> None:
        found = observe(np.concatenate([speak("a latte"), silence(1.0)]), 0.384, None)
        assert [completion for _, completion in found.pauses.values()] == [None]


@pytest.mark.usefixtures("fake_ears")
class TestCall:
    def test_the_line_stays_open_after_the_last_word(self) -> None:
        call = Call.of(speak("a latte"))
        assert len(call.samples) == len(speak("a latte")) + AFTER_S * SAMPLE_RATE
        assert np.array_equal(call.recorded, speak("a latte"))
        assert call.end_s == pytest.approx(2 * 0.192, abs=0.001)

    @pytest.mark.parametrize(("name", "pace"), [("fast", 1.25), ("slow", 0.8), ("phone", 1.0)])
    def test_the_end_is_where_the_condition_put_it(self, name: str, pace: float) -> None:
        spoken = np.concatenate([silence(0.64), speak("a large latte"), silence(0.64)])
        call = Call.of(spoken, condition(name), np.random.default_rng(0))
        assert call.n_recorded == pytest.approx(len(spoken) / pace, abs=2)
        assert call.begin_s == pytest.approx(0.64 / pace, abs=0.01)
        assert call.end_s == pytest.approx((0.64 + 3 * 0.192) / pace, abs=0.01)
        loud = np.flatnonzero(np.abs(call.samples) > 0.05) / SAMPLE_RATE
        assert loud[0] == pytest.approx(call.begin_s, abs=0.02)
        assert loud[-1] == pytest.approx(call.end_s, abs=0.02)

    def test_nobody_waits_for_the_silence_before(self) -> None:
        call = Call.of(np.concatenate([silence(4.0), speak("a latte")]))
        short = call.without_lead()
        assert short.begin_s == pytest.approx(0.5, abs=0.001)
        assert short.end_s - short.begin_s == pytest.approx(call.end_s - call.begin_s)
        assert np.array_equal(short.recorded[-len(speak("a latte")) :], speak("a latte"))
        assert len(short.samples) - short.n_recorded == len(call.samples) - call.n_recorded

    def test_silence(self) -> None:
        call = Call.of(silence(1.0))
        assert (call.begin_s, call.end_s) == (0.0, 0.0)
        assert np.array_equal(call.without_lead().samples, call.samples)


def test_the_noise_goes_on_as_loud_as_it_was() -> None:
    rng = np.random.default_rng(0)
    quiet = rng.normal(0, 0.01, SAMPLE_RATE).astype(np.float32)
    loud = rng.normal(0, 0.3, SAMPLE_RATE).astype(np.float32)
    made = noise_floor(np.concatenate([quiet, loud]), 1.5)
    assert made.shape == (1.5 * SAMPLE_RATE,)
    assert made.std() == pytest.approx(0.01, rel=0.1)
    assert not noise_floor(np.zeros(0, np.float32), 1.0).any()


@pytest.mark.model
class TestSpeechSpan:
    @pytest.mark.parametrize("level", [0.0, 0.003])
    def test_of_a_voice_in_silence_and_in_faint_noise(self, level: float) -> None:
        from rejoinder.tts.hibari import HibariSynthesizer
        from rejoinder.tts.synthesizer import spoken

        said = spoken(HibariSynthesizer.load(), "Two large coffees, please.")
        loud = np.flatnonzero(np.abs(said) > 0.03)
        padded = np.concatenate([np.zeros(SAMPLE_RATE, np.float32), said, np.zeros(2 * SAMPLE_RATE, np.float32)])
        noisy = (padded + np.random.default_rng(0).normal(0, level, len(padded))).astype(np.float32)
        begin_s, end_s = speech_span(noisy)
        assert begin_s == pytest.approx(1.0 + loud[0] / SAMPLE_RATE, abs=0.1)
        assert end_s == pytest.approx(1.0 + loud[-1] / SAMPLE_RATE, abs=0.15)

    @pytest.mark.parametrize("n_samples", [0, 100, 16_000])
    def test_where_nobody_speaks(self, n_samples: int) -> None:
        assert speech_span(np.zeros(n_samples, np.float32)) == (0.0, 0.0)
