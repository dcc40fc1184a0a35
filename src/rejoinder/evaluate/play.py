"""Plays the conversations of a domain through live sessions, as text or as audio, and checks what came of each turn.

Both ways use the session that serves callers, in lockstep, so that the same conversation goes the same way at any pace.
As text, what the caller says is typed and replies are not spoken, which takes milliseconds a turn. As audio, it is
spoken (or a recording is played), heard by the voice activity detector, the endpointer and the recognizer, and may fall
into a reply at any moment of it.
"""

import asyncio
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Literal, TypeAlias

import numpy as np
from numpy.random import Generator

from rejoinder import acoustics, audio, models
from rejoinder.actions import ActionRunner
from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE
from rejoinder.conditions import condition
from rejoinder.domain import Action, Domain
from rejoinder.errors import ActionError, RejoinderError
from rejoinder.evaluate.checks import Outcome, check
from rejoinder.evaluate.conversation import Conversation, Expected, Turn
from rejoinder.evaluate.hearing import NEVER_S
from rejoinder.evaluate.records import Played, PlayedTurn
from rejoinder.evaluate.rehearsal import Rehearsal
from rejoinder.evaluate.turntaking import Call
from rejoinder.events import (
    BackchannelHeard,
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    Samples,
    SessionEnded,
    SpeechStarted,
    StageFailed,
    TurnEnded,
)
from rejoinder.pipeline import Pipeline
from rejoinder.progress import Progress, silent
from rejoinder.session import Session, SessionOptions
from rejoinder.tts.lexicon import compile_lexicon
from rejoinder.tts.synthesizer import Synthesizer, spoken
from rejoinder.vad import CHUNK_S, CHUNK_SAMPLES
from rejoinder.workers import Workers

Mode: TypeAlias = Literal["text", "audio"]

BEFORE_NEXT_S = 0.6
"""From the end of a reply to the caller's next words, so that no turn counts as the rest of the one before."""

LEAD = np.zeros(4 * CHUNK_SAMPLES, np.float32)
"""Silence before what a voice says, 0.13 s."""

CHARACTERS_PER_S = 15.0
"""How fast a reply would be spoken, where it is not."""

LEVELS_DBFS = (-32.0, -16.0)
FAINT_NOISE_DB = (20.0, 35.0)
"""What repeated conversations vary: how loud the caller is, and over how faint a noise."""


def play_all(
    assistant: Assistant,
    conversations: Sequence[Conversation],
    *,
    system: str,
    mode: Mode,
    repeat: int = 1,
    progress: Progress = silent,
) -> tuple[Played, ...]:
    """Play every conversation `repeat` times, in their order; `system` is what the records call the assistant.

    Repetitions in audio differ in level, faint noise and alignment, so that what hangs by a thread is found; the first
    is played as it is. What goes wrong in one conversation is its `Played.error`, and the others go on. The domain's
    actions run, but for those that a conversation pretends. Not to be called from a running event loop.
    """
    task, n_total = f"playing conversations as {mode}", len(conversations) * repeat
    workers, callers = Workers(1), Callers(assistant)
    played: list[Played] = []
    try:
        for conversation in conversations:
            for again in range(repeat):
                progress(task, len(played), n_total, conversation.name)
                player = _Player(_pipeline(assistant.pipeline, conversation, mode), workers, callers, conversation)
                played.append(player.play(system=system, mode=mode, again=again))
    finally:
        workers.close()
    progress(task, len(played), n_total)
    return tuple(played)


def _pipeline(pipeline: Pipeline, conversation: Conversation, mode: Mode) -> Pipeline:
    """The assistant's stages as this conversation needs them."""
    if isinstance(pipeline.actions, Rehearsal):  # conversations are about what is done as well
        pipeline = replace(pipeline, actions=ActionRunner.load(pipeline.domain))
    if conversation.pretend:
        pipeline = replace(pipeline, actions=_Pretending(pipeline.actions, conversation.pretend))
    if mode == "text" and not _is_timed(conversation):
        pipeline = replace(pipeline, synthesizer=_Mute())
    return pipeline


def _is_timed(conversation: Conversation) -> bool:
    return any(turn.expected.within_ms is not None for turn in conversation.turns)


