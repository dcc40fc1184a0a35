"""What rooms, telephones, networks and noise do to speech: pure functions on float32 arrays at `audio.SAMPLE_RATE`.

They make synthetic speech varied enough to learn from, and recordings hard enough to test with. Whatever is random
comes from the `numpy.random.Generator` that the caller gives: the same one gives the same samples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from rejoinder import audio
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AudioError, one_of
from rejoinder.events import Samples

PHONE_RATE = 8_000
PHONE_BAND_HZ = (300.0, 3_400.0)
"""The band of the analogue telephone (ITU-T G.712)."""

NOISE_KINDS = ("white", "pink", "brown", "hum", "babble", "clinks")
"""What `noise` makes."""

PACKET_S = 0.02
"""Speech in a packet, as nearly all internet telephony has it (RFC 3551)."""

MOST_LOSS = 0.5
"""Largest share of lost packets that `lose_packets` takes; nobody stays on such a line."""

_EPSILON = 1e-10
_FRAME = SAMPLE_RATE // 50  # 20 ms
_ACTIVE_DB = 25.0  # frames this far under the loudest are pauses
_N_FILTER = 255  # taps of the telephone's filter: 100 Hz wide flanks at 8 kHz
_P_RECOVER = 0.5  # packets in a burst of losses: two on average
_SHORTEST_PITCH, _LONGEST_PITCH = SAMPLE_RATE // 200, SAMPLE_RATE * 15 // 1000  # samples; 200 to 66 Hz, as in G.711
_CONCEALED = SAMPLE_RATE // 100, SAMPLE_RATE * 6 // 100  # samples: 10 ms at full level, silence from 60 ms on
_JOIN = SAMPLE_RATE // 250  # 4 ms over which what is concealed becomes what is received


def rms(samples: NDArray[np.floating[Any]]) -> float:
    """Root mean square of all samples."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def speech_rms(samples: Samples) -> float:
    """Root mean square of the 20 ms frames that hold speech: those within 25 dB of the loudest.

    A simple stand-in for the active speech level of ITU-T P.56. Unlike the plain level, it does not fall when silence
    is added around the speech.
    """
    n_frames = len(samples) // _FRAME
    if n_frames < 2:
        return rms(samples)
    powers = np.mean(np.square(samples[: n_frames * _FRAME].reshape(n_frames, _FRAME), dtype=np.float64), axis=1)
    return float(np.sqrt(powers[powers >= powers.max() * 10 ** (-_ACTIVE_DB / 10)].mean()))


def set_level(samples: Samples, dbfs: float) -> Samples:
    """Bring the speech to `dbfs` (of its RMS, full scale 0 dB); quieter where peaks would be clipped."""
    loudness = speech_rms(samples)
    if loudness < _EPSILON:
        return samples
    gain = min(10 ** (dbfs / 20) / loudness, 0.99 / float(np.abs(samples).max()))
    return (samples * np.float32(gain)).astype(np.float32)


def add_noise(samples: Samples, noise: Samples, snr_db: float, *, start: int = 0) -> Samples:
    """Mix `noise`, taken from its sample `start` on and repeated as needed, `snr_db` under the speech.

    The ratio is that of the speech's level (`speech_rms`) to the noise's over the same stretch. Where the sum would be
    clipped, all of it is made quieter.
    """
    if not len(samples):
        return samples
    if not len(noise):
        raise AudioError("the noise holds no samples")
    piece = np.resize(np.roll(noise, -(start % len(noise))) if start else noise, len(samples))
    piece = piece - np.float32(piece.mean())
    loudness = rms(piece)
    if loudness < _EPSILON:
        return samples
    mixed = samples + piece * np.float32(speech_rms(samples) / loudness * 10 ** (-snr_db / 20))
    return _unclipped(mixed)


def noise(kind: str, n_samples: int, rng: Generator, *, clips: Sequence[Samples] = ()) -> Samples:
    """`n_samples` of generated noise, at an RMS of 0.1: one of `NOISE_KINDS`.

    "babble" is several of `clips` (speech) at once, and needs some; "clinks" are short ringing strokes as of dishes,
    over a faint hiss. Raises `AudioError` for a kind that is not known.
    """
    if kind not in NOISE_KINDS:
        raise AudioError(f"unknown noise '{kind}' ({one_of(NOISE_KINDS)})")
    if kind == "babble" and not any(len(clip) for clip in clips):
        raise AudioError("noise 'babble' is made of speech: give clips")
    if not n_samples:
        return np.zeros(0, np.float32)
    match kind:
        case "white" | "pink" | "brown":
            made = _coloured(n_samples, {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind], rng)
        case "hum":
            made = _hum(n_samples, rng)
        case "clinks":
            made = _clinks(n_samples, rng)
        case _:
            made = _babble(n_samples, [clip for clip in clips if len(clip)], rng)
    return np.asarray(made * (0.1 / max(rms(made), _EPSILON)), dtype=np.float32)


