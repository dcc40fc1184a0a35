"""Audio at the edges: files of every kind, sample rates, 16-bit integers, mu-law and A-law."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from rejoinder import audio
from rejoinder.errors import AudioError
from rejoinder.events import Samples


def tone(n_samples: int, rate: int, hz: float = 440.0) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(n_samples) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 96_000])
def test_every_rate_is_resampled_to_the_one_inside(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(rate, rate), rate)
    samples = audio.load(tmp_path / "tone.wav")
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(audio.SAMPLE_RATE, abs=2)
    spectrum = np.abs(np.fft.rfft(samples[: audio.SAMPLE_RATE]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_part_of_a_file(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(2 * rate, rate), rate)
    whole = audio.load(tmp_path / "tone.wav")
    part = audio.load(tmp_path / "tone.wav", offset_s=0.5, duration_s=0.25)
    assert len(part) == audio.SAMPLE_RATE // 4
    inner = slice(500, -500)  # resampling a part begins from silence
    assert part[inner] == pytest.approx(whole[audio.SAMPLE_RATE // 2 :][: len(part)][inner], abs=1e-3)
    assert len(audio.load(tmp_path / "tone.wav", offset_s=1.5, duration_s=9.0)) == audio.SAMPLE_RATE // 2
    with pytest.raises(AudioError, match="holds no samples"):
        audio.load(tmp_path / "tone.wav", offset_s=3.0)


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "stereo.wav", np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1), 16_000)
    assert audio.load(tmp_path / "stereo.wav") == pytest.approx(np.full(100, 0.125), abs=1e-4)


def test_a_wav_cut_off_in_its_samples_gives_what_is_there(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "whole.wav", tone(16_000, 16_000), 16_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:20_000])
    assert 9_900 < len(audio.load(tmp_path / "cut.wav")) < 10_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.wav", b""),
        ("text.wav", b"This is no recording.\n" * 50),
        ("header.wav", b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00"),
        ("cut.flac", b"fLaC\x00\x00\x00\x22" + bytes(20)),
    ],
)
def test_what_is_not_audio_is_named_in_the_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match=name):
        audio.load(tmp_path / name)


def test_a_flac_cut_off_in_the_middle_is_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    soundfile.write(tmp_path / "whole.flac", noise, 16_000)
    content = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=r"cut\.flac"):
        audio.load(tmp_path / "cut.flac")


def test_a_file_without_samples_is_an_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(AudioError, match="holds no samples"):
        audio.load(tmp_path / "none.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_an_error(tmp_path: Path, bad: float) -> None:
    soundfile.write(tmp_path / "bad.wav", np.array([0.0, bad, 0.5]), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="not numbers"):
        audio.load(tmp_path / "bad.wav")


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.wav", tmp_path):
        with pytest.raises(AudioError, match="no such file"):
            audio.load(path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_what_is_saved_is_loaded_again(tmp_path: Path, suffix: str) -> None:
    samples = tone(16_000, 16_000)
    audio.save(tmp_path / f"tone.{suffix}", samples)
    loaded = audio.load(tmp_path / f"tone.{suffix}")
    assert np.sqrt(np.mean((loaded - samples) ** 2)) < (0.02 if suffix == "ogg" else 1e-4)


@pytest.mark.parametrize("name", ["missing/tone.wav", "tone.unheard-of"])
def test_what_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(AudioError, match="cannot be written"):
        audio.save(tmp_path / name, tone(10, 16_000))


def test_every_16_bit_sample_survives_the_way_to_float_and_back() -> None:
    every = np.arange(-32_768, 32_768).astype(np.int16)
    assert np.array_equal(audio.to_int16(audio.from_int16(every)), every)


def test_loud_samples_are_clipped_not_wrapped() -> None:
    assert audio.to_int16(np.array([2.0, 1.0, -2.0], np.float32)).tolist() == [32_767, 32_767, -32_768]


def test_mulaw_has_the_values_of_g711() -> None:
    pcm = np.array([0, 32_767, -32_768, 1_000, -1_000, 8, -8], np.int16)  # reference: CPython's audioop
    assert audio.to_mulaw(audio.from_int16(pcm)).tolist() == [0xFF, 0x80, 0x00, 0xCE, 0x4E, 0xFE, 0x7E]
    decoded = np.round(audio.from_mulaw(np.array([0xFF, 0x80, 0x00, 0xCE], np.uint8)) * 32_768)
    assert decoded.tolist() == [0, 32_124, -32_124, 988]


def test_every_mulaw_code_survives_decoding_and_encoding() -> None:
    codes = np.arange(256).astype(np.uint8)
    again = audio.to_mulaw(audio.from_mulaw(codes))
    assert np.array_equal(np.delete(again, 0x7F), np.delete(codes, 0x7F))  # 0x7F is minus zero: it comes back as zero


@given(st.floats(-1.0, 1.0, width=32))
def test_mulaw_is_within_its_step_of_the_sample(sample: float) -> None:
    decoded = float(audio.from_mulaw(audio.to_mulaw(np.array([sample], np.float32)))[0])
    assert abs(decoded - sample) <= max(0.001, abs(sample) * 0.04)


@given(st.integers(0, 500), st.integers(1, 60))
def test_frames_hold_every_sample_once(n_samples: int, n_frame: int) -> None:
    samples = np.arange(n_samples, dtype=np.float32)
    cut = list(audio.frames(samples, n_frame))
    assert all(len(frame) == n_frame for frame in cut[:-1])
    assert np.array_equal(np.concatenate([*cut, samples[:0]]), samples)


# ITU-T G.711, table 1a: the values at the decision levels' outputs, on the scale of 13 bits (4096), as 16-bit integers.
ALAW = {
    0xD5: 8,
    0xD4: 24,
    0xC5: 264,
    0xF5: 528,
    0xE5: 1056,
    0x95: 2112,
    0x85: 4224,
    0xB5: 8448,
    0xA5: 16896,
    0xAA: 32256,
}


@pytest.mark.parametrize(("code", "value"), ALAW.items())
def test_alaw_has_the_values_of_g711(code: int, value: int) -> None:
    both_signs = np.array([code, code ^ 0x80], np.uint8)
    decoded = audio.from_alaw(both_signs)
    assert list(np.round(decoded * 32768)) == [value, -value]
    assert list(audio.to_alaw(decoded)) == list(both_signs)


def test_every_alaw_code_comes_back() -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(audio.to_alaw(audio.from_alaw(codes)), codes)


@given(st.integers(-32768, 32767))
def test_alaw_is_as_near_as_its_segments_allow(value: int) -> None:
    (decoded,) = audio.from_alaw(audio.to_alaw(np.array([value / 32768], np.float32))) * 32768
    assert abs(decoded - value) <= max(8, abs(value) / 32 + 8)
    assert decoded > 0 if value >= 0 else decoded < 0