class _Player:
    """Takes the caller's part in one conversation."""

    def __init__(self, pipeline: Pipeline, workers: Workers, callers: "Callers", conversation: Conversation) -> None:
        self._pipeline = pipeline
        self._callers = callers
        self._conversation = conversation
        self._line = _Line(Assistant(pipeline, workers).session(options=_options(conversation)))
        self._turns: list[PlayedTurn] = []

    def play(self, *, system: str, mode: Mode, again: int) -> Played:
        """The whole conversation, from the first ring on; `again` counts its repetitions."""
        started, error = time.perf_counter(), None
        try:
            asyncio.run(self._converse(mode, again))
        except RejoinderError as problem:
            error = str(problem)
        except Exception as problem:  # whatever it is, the other conversations are to be played
            error = f"{type(problem).__name__}: {problem}"
        return Played(
            system,
            self._conversation.file,
            self._conversation.name,
            mode,
            again,
            tuple(self._turns),
            error or self._line.failure,
            took_s=round(time.perf_counter() - started, 3),
        )

    async def _converse(self, mode: Mode, again: int) -> None:
        """All turns; raises `RejoinderError` when the call is over before the last of them."""
        async with self._line as line:
            await line.wait_until(CHUNK_S)  # the call has begun
            n_before = 0
            for n, turn in enumerate(self._conversation.turns, start=1):
                if line.ended is not None:
                    raise RejoinderError(f"the call was over before turn {n} ({line.ended})")
                speech_end_s = None
                if not turn.only_listens:
                    speech_end_s = await (self._type(turn) if mode == "text" else self._speak(turn, again))
                outcome = Outcome.of(line.events[n_before:], speech_end_s=speech_end_s)
                n_before = len(line.events)
                self._turns.append(self._played(turn, outcome, mode))

    async def _type(self, turn: Turn) -> float | None:
        """Take a turn in writing; returns when that was, on the session's clock."""
        line = self._line
        if turn.at_s is not None:
            await line.wait_until(line.reply_began_s + turn.at_s)
        else:
            line.hang_on()
        if turn.silence_s is not None:
            await line.wait_until(line.now_s + turn.silence_s)
        elif not _is_backchannel(turn):
            line.session.submit_text(turn.caller or self._callers.transcribe(turn))
            await line.settle()
            return line.now_s
        return None

    async def _speak(self, turn: Turn, again: int) -> float | None:
        """Take a turn aloud; returns when its speech was over, on the session's clock."""
        line = self._line
        if turn.silence_s is not None:
            await line.wait_until(max(line.now_s, line.reply_ends_s) + turn.silence_s)
            return None
        call = self._callers.call(turn, np.random.default_rng(self._seed(again)), vary=again > 0)
        begin_s = line.reply_ends_s + BEFORE_NEXT_S if turn.at_s is None else line.reply_began_s + turn.at_s
        await line.wait_until(begin_s - call.begin_s)
        n_before, speech_end_s = len(line.events), line.now_s + call.end_s
        for chunk in audio.frames(call.samples, CHUNK_SAMPLES):
            await line.send(chunk)
            if _is_answered(line.events[n_before:], speech_end_s):
                break
        return speech_end_s

    def _seed(self, again: int) -> tuple[int, ...]:
        """The same for the same repetition of the same turn, wherever its conversation stands in the file."""
        name = f"{self._conversation.file}\n{self._conversation.name}"
        return zlib.crc32(name.encode()), len(self._turns), again

    def _played(self, turn: Turn, outcome: Outcome, mode: Mode) -> PlayedTurn:
        """The record of a turn, its expectations checked as far as this way of playing can tell."""
        expected, took_ms = turn.expected, outcome.took_ms
        if mode == "text":
            expected = Expected() if _is_backchannel(turn) else replace(expected, interrupted=None)
            took_ms = took_ms if _is_timed(self._conversation) else None
        checks = check(expected, outcome, self._pipeline.domain, today=date.today())
        return PlayedTurn(
            _shown(turn), outcome.heard, outcome.reply, checks, None if took_ms is None else round(took_ms, 1)
        )


def _options(conversation: Conversation) -> SessionOptions:
    """A session that goes the same way at any pace, and greets where that is listened to.

    Its look at words in mid-speech takes most of the time, and is left out where it changes nothing: without anybody
    who interrupts.
    """
    options = SessionOptions(lockstep=True, greet=conversation.turns[0].only_listens)
    is_interrupted = any(turn.at_s is not None for turn in conversation.turns)
    return options if is_interrupted else replace(options, partial_interval_s=NEVER_S)


def _is_backchannel(turn: Turn) -> bool:
    """Whether the caller speaks during a reply without taking the turn: nothing that could be typed."""
    return turn.expected.interrupted is False


def _shown(turn: Turn) -> str:
    """What the caller does, for people."""
    if turn.silence_s is not None:
        return f"(silent for {turn.silence_s:g} s)"
    if turn.only_listens:
        return "(the call begins)"
    return turn.caller or f"({turn.recording.name if turn.recording else ''})"


def _is_answered(events: Sequence[Event], speech_end_s: float) -> bool:
    """Whether the session has decided on all that was said."""
    for event in reversed(events):
        match event:
            case SpeechStarted():
                return False
            case TurnEnded(at_s=at_s) | BackchannelHeard(at_s=at_s):
                return at_s >= speech_end_s
            case SessionEnded():
                return True
    return False