def in_noise(
    samples: Samples, snr_db: float, rng: Generator, noises: Sequence[Samples], babble: Sequence[Samples] = ()
) -> Samples:
    """Speech in one of `noises` from a random place on, else in a generated one."""
    if noises:
        chosen = noises[int(rng.integers(len(noises)))]
        return add_noise(samples, chosen, snr_db, start=int(rng.integers(max(1, len(chosen)))))
    kinds = [kind for kind in NOISE_KINDS if kind != "babble" or babble]
    return add_noise(samples, noise(str(rng.choice(kinds)), len(samples), rng, clips=babble), snr_db)


def phone_band(samples: Samples) -> Samples:
    """Speech as a telephone carries it: 300 to 3400 Hz, 8,000 samples a second, 8-bit mu-law; same length as before."""
    narrow = audio.resample(samples, SAMPLE_RATE, PHONE_RATE)
    low, high = (2.0 * hz / PHONE_RATE for hz in PHONE_BAND_HZ)
    taps = np.arange(_N_FILTER) - _N_FILTER // 2
    kernel = (high * np.sinc(high * taps) - low * np.sinc(low * taps)) * np.hamming(_N_FILTER)
    filtered = _convolve(narrow, kernel)[_N_FILTER // 2 :][: len(narrow)]
    wide = audio.resample(audio.from_mulaw(audio.to_mulaw(filtered)), PHONE_RATE, SAMPLE_RATE)
    return _fitted(wide, len(samples))


def reverberate(samples: Samples, rng: Generator, *, t60_s: float = 0.4, direct_db: float = 3.0) -> Samples:
    """Speech in a room whose sound dies away by 60 dB in `t60_s`; the direct sound is `direct_db` over the echoes.

    The room's answer is exponentially decaying noise (J.-D. Polack, "La transmission de l'énergie sonore dans les
    salles", 1988) from 2 ms after the direct sound on. The speech keeps its place, length and level.
    """
    n_room = max(2, round(t60_s * SAMPLE_RATE))
    times_s = np.arange(n_room) / SAMPLE_RATE
    room = rng.standard_normal(n_room) * 10 ** (-3.0 * times_s / t60_s)  # 60 dB are a factor of 1000
    room[: round(0.002 * SAMPLE_RATE)] = 0.0
    room *= 10 ** (-direct_db / 20) / max(float(np.linalg.norm(room)), _EPSILON)
    room[0] = 1.0
    heard = _convolve(samples, room)[: len(samples)]
    return _unclipped((heard * (rms(samples) / max(rms(heard), _EPSILON))).astype(np.float32))


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play faster by `factor`, pitch and timbre going with it, as a tape does: to a recognizer, another speaker."""
    if factor == 1.0 or not len(samples):
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, factor * SAMPLE_RATE, SAMPLE_RATE, quality="MQ"), dtype=np.float32)


def stretch(samples: Samples, factor: float) -> Samples:
    """Speak faster by `factor`, the pitch staying: shorter by `factor`.

    WSOLA (Verhelst and Roelands, "An overlap-add technique based on waveform similarity", ICASSP 1993): windows of
    32 ms are laid closer together, each taken from where it best continues the one before, within 8 ms.
    """
    n_window, n_search = 2 * SAMPLE_RATE // 62, SAMPLE_RATE // 125
    n_hop = n_window // 2
    if factor == 1.0 or len(samples) < 2 * n_window:
        return samples
    padded = np.pad(samples, (n_search, n_window + n_search + n_hop))
    window = np.hanning(n_window + 1)[:n_window].astype(np.float32)
    n_out = max(n_window, round(len(samples) / factor))
    out = np.zeros(n_out + n_window, np.float32)
    taken = n_search
    for start in range(0, n_out, n_hop):
        nominal = min(round(start * factor), len(samples)) + n_search
        if start:
            following = padded[taken + n_hop : taken + n_hop + n_window]
            region = padded[nominal - n_search : nominal + n_search + n_window]
            taken = nominal - n_search + int(np.argmax(np.correlate(region, following, "valid")))
            if taken + n_hop + n_window > len(padded):
                break
        out[start : start + n_window] += padded[taken : taken + n_window] * window
    return out[:n_out]


def shift_pitch(samples: Samples, semitones: float) -> Samples:
    """Speak higher by `semitones` at the same pace; same length as before."""
    factor = 2.0 ** (semitones / 12)
    return _fitted(change_speed(stretch(samples, 1.0 / factor), factor), len(samples))


def colour(samples: Samples, rng: Generator, *, spread_db: float = 6.0) -> Samples:
    """Another microphone: each octave from 62 Hz to 8 kHz made louder or quieter at random, `spread_db` at most."""
    n_fft = _fft_size(len(samples))
    octaves = 62.5 * 2.0 ** np.arange(8)
    gains_db = rng.uniform(-spread_db, spread_db, len(octaves))
    hz = np.maximum(np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE), octaves[0])
    curve = 10 ** (np.interp(np.log2(hz), np.log2(octaves), gains_db) / 20)
    spectrum = np.fft.rfft(samples, n_fft) * curve.astype(np.float32)
    return _unclipped(np.fft.irfft(spectrum, n_fft)[: len(samples)].astype(np.float32))


def lose_packets(samples: Samples, rng: Generator, *, share: float = 0.05) -> Samples:
    """Speech over a network that loses `share` of its packets, in bursts of two on average; same length as before.

    The line is good or bad, and a bad one loses all (E. N. Gilbert, "Capacity of a burst-noise channel", Bell System
    Technical Journal 39, 1960). What is lost is concealed as simple receivers do it (after ITU-T G.711 Appendix I): the
    last period of the pitch is repeated, fading from 10 ms on and silent after 60 ms. Raises `AudioError` for a share
    over `MOST_LOSS`.
    """
    if not 0.0 <= share <= MOST_LOSS:
        raise AudioError(f"{100 * share:g}% of the packets cannot be lost (at most {100 * MOST_LOSS:.0f}%)")
    n_packet = round(PACKET_S * SAMPLE_RATE)
    heard = samples.copy()
    for first, after in _bursts(-(-len(samples) // n_packet), share, rng):
        _conceal(heard, first * n_packet, min(after * n_packet, len(samples)))
    return heard


def _bursts(n_packets: int, share: float, rng: Generator) -> list[tuple[int, int]]:
    """Packets that are lost in a row: the first one, and the first one after them that is not."""
    p_fail = share * _P_RECOVER / (1.0 - share)  # such that `share` of all time is bad
    lost = np.zeros(n_packets + 2, np.int8)  # with a packet on each side that is not
    for n, draw in enumerate(rng.random(n_packets), start=1):
        is_bad = draw >= _P_RECOVER if lost[n - 1] else draw < (share if n == 1 else p_fail)
        lost[n] = is_bad
    edges = np.flatnonzero(np.diff(lost))
    return [(int(first), int(after)) for first, after in zip(edges[::2], edges[1::2], strict=True)]


def _conceal(heard: Samples, start: int, end: int) -> None:
    """Write into `heard` what a receiver plays in place of the samples from `start` to `end`."""
    n_lost, n_played = end - start, min(end + _JOIN, len(heard)) - start
    times = np.arange(n_played)
    full, silent = _CONCEALED
    played = np.clip((silent - times) / (silent - full), 0.0, 1.0)
    if start >= 2 * _LONGEST_PITCH:
        history = heard[start - 2 * _LONGEST_PITCH : start]
        played = played * np.resize(history[-_pitch_period(history) :], n_played)
    else:
        played = np.zeros(n_played)
    received = np.clip((times - n_lost) / _JOIN, 0.0, 1.0)
    heard[start : start + n_played] = received * heard[start : start + n_played] + (1.0 - received) * played


def _pitch_period(history: Samples) -> int:
    """The lag, in samples, at which the second half of `history`, (2 * _LONGEST_PITCH,), best repeats the first."""
    earlier = np.lib.stride_tricks.sliding_window_view(history, _LONGEST_PITCH)[: 1 - _SHORTEST_PITCH]
    likeness = earlier @ history[_LONGEST_PITCH:] / np.sqrt(np.square(earlier).sum(axis=1) + _EPSILON)
    return _LONGEST_PITCH - int(np.argmax(likeness))


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How varied the copies are that `augment` makes; each pair is the range that a value is drawn from."""

    speed: tuple[float, float] = (0.9, 1.12)
    """Tape speed: pitch and pace together."""
    p_noise: float = 0.6
    snr_db: tuple[float, float] = (3.0, 30.0)
    p_reverb: float = 0.3
    t60_s: tuple[float, float] = (0.1, 0.6)
    p_colour: float = 0.5
    p_phone: float = 0.2
    level_dbfs: tuple[float, float] = (-36.0, -14.0)


def augment(
    samples: Samples,
    rng: Generator,
    options: Augmentation | None = None,
    *,
    noises: Sequence[Samples] = (),
    babble: Sequence[Samples] = (),
) -> Samples:
    """A random copy of an utterance: as another speaker, in a room, in noise, over a telephone, louder or quieter.

    Half of the noise is cut from `noises` where there are some, the rest generated; `babble` is speech to make babble
    of. The order is that of nature: the voice, the room, the noise in it, the microphone, the line.
    """
    options = options or Augmentation()
    samples = change_speed(samples, float(rng.uniform(*options.speed)))
    if rng.random() < options.p_reverb:
        direct_db = float(rng.uniform(-2.0, 12.0))
        samples = reverberate(samples, rng, t60_s=float(rng.uniform(*options.t60_s)), direct_db=direct_db)
    if rng.random() < options.p_noise:
        from_files = noises if rng.random() < 0.5 else ()
        samples = in_noise(samples, float(rng.uniform(*options.snr_db)), rng, from_files, babble)
    if rng.random() < options.p_colour:
        samples = colour(samples, rng)
    if rng.random() < options.p_phone:
        samples = phone_band(samples)
    return set_level(samples, float(rng.uniform(*options.level_dbfs)))


def _coloured(n_samples: int, exponent: float, rng: Generator) -> NDArray[np.float64]:
    """Noise whose amplitude falls with the frequency to the power of `exponent`, from 40 Hz on."""
    n_fft = _fft_size(n_samples)
    hz = np.maximum(np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE), 40.0)
    spectrum = np.fft.rfft(rng.standard_normal(n_fft)) * hz**-exponent
    spectrum[0] = 0.0
    return np.asarray(np.fft.irfft(spectrum, n_fft)[:n_samples])


