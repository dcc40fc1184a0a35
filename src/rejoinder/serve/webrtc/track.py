"""The track on which replies leave, and how the caller's frames are read."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import soxr
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from rejoinder.audio import SAMPLE_RATE, frames, to_int16
from rejoinder.events import Samples
from rejoinder.serve.realtime.response import Response

OUTPUT_RATE = 48_000
"""Opus' own."""

FRAME_S = 0.02
FRAME_SAMPLES = round(FRAME_S * OUTPUT_RATE)  # 960 samples

PIECE_S = 0.1
"""What is resampled at once: no call keeps the event loop from the others."""

LATEST_S = 0.2
"""A track that is later than this does not catch up: a burst of frames would only fill the client's buffer."""


@dataclass(slots=True, eq=False)
class _Reply:
    """A response being played."""

    response: Response
    resampler: soxr.ResampleStream
    pieces: deque[Samples] = field(default_factory=deque)
    whole: bool = False
    n_sent: int = 0
    """Samples at OUTPUT_RATE that have left."""


class ReplyTrack(MediaStreamTrack):
    """Plays replies at the pace of the clock, and silence between them. A `Speaker` of the Realtime protocol."""

    kind = "audio"

    def __init__(self, played: Callable[[Response, bool], None]) -> None:
        """`played` is told when a response begins to be heard (True), and when all of it has been (False)."""
        super().__init__()
        self._played = played
        self._replies: deque[_Reply] = deque()
        self._ready = np.zeros(0, np.float32)
        self._silent = asyncio.Event()
        self._silent.set()
        self._began_s: float | None = None
        self._n_frames = 0

    def play(self, samples: Samples, sample_rate: int, response: Response) -> None:
        """Play this after what is still to be played; float32 of shape (n_samples,)."""
        reply = self._replies[-1] if self._replies else None
        if reply is None or reply.response is not response:
            self.end()
            reply = _Reply(response, soxr.ResampleStream(sample_rate, OUTPUT_RATE, 1, dtype="float32"))
            self._replies.append(reply)
            self._silent.clear()
        reply.pieces.extend(frames(samples, round(PIECE_S * sample_rate)))

    def end(self) -> None:
        """No more of the latest response follows."""
        if self._replies:
            self._replies[-1].whole = True

    def cut(self) -> float | None:
        """Drop what was not played; the seconds of the response which were, or None when there was nothing to drop."""
        if not self._replies:
            return None
        heard_s = self._replies[0].n_sent / OUTPUT_RATE
        self._replies.clear()
        self._ready = np.zeros(0, np.float32)
        self._silent.set()
        return heard_s

    async def silence(self) -> None:
        """Wait until all that was to be played has been."""
        await self._silent.wait()

    async def recv(self) -> AudioFrame:
        """The next 20 ms, when it is time for them; aiortc calls this, and encodes on a thread."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._began_s is None:
            self._began_s = loop.time()
        wait_s = self._began_s + self._n_frames * FRAME_S - loop.time()
        if wait_s < -LATEST_S:
            self._began_s -= wait_s
        elif wait_s > 0:
            await asyncio.sleep(wait_s)
        samples = self._next()
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(to_int16(samples).tobytes())
        frame.sample_rate, frame.time_base = OUTPUT_RATE, Fraction(1, OUTPUT_RATE)
        frame.pts = self._n_frames * FRAME_SAMPLES
        self._n_frames += 1
        return frame

    def _next(self) -> Samples:
        """20 ms at OUTPUT_RATE, of shape (FRAME_SAMPLES,)."""
        if not self._replies:
            return np.zeros(FRAME_SAMPLES, np.float32)
        reply = self._replies[0]
        while len(self._ready) < FRAME_SAMPLES and reply.pieces:
            piece = reply.pieces.popleft()
            last = reply.whole and not reply.pieces
            resampled = np.asarray(reply.resampler.resample_chunk(piece, last=last), np.float32)
            self._ready = np.concatenate([self._ready, resampled])
        samples, self._ready = self._ready[:FRAME_SAMPLES], self._ready[FRAME_SAMPLES:]
        if len(samples) and not reply.n_sent:
            self._played(reply.response, True)
        reply.n_sent += len(samples)
        if reply.whole and not reply.pieces and not len(self._ready):
            self._replies.popleft()
            if reply.n_sent:
                self._played(reply.response, False)
            if not self._replies:
                self._silent.set()
        return np.pad(samples, (0, FRAME_SAMPLES - len(samples)))


class CallerAudio:
    """The caller's frames, of whatever rate and channels their codec has, to float32 mono at `SAMPLE_RATE`."""

    def __init__(self) -> None:
        self._rate = 0
        self._resampler: soxr.ResampleStream | None = None

    def pieces(self, frame: AudioFrame) -> Iterator[Samples]:
        """What can be told once this frame has come, of shape (n_samples,)."""
        channels = frame.to_ndarray().reshape(-1, len(frame.layout.channels))  # packed 16-bit integers
        samples = (channels.mean(axis=1) / 32768.0).astype(np.float32)
        if self._resampler is None or frame.sample_rate != self._rate:
            self._rate = frame.sample_rate
            self._resampler = soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, dtype="float32")
        resampled = np.asarray(self._resampler.resample_chunk(samples), np.float32)
        if len(resampled):
            yield resampled