class _Line:
    """The line between a caller and a session. Its clock is the audio that went over it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[Event] = []
        self.now_s = 0.0
        self.reply_began_s = 0.0
        self.reply_ends_s = 0.0
        """When the caller has heard, or would have heard, all of the latest reply."""
        self.ended: str | None = None
        """Why the call is over."""
        self.failure: str | None = None
        """The first stage that broke down, and how."""

    async def __aenter__(self) -> "_Line":
        await self.session.__aenter__()
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self._listening

    async def send(self, chunk: Samples) -> None:
        """A chunk of the caller's audio, at most `CHUNK_SAMPLES` long."""
        await self.session.feed(np.pad(chunk, (0, CHUNK_SAMPLES - len(chunk))))
        self.now_s += CHUNK_S
        await asyncio.sleep(0)  # `_listen` takes what there is

    async def wait_until(self, at_s: float) -> None:
        """Silence up to a moment; none when that has passed."""
        silence = np.zeros(CHUNK_SAMPLES, np.float32)
        while self.now_s < at_s and self.ended is None:
            await self.send(silence)

    async def settle(self) -> None:
        """Have all work done that was begun, and its events."""
        await self.session.settle()
        await asyncio.sleep(0)

    def hang_on(self) -> None:
        """Let the reply be over at once."""
        self.session.playback_ended()
        self.reply_ends_s = min(self.reply_ends_s, self.now_s)

    async def _listen(self) -> None:
        """Take all events, as a transport would."""
        async for event in self.session.events():
            self.events.append(event)
            match event:
                case ReplyStarted(at_s=at_s):
                    self.reply_began_s = self.reply_ends_s = at_s
                case ReplyAudio(samples=samples, sample_rate=rate, at_s=at_s):
                    self.reply_ends_s = max(self.reply_ends_s, at_s) + len(samples) / rate
                case ReplyDone(interrupted=True, at_s=at_s):
                    self.reply_ends_s = min(self.reply_ends_s, at_s)
                case StageFailed(stage=stage, message=message):
                    self.failure = self.failure or f"{stage} failed: {message}"
                case SessionEnded(reason=reason):
                    self.ended = reason


class Callers:
    """Those who speak in conversations; voices are opened when they first do."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._voices: dict[str | None, Synthesizer] = {None: assistant.pipeline.synthesizer}

    def call(self, turn: Turn, rng: Generator, *, vary: bool) -> Call:
        """What the session is to hear of a turn, with where its speech begins and ends.

        `vary` makes it louder or quieter, over a faint noise, and begins it anywhere within a chunk.
        """
        samples = acoustics.stretch(self._samples(turn), turn.manner.speed)
        if vary:
            samples = acoustics.set_level(samples, float(rng.uniform(*LEVELS_DBFS)))
            faint = acoustics.noise("pink", len(samples), rng)
            samples = acoustics.add_noise(samples, faint, float(rng.uniform(*FAINT_NOISE_DB)))
            samples = np.concatenate([np.zeros(int(rng.integers(CHUNK_SAMPLES)), np.float32), samples])
        return Call.of(samples, condition(turn.manner.condition), rng)

    def transcribe(self, turn: Turn) -> str:
        """The words of a recording, as the assistant's recognizer hears them."""
        return self._assistant.conversation().transcribe(self._samples(turn)).text

    def _samples(self, turn: Turn) -> Samples:
        """The recording of a turn, or else its words as a voice says them, at `SAMPLE_RATE`."""
        if turn.recording is not None:
            return audio.load(turn.recording)
        return np.concatenate([LEAD, spoken(self._voice(turn.manner.voice), turn.caller or "")])

    def _voice(self, name: str | None) -> Synthesizer:
        if name not in self._voices:
            self._voices[name] = _open_voice(name or "", self._assistant.domain)
        return self._voices[name]


def _open_voice(name: str, domain: Domain) -> Synthesizer:
    """A voice of the model table, which says the domain's terms as they are said; raises `ModelError`."""
    from rejoinder.tts.hibari import HibariSynthesizer
    from rejoinder.tts.vits import VitsSynthesizer

    folder, lexicon = models.resolve(name), compile_lexicon(domain.terms)
    opened = HibariSynthesizer if (folder / "hibari.onnx").is_file() else VitsSynthesizer
    return opened.load(folder, lexicon=lexicon)


class _Mute:
    """Takes as long as a voice would take, and says nothing."""

    sample_rate = SAMPLE_RATE

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Silence."""
        yield np.zeros(round(len(text) / CHARACTERS_PER_S * SAMPLE_RATE), np.float32)


class _Pretending(ActionRunner):
    """Runs a domain's functions, but for actions that are only pretended."""

    def __init__(self, real: ActionRunner, pretend: Mapping[str, Mapping[str, str] | None]) -> None:
        super().__init__({})
        self._real = real
        self._pretend = pretend

    def compute(self, name: str, slots: Mapping[str, str]) -> Mapping[str, str]:
        """As it is."""
        return self._real.compute(name, slots)

    def run(self, action: Action, slots: Mapping[str, str]) -> Mapping[str, str]:
        """What the conversation says that the action returns."""
        if action.name not in self._pretend:
            return self._real.run(action, slots)
        result = self._pretend[action.name]
        if result is None:
            raise ActionError(f"action '{action.name}' fails, for this conversation has it so")
        return result
