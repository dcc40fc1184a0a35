"""A conversation by microphone and loudspeaker, shown in the terminal: `rejoinder talk`."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import click
import numpy as np
from numpy.typing import NDArray

from rejoinder.audio import SAMPLE_RATE, resample
from rejoinder.errors import AudioError
from rejoinder.events import (
    ActionRun,
    BackchannelHeard,
    Event,
    PartialTranscript,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    Samples,
    SessionEnded,
    StageFailed,
    TurnEnded,
    Understood,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rejoinder.assistant import Assistant
    from rejoinder.session import Session

FRAME_SAMPLES = 512
"""Samples that the microphone hands over at a time: 32 ms, one chunk of the voice activity detector."""


class Speaker(Protocol):
    """Plays the replies."""

    @property
    def playing(self) -> bool:
        """Whether something is still to be heard."""
        ...

    def play(self, samples: Samples, sample_rate: int) -> None:
        """Play this after what is already waiting."""
        ...

    def flush(self) -> None:
        """Fall silent at once."""
        ...


async def converse(
    session: "Session",
    frames: AsyncIterator[Samples],
    speaker: Speaker,
    *,
    show: Callable[[Event], None],
    listen_while_speaking: bool = True,
) -> None:
    """Hold one conversation until the frames or the session end.

    `frames` are float32 mono at `SAMPLE_RATE`, of any length, as fast as they are recorded. Without
    `listen_while_speaking`, the caller is not heard during a reply: for a loudspeaker that the microphone picks up.
    """

    async def listen() -> None:
        was_playing = False
        try:
            async for frame in frames:
                if was_playing and not speaker.playing:
                    session.playback_ended()
                was_playing = speaker.playing
                deaf = was_playing and not listen_while_speaking
                await session.feed(np.zeros_like(frame) if deaf else frame)
            await session.settle()
        finally:
            await session.close()

    listening = asyncio.create_task(listen())
    try:
        async for event in session.events():
            show(event)
            match event:
                case ReplyAudio(samples=samples, sample_rate=sample_rate):
                    speaker.play(samples, sample_rate)
                case ReplyDone(interrupted=True):
                    speaker.flush()
        if listening.done():
            await listening  # raises what went wrong there
        while speaker.playing:  # a goodbye is heard to its end
            await asyncio.sleep(FRAME_SAMPLES / SAMPLE_RATE)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


class Transcript:
    """Prints a conversation's events; what is being said is rewritten in place where the output is a terminal."""

    def __init__(self, name: str, *, live: bool | None = None) -> None:
        self._name = name
        self._width = max(len(name), len("problem"))
        self._live = sys.stdout.isatty() if live is None else live
        self._turn: TurnEnded | None = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case PartialTranscript(text=text, n_stable=n_stable) if self._live and text:
                words = text.split()
                stable, unstable = " ".join(words[:n_stable]), " ".join(words[n_stable:])
                click.echo(f"\r\033[K  {'you':>{self._width}}  {stable} {click.style(unstable, dim=True)}", nl=False)
            case TurnEnded(text=text):
                self._turn = event
                self._line("you", text or "(nothing that could be understood)")
            case Understood(understanding=understanding) if understanding.intent:
                slots = " ".join(f"{name}={value}" for name, value in understanding.slots.items())
                self._aside(f"{understanding.intent} {slots} ({understanding.confidence:.2f})")
            case ReplyStarted(text=text):
                self._line(self._name, text)
            case ReplyContinued(text=text):
                self._line("", text)
            case ReplyAudio(decision_s=float(decision_s)) if self._turn:
                waited_s = self._turn.at_s - self._turn.speech_end_s + decision_s
                how = "drafted while you spoke" if self._turn.draft_hit else "made after the end of your turn"
                self._aside(
                    f"{how}: began {decision_s * 1e3:.0f} ms after the turn's end, "
                    f"{waited_s * 1e3:.0f} ms after your last word"
                )
                self._turn = None
            case ReplyDone(interrupted=True):
                self._aside("interrupted")
            case BackchannelHeard(text=text):
                self._aside(f"({text})")
            case ActionRun(name=name, ok=ok):
                self._aside(f"action {name}: {'done' if ok else 'failed'}")
            case StageFailed(stage=stage, message=message):
                self._line("problem", f"{stage}: {message}")
            case SessionEnded(reason=reason):
                self._aside(f"the call is over: {reason}")

    def _line(self, who: str, text: str) -> None:
        start = "\r\033[K" if self._live else ""
        click.echo(f"{start}  {click.style(f'{who:>{self._width}}', bold=True)}  {text}")

    def _aside(self, text: str) -> None:
        start = "\r\033[K" if self._live else ""
        click.echo(start + click.style(f"  {'':>{self._width}}  {text}", dim=True))


