"""The wire's audio: streams of any cut, no rate changed by the way."""

import numpy as np
import pytest

from rejoinder.audio import SAMPLE_RATE
from rejoinder.serve.realtime.audio import PIECE_S, Encoding, InputStream, OutputStream


def tone(seconds: float, sample_rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * sample_rate)) / sample_rate)).astype(np.float32)


@pytest.mark.parametrize("encoding", Encoding)
def test_silence_and_the_loudest_samples_survive(encoding: Encoding) -> None:
    samples = np.array([0.0, 0.9, -0.9], np.float32)
    assert encoding.decode(encoding.encode(samples)) == pytest.approx(samples, abs=0.03)
    assert len(encoding.encode(samples)) == 3 * encoding.n_bytes


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("n_bytes", [1, 333, 480, 100_000])
def test_a_stream_is_the_same_however_it_is_cut(encoding: Encoding, n_bytes: int) -> None:
    data = encoding.encode(tone(1.0, encoding.sample_rate))
    stream, whole = InputStream(encoding), InputStream(encoding)
    cut = [piece for at in range(0, len(data), n_bytes) for piece in stream.pieces(data[at : at + n_bytes])]
    expected = np.concatenate(list(whole.pieces(data)))
    heard = np.concatenate(cut)
    n_shared = min(len(heard), len(expected))
    assert abs(len(heard) - len(expected)) <= 320
    assert heard[:n_shared] == pytest.approx(expected[:n_shared], abs=1e-3)
    assert heard[4000:12000] == pytest.approx(tone(1.0, SAMPLE_RATE)[4000:12000], abs=0.03)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("sample_rate", [24_000, 22_050])
def test_a_reply_is_sent_in_short_pieces_without_a_seam(encoding: Encoding, sample_rate: int) -> None:
    stream, said = OutputStream(encoding, sample_rate), tone(1.0, sample_rate)
    pieces = [piece for at in range(0, len(said), 5000) for piece in stream.pieces(said[at : at + 5000])]
    pieces += stream.pieces(np.zeros(0, np.float32), last=True)
    assert max(len(piece) for piece in pieces) <= PIECE_S * encoding.sample_rate * encoding.n_bytes
    heard = encoding.decode(b"".join(pieces))
    assert len(heard) == pytest.approx(encoding.sample_rate, abs=2)
    assert heard[800:-800] == pytest.approx(tone(1.0, encoding.sample_rate)[800 : len(heard) - 800], abs=0.03)
