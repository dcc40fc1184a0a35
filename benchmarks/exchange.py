"""The exchange that README shows: a recorded customer meets the assistant live; what both say, and when.

`python -m benchmarks.exchange` writes docs/exchange.flac (caller left, assistant right) and docs/exchange.svg, and
prints the timeline.
"""

import asyncio
import time
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from benchmarks.corpus import CAFE, ROOT, cafe
from rejoinder import Assistant, audio
from rejoinder.audio import SAMPLE_RATE, frames
from rejoinder.evaluate.sets import Recording
from rejoinder.evaluate.turntaking import speech_span
from rejoinder.events import (
    PartialTranscript,
    ReplyAudio,
    ReplyStarted,
    Samples,
    SpeechStarted,
    TurnEnded,
    Understood,
)

CUSTOMER = 3
FRAME_S = 0.02
AFTER_S = 5.0


@dataclass(frozen=True)
class Moment:
    """Something that happened, `at_s` after the recording began."""

    at_s: float
    what: str


async def record(assistant: Assistant, customer: Recording) -> tuple[list[Moment], Samples, Samples]:
    """Stream a customer at real-time pace: the timeline, and the audio of both sides at `SAMPLE_RATE`."""
    _, end_s = speech_span(customer.samples)
    heard = np.concatenate(
        [customer.samples[: round((end_s + 0.3) * SAMPLE_RATE)], np.zeros(round(AFTER_S * SAMPLE_RATE))]
    )
    said = np.zeros(len(heard), np.float32)
    moments = [Moment(end_s, "the customer's last sound")]
    async with assistant.session() as session:

        async def follow() -> None:
            play_s = 0.0
            async for event in session.events():
                at_s = time.perf_counter() - started
                match event:
                    case SpeechStarted():
                        moments.append(Moment(at_s, "speech heard"))
                    case PartialTranscript(text=text):
                        moments.append(Moment(at_s, f"partial: {text}"))
                    case TurnEnded(text=text):
                        moments.append(Moment(at_s, f"turn over: {text}"))
                    case Understood(understanding=understanding):
                        slots = ", ".join(f"{name} {value}" for name, value in understanding.slots.items())
                        moments.append(Moment(at_s, f"understood: {understanding.intent} ({slots})"))
                    case ReplyStarted(text=text):
                        moments.append(Moment(at_s, f"reply: {text}"))
                    case ReplyAudio(samples=samples, sample_rate=rate):
                        if not play_s:
                            moments.append(
                                Moment(at_s, f"the assistant's first sound, {1000 * (at_s - end_s):.0f} ms later")
                            )
                        play_s = max(play_s, at_s)
                        piece = audio.resample(samples, rate, SAMPLE_RATE)
                        start = round(play_s * SAMPLE_RATE)
                        piece = piece[: max(0, len(said) - start)]
                        said[start : start + len(piece)] += piece
                        play_s += len(piece) / SAMPLE_RATE

        following = asyncio.create_task(follow())
        started = time.perf_counter()
        for i, frame in enumerate(frames(heard.astype(np.float32), round(FRAME_S * SAMPLE_RATE))):
            await asyncio.sleep(max(0.0, started + (i + 1) * FRAME_S - time.perf_counter()))
            await session.feed(frame)
        following.cancel()
    return sorted(moments, key=lambda moment: moment.at_s), heard.astype(np.float32), said


def picture(moments: list[Moment], heard: Samples, said: Samples, path: Path) -> None:
    """Both waveforms over one time line, with the gap between them marked."""
    width, height, n_points = 960, 300, 960
    length_s = len(heard) / SAMPLE_RATE

    def x(at_s: float) -> float:
        return at_s / length_s * width

    def envelope(samples: Samples, middle: float) -> str:
        peaks = [float(np.abs(piece).max()) for piece in np.array_split(samples, n_points)]
        loudest = max(max(peaks), 1e-6)
        tops = [f"{i * width / n_points:.1f},{middle - 55 * peak / loudest:.1f}" for i, peak in enumerate(peaks)]
        bottoms = [f"{i * width / n_points:.1f},{middle + 55 * peak / loudest:.1f}" for i, peak in enumerate(peaks)]
        return " ".join([*tops, *reversed(bottoms)])

    end_s = next(moment.at_s for moment in moments if moment.what.startswith("the customer's"))
    first_s = next(moment.at_s for moment in moments if moment.what.startswith("the assistant's"))
    question = next(m.what.removeprefix("turn over: ") for m in moments if m.what.startswith("turn over"))
    answer = next(m.what.removeprefix("reply: ") for m in moments if m.what.startswith("reply"))
    gap_ms = 1000 * (first_s - end_s)
    path.write_text(
        f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">
<title>A recorded customer and the assistant's answer, {gap_ms:.0f} ms apart</title>
<rect width="{width}" height="{height}" fill="#ffffff"/>
<rect x="{x(end_s):.1f}" y="24" width="{x(first_s) - x(end_s):.1f}" height="{height - 60}" fill="#ffd7a8"/>
<polygon points="{envelope(heard, 95)}" fill="#33658a"/>
<polygon points="{envelope(said, 215)}" fill="#2f7d4f"/>
<text x="8" y="18" fill="#33658a">customer: {escape(question)}</text>
<text x="8" y="{height - 8}" fill="#2f7d4f">assistant: {escape(answer)}</text>
<text x="{x(end_s) - 8:.1f}" y="40" text-anchor="end" fill="#7a4100">{gap_ms:.0f} ms</text>
</svg>
"""
    )


def main() -> None:
    """Record, draw, print."""
    import soundfile

    assistant = Assistant.load(CAFE)
    customers = cafe()
    asyncio.run(record(assistant, customers[0]))  # warm-up
    moments, heard, said = asyncio.run(record(assistant, customers[CUSTOMER]))
    both = np.stack([heard, said], axis=1)
    soundfile.write(ROOT / "docs" / "exchange.flac", both, SAMPLE_RATE, subtype="PCM_16")
    picture(moments, heard, said, ROOT / "docs" / "exchange.svg")
    for moment in moments:
        print(f"{moment.at_s:6.2f} s  {moment.what}")


if __name__ == "__main__":
    main()