def talk_by_microphone(assistant: "Assistant", device: ModuleType, *, listen_while_speaking: bool = True) -> None:
    """Hold a conversation over the default sound devices until it ends; `device` comes from `open_sounddevice`."""
    from rejoinder.session import SessionOptions

    options = SessionOptions(greet=True, barge_in=listen_while_speaking)
    show = Transcript(assistant.domain.name)

    async def call() -> None:
        rate = assistant.pipeline.synthesizer.sample_rate
        with loudspeaker(device, rate) as speaker, microphone(device) as heard:
            async with assistant.session(options=options) as session:
                await converse(session, heard, speaker, show=show, listen_while_speaking=listen_while_speaking)

    asyncio.run(call())


def open_sounddevice() -> ModuleType:
    """The `sounddevice` module with PortAudio and devices behind it; raises `AudioError` saying what is missing."""
    try:
        sounddevice = import_module("sounddevice")
    except ImportError as error:
        raise AudioError("the microphone needs the package sounddevice; type: pip install sounddevice") from error
    except OSError as error:  # the module loads PortAudio when it is imported
        raise AudioError(
            "PortAudio is not installed; type: sudo apt install libportaudio2 (Debian, Ubuntu), "
            "brew install portaudio (macOS)"
        ) from error
    try:
        sounddevice.query_devices(kind="input")
        sounddevice.query_devices(kind="output")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AudioError(
            f"no microphone or no loudspeaker found ({error}); plug one in, or use --audio FILE"
        ) from error
    return sounddevice


@contextmanager
def microphone(device: ModuleType) -> "Iterator[AsyncIterator[Samples]]":
    """Frames from the default microphone, at `SAMPLE_RATE`; needs a running event loop."""
    from soxr import ResampleStream

    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Samples] = asyncio.Queue()
    rate = _usable_rate(device, "input", SAMPLE_RATE)
    resampler = ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32") if rate != SAMPLE_RATE else None

    def recorded(block: NDArray[np.float32], *_: object) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, block[:, 0].copy())

    async def frames() -> AsyncIterator[Samples]:
        while True:
            block = await queue.get()
            yield resampler.resample_chunk(block) if resampler else block

    n_samples = FRAME_SAMPLES * rate // SAMPLE_RATE
    with _opened(device, lambda: device.InputStream(rate, n_samples, channels=1, dtype="float32", callback=recorded)):
        yield frames()


class Loudspeaker:
    """A `Speaker` on the default output; make it with `loudspeaker`."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._waiting: deque[Samples] = deque()
        self._lock = Lock()  # PortAudio asks for audio from a thread of its own

    @property
    def playing(self) -> bool:
        """Whether something is still to be heard."""
        return bool(self._waiting)

    def play(self, samples: Samples, sample_rate: int) -> None:
        """Play this after what is already waiting."""
        with self._lock:
            self._waiting.append(resample(samples, sample_rate, self._sample_rate))

    def flush(self) -> None:
        """Fall silent at once."""
        with self._lock:
            self._waiting.clear()

    def fill(self, block: NDArray[np.float32]) -> None:
        """Write the next audio into `block`, shape (n_samples, 1), and silence where there is none."""
        block.fill(0.0)
        n_filled = 0
        with self._lock:
            while self._waiting and n_filled < len(block):
                piece = self._waiting.popleft()
                n_taken = min(len(piece), len(block) - n_filled)
                block[n_filled : n_filled + n_taken, 0] = piece[:n_taken]
                n_filled += n_taken
                if n_taken < len(piece):
                    self._waiting.appendleft(piece[n_taken:])


@contextmanager
def loudspeaker(device: ModuleType, sample_rate: int) -> "Iterator[Loudspeaker]":
    """The default output, at `sample_rate` if it can, else at its own."""
    rate = _usable_rate(device, "output", sample_rate)
    speaker = Loudspeaker(rate)

    def wanted(block: NDArray[np.float32], *_: object) -> None:
        speaker.fill(block)

    with _opened(device, lambda: device.OutputStream(rate, channels=1, dtype="float32", callback=wanted)):
        yield speaker


def _usable_rate(device: ModuleType, kind: Literal["input", "output"], wanted: int) -> int:
    """`wanted`, or the default device's own rate where it cannot do that."""
    check = device.check_input_settings if kind == "input" else device.check_output_settings
    try:
        check(samplerate=wanted, channels=1, dtype="float32")
    except (device.PortAudioError, ValueError):
        return int(device.query_devices(kind=kind)["default_samplerate"])
    return wanted


@contextmanager
def _opened(device: ModuleType, make: Callable[[], Any]) -> "Iterator[None]":
    try:
        stream = make()
        stream.start()
    except device.PortAudioError as error:
        raise AudioError(f"the sound device cannot be opened ({error}); is another program using it?") from error
    try:
        yield
    finally:
        stream.stop()
        stream.close()
