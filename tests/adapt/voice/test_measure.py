"""The measures of a voice: known pitches, speakers told apart, and the donor's own figures."""

import numpy as np
import pytest

from rejoinder.adapt.voice.donor import Donor
from rejoinder.adapt.voice.likeness import STRETCH_S, SpeakerEncoder, centroid, likeness, stretches
from rejoinder.adapt.voice.measure import Speaker, measure_voice, pitch
from rejoinder.adapt.voice.model import SAMPLE_RATE
from rejoinder.adapt.voice.recordings import Clip
from rejoinder.events import Samples
from rejoinder.tts.hibari import HibariSynthesizer


@pytest.mark.parametrize("hz", [75.0, 123.0, 240.0, 330.0])
def test_the_pitch_of_a_clear_tone_is_found_and_it_is_all_harmonics(hz: float) -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = 0.1 * np.sum([np.sin(2 * np.pi * hz * n * time) / n for n in range(1, 6)], axis=0)
    found, harmonics = pitch(tone.astype(np.float32), SAMPLE_RATE)
    assert found == pytest.approx(hz, rel=0.01)
    assert harmonics > 25


def test_noise_takes_the_harmonics_away_and_has_no_pitch_of_its_own() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    noise = rng.standard_normal(SAMPLE_RATE)
    tone = np.sin(2 * np.pi * 150 * time)
    assert pitch((tone + 0.3 * noise).astype(np.float32), SAMPLE_RATE)[1] < 15
    assert pitch((0.1 * noise).astype(np.float32), SAMPLE_RATE) == (0.0, 0.0)
    assert pitch(np.zeros(10, np.float32), SAMPLE_RATE) == (0.0, 0.0)


def test_utterances_are_joined_to_stretches_and_nothing_is_lost() -> None:
    rate = 100
    utterances = [np.full(round(seconds * rate), n, np.float32) for n, seconds in enumerate((4, 1, 3, 7, 2))]
    joined = stretches(utterances, rate)
    assert [len(one) / rate for one in joined] == [8, 9]
    assert np.array_equal(np.concatenate(joined), np.concatenate(utterances))
    assert all(len(one) >= STRETCH_S * rate for one in joined)
    assert [len(one) for one in stretches(utterances[:1], rate)] == [4 * rate]
    assert stretches([], rate) == []


@pytest.mark.model
def test_a_speaker_is_more_like_themselves_than_like_another(clips: tuple[Clip, ...]) -> None:
    encoder, other = SpeakerEncoder.load(), HibariSynthesizer.load()
    joe = [encoder.embed(clip.samples, SAMPLE_RATE) for clip in clips]
    hers = [encoder.embed(np.concatenate(list(other.synthesize(clip.text))), other.sample_rate) for clip in clips]
    assert np.allclose(np.linalg.norm(joe, axis=1), 1, atol=1e-5)
    assert likeness(joe[:1], centroid(joe[1:])) > 0.7 > likeness(hers, centroid(joe))


@pytest.mark.model
def test_the_donor_measured_against_itself_is_alike_in_all(donor: Donor, clips: tuple[Clip, ...]) -> None:
    speaker = Speaker.of(clips, SpeakerEncoder.load())
    heard: list[Samples] = []

    def transcribe(samples: Samples) -> str:
        heard.append(samples)
        return "your order is steady"

    figures = measure_voice(donor.folder, speaker, ["Your order is ready."], transcribe=transcribe, seeds=(0, 1))
    assert figures["wer"] == pytest.approx(0.25)
    assert figures["similarity"] > 0.85
    assert figures["pace"] == pytest.approx(0.9, abs=0.12)
    assert figures["pitch_hz"] == pytest.approx(figures["pitch_hz speaker"], rel=0.15)
    assert len(heard) == 2
    assert not np.array_equal(heard[0], heard[1])
