"""Acoustics: each change does what its physics says, keeps what it promises, and is the same for the same seed."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder import acoustics
from rejoinder.acoustics import Augmentation, add_noise, augment, noise, rms, speech_rms
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AudioError
from rejoinder.events import Samples


def tone(hz: float, seconds: float = 1.0, amplitude: float = 0.3) -> Samples:
    n_samples = round(seconds * SAMPLE_RATE)
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(n_samples) / SAMPLE_RATE)).astype(np.float32)


def voice(seconds: float = 2.0) -> Samples:
    """Something with the harmonics and the pauses of speech."""
    made = np.sum([tone(120.0 * n, seconds, 0.3 / n) for n in range(1, 20)], axis=0)
    syllables = np.sin(2 * np.pi * 2.0 * np.arange(len(made)) / SAMPLE_RATE) > 0
    return np.asarray(made * syllables, dtype=np.float32)


def pitch_hz(samples: Samples) -> float:
    """The frequency of the strongest partial."""
    loudest = int(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))))
    return loudest * SAMPLE_RATE / len(samples)


def gain_db(change: Callable[[Samples], Samples], hz: float) -> float:
    before = tone(hz)
    middle = slice(SAMPLE_RATE // 4, -SAMPLE_RATE // 4)
    return float(20 * np.log10((rms(change(before)[middle]) + 1e-9) / rms(before[middle])))


def test_the_telephone_passes_its_band_and_little_else() -> None:
    assert all(abs(gain_db(acoustics.phone_band, hz)) < 1.0 for hz in (500, 1_000, 2_000, 3_000))
    assert all(gain_db(acoustics.phone_band, hz) < -25.0 for hz in (50, 120, 200, 3_700, 5_000, 7_000))


def test_the_telephone_delays_nothing() -> None:
    samples = noise("white", SAMPLE_RATE, np.random.default_rng(0))
    heard = acoustics.phone_band(samples)
    lags = np.correlate(heard[4_000:12_000], samples[4_200:11_800], "valid")
    assert np.argmax(lags) == 200


@settings(max_examples=30)
@given(snr_db=st.floats(-5, 30), kind=st.sampled_from([kind for kind in acoustics.NOISE_KINDS if kind != "babble"]))
def test_noise_has_the_ratio_that_was_asked_for(snr_db: float, kind: str) -> None:
    samples = voice() * np.float32(0.1)
    rng = np.random.default_rng(0)
    mixed = add_noise(samples, noise(kind, len(samples), rng), snr_db)
    assert 20 * np.log10(speech_rms(samples) / rms(mixed - samples)) == pytest.approx(snr_db, abs=0.2)


def test_silence_around_speech_does_not_change_how_much_noise_it_gets() -> None:
    padded = np.pad(voice(), SAMPLE_RATE)
    assert speech_rms(padded) == pytest.approx(speech_rms(voice()), rel=0.02)


@pytest.mark.parametrize(("kind", "octave_db"), [("white", 0.0), ("pink", -3.0), ("brown", -6.0)])
def test_coloured_noise_falls_by_its_octave(kind: str, octave_db: float) -> None:
    made = noise(kind, 20 * SAMPLE_RATE, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(made)) ** 2
    hz = np.fft.rfftfreq(len(made), 1 / SAMPLE_RATE)
    density_db = [10 * np.log10(power[(hz > low) & (hz < low + 50)].mean()) for low in (400, 800, 1_600, 3_200)]
    assert np.diff(density_db) == pytest.approx([octave_db] * 3, abs=0.7)


def test_babble_is_made_of_clips() -> None:
    clips = [voice(1.0), tone(700.0, 0.5)]
    made = noise("babble", SAMPLE_RATE, np.random.default_rng(0), clips=clips)
    assert made.shape == (SAMPLE_RATE,)
    assert rms(made) == pytest.approx(0.1, rel=1e-3)
    with pytest.raises(AudioError, match="give clips"):
        noise("babble", SAMPLE_RATE, np.random.default_rng(0))


def test_a_room_rings_as_long_as_it_should() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[1_000] = 0.5
    heard = acoustics.reverberate(click, np.random.default_rng(0), t60_s=0.4, direct_db=0.0)
    assert np.argmax(np.abs(heard)) == 1_000
    level_db = [20 * np.log10(rms(heard[start : start + 800])) for start in (1_100, 1_100 + round(0.2 * SAMPLE_RATE))]
    assert level_db[0] - level_db[1] == pytest.approx(30.0, abs=3.0)


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.1, 1.3])
def test_a_tape_s_speed_takes_the_pitch_with_it(factor: float) -> None:
    faster = acoustics.change_speed(tone(400.0), factor)
    assert len(faster) == pytest.approx(SAMPLE_RATE / factor, abs=2)
    assert pitch_hz(faster) == pytest.approx(400.0 * factor, rel=0.01)


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.15, 1.5])
def test_stretching_leaves_the_pitch(factor: float) -> None:
    stretched = acoustics.stretch(tone(200.0, 2.0), factor)
    assert len(stretched) == pytest.approx(2 * SAMPLE_RATE / factor, abs=2)
    assert pitch_hz(stretched) == pytest.approx(200.0, rel=0.01)
    assert rms(stretched) == pytest.approx(rms(tone(200.0)), rel=0.1)


@pytest.mark.parametrize("semitones", [-3.0, 2.0])
def test_shifting_the_pitch_leaves_the_length(semitones: float) -> None:
    shifted = acoustics.shift_pitch(tone(200.0, 2.0), semitones)
    assert len(shifted) == 2 * SAMPLE_RATE
    assert pitch_hz(shifted) == pytest.approx(200.0 * 2 ** (semitones / 12), rel=0.01)


@settings(max_examples=30)
@given(dbfs=st.floats(-45, -3), gain=st.floats(0.001, 1.0))
def test_levels(dbfs: float, gain: float) -> None:
    heard = acoustics.set_level(voice() * np.float32(gain), dbfs)
    assert np.abs(heard).max() <= 1.0
    assert 20 * np.log10(speech_rms(heard)) <= dbfs + 0.1
    if np.abs(heard).max() < 0.98:
        assert 20 * np.log10(speech_rms(heard)) == pytest.approx(dbfs, abs=0.1)


def bursts(lost: Samples) -> list[int]:
    """Lengths, in packets, of what was lost in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost, [0]])))
    return [int(length) for length in edges[1::2] - edges[::2]]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.5])