def _hum(n_samples: int, rng: Generator) -> NDArray[np.float64]:
    """Mains and its harmonics, as of fridges and cheap power supplies, over a little brown noise."""
    times_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE  # repeats every second: all frequencies are whole
    mains_hz = float(rng.choice((50.0, 60.0)))
    second = np.zeros(SAMPLE_RATE)
    for n in range(1, 16):
        second += rng.uniform(0.1, 1.0) / n * np.sin(2 * np.pi * (n * mains_hz * times_s + rng.random()))
    made = np.resize(second, n_samples)
    rest = _coloured(n_samples, 1.0, rng)
    return made + 0.3 * rms(made) / max(rms(rest), _EPSILON) * rest


def _clinks(n_samples: int, rng: Generator) -> NDArray[np.float64]:
    """Three or so ringing strokes a second, each of a few partials that die away within a fifth of a second."""
    made = 0.01 * _coloured(n_samples, 0.5, rng)
    made *= 0.02 / max(rms(made), _EPSILON)
    n_ring = min(n_samples, SAMPLE_RATE // 5)
    times_s = np.arange(n_ring) / SAMPLE_RATE
    for _ in range(1 + rng.poisson(3.0 * n_samples / SAMPLE_RATE)):
        partials_hz = rng.uniform(1_500.0, 7_000.0, 4)
        ring = np.sin(2 * np.pi * np.outer(partials_hz, times_s)).sum(axis=0) * np.exp(
            -times_s / rng.uniform(0.01, 0.05)
        )
        start = int(rng.integers(n_samples))
        end = min(n_samples, start + n_ring)
        made[start:end] += rng.uniform(0.1, 1.0) * ring[: end - start]
    return made


def _babble(n_samples: int, clips: Sequence[Samples], rng: Generator) -> NDArray[np.float64]:
    """Four to seven voices at once, each at its own level and from its own place on."""
    made = np.zeros(n_samples)
    for _ in range(int(rng.integers(4, 8))):
        clip = clips[int(rng.integers(len(clips)))]
        voice = np.resize(np.roll(clip, int(rng.integers(len(clip)))), n_samples)
        made += voice * (rng.uniform(0.3, 1.0) / max(rms(clip), _EPSILON))
    return made


def _convolve(samples: Samples, kernel: NDArray[np.float64]) -> Samples:
    """The full convolution, float32 of shape (n_samples + n_kernel - 1,)."""
    n_out = len(samples) + len(kernel) - 1
    n_fft = _fft_size(n_out)
    spectrum = np.fft.rfft(samples, n_fft) * np.fft.rfft(kernel.astype(np.float32), n_fft)
    return np.asarray(np.fft.irfft(spectrum, n_fft)[:n_out], dtype=np.float32)


def _fft_size(n_samples: int) -> int:
    """The next length that a Fourier transform takes quickly: 2**k or 3 * 2**k."""
    power = 1 << max(1, math.ceil(math.log2(max(2, n_samples))))
    return power * 3 // 4 if power * 3 // 4 >= n_samples else power


def _fitted(samples: Samples, n_samples: int) -> Samples:
    return np.pad(samples[:n_samples], (0, max(0, n_samples - len(samples)))).astype(np.float32)


def _unclipped(samples: Samples) -> Samples:
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    return samples if peak <= 0.99 else (samples * np.float32(0.99 / peak)).astype(np.float32)