def test_a_network_loses_its_share_in_bursts_of_two(share: float) -> None:
    packet = round(acoustics.PACKET_S * SAMPLE_RATE)
    rng = np.random.default_rng(0)
    samples = rng.uniform(0.1, 0.2, 20_000 * packet).astype(np.float32)  # no two packets are alike
    heard = acoustics.lose_packets(samples, rng, share=share)
    middle = slice(packet // 3, packet)  # the first 4 ms after a loss are blended
    lost = (heard != samples).reshape(-1, packet)[:, middle].all(axis=1).astype(np.float32)
    assert lost.mean() == pytest.approx(share, rel=0.15)
    assert np.mean(bursts(lost)) == pytest.approx(2.0, rel=0.15)


def test_nobody_stays_on_a_line_that_loses_more() -> None:
    for share in (-0.1, 0.51):
        with pytest.raises(AudioError, match="cannot be lost"):
            acoustics.lose_packets(voice(), np.random.default_rng(0), share=share)
    assert np.array_equal(acoustics.lose_packets(voice(), np.random.default_rng(0), share=0.0), voice())


@pytest.mark.parametrize("hz", [80.0, 120.0, 190.0])
def test_a_short_loss_is_concealed_by_the_pitch_that_was_there(hz: float) -> None:
    periodic = np.sum([tone(hz * n, 1.0, 0.2 / n) for n in (1, 2, 3)], axis=0).astype(np.float32)
    heard = periodic.copy()
    start, end = 8_000, 8_000 + 160  # 10 ms
    heard[start:end] = 0.0
    acoustics._conceal(heard, start, end)
    assert rms(heard - periodic) < 0.12 * rms(periodic) * np.sqrt(len(periodic) / 160) * 0.5
    assert np.array_equal(heard[:start], periodic[:start])
    assert np.array_equal(heard[end + 64 :], periodic[end + 64 :])


def test_a_long_loss_fades_into_silence() -> None:
    heard = tone(120.0)
    acoustics._conceal(heard, 8_000, 8_000 + 3_200)  # 0.2 s
    assert rms(heard[8_000:8_160]) == pytest.approx(rms(tone(120.0)), rel=0.15)
    assert not heard[8_960:11_200].any()


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), n_samples=st.integers(0, 2 * SAMPLE_RATE))
def test_augmented_copies_are_sound_and_the_same_for_the_same_seed(seed: int, n_samples: int) -> None:
    samples = voice()[:n_samples]
    copies = [
        augment(samples, np.random.default_rng(seed), noises=[tone(300.0)], babble=[voice(0.5)]) for _ in range(2)
    ]
    assert np.array_equal(copies[0], copies[1])
    assert copies[0].dtype == np.float32
    assert np.isfinite(copies[0]).all()
    assert np.abs(copies[0]).max(initial=0.0) <= 1.0
    fastest, slowest = Augmentation().speed[1], Augmentation().speed[0]
    assert n_samples / fastest - 2 <= len(copies[0]) <= n_samples / slowest + 2


def test_copies_differ() -> None:
    rng = np.random.default_rng(0)
    first, second = augment(voice(), rng), augment(voice(), rng)
    assert len(first) != len(second) or not np.array_equal(first, second)


def test_silence_stays_silent() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    assert not augment(silence, np.random.default_rng(3), Augmentation(p_noise=1.0, p_reverb=1.0, p_phone=1.0)).any()


def test_noise_that_is_not_known_or_empty() -> None:
    with pytest.raises(AudioError, match=r"unknown noise 'grey' \(known: babble, brown, clinks, hum, pink, white\)"):
        noise("grey", 10, np.random.default_rng(0))
    with pytest.raises(AudioError, match="holds no samples"):
        add_noise(voice(), np.zeros(0, np.float32), 10.0)
