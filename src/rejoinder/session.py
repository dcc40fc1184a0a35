"""One caller: drafts while they speak, commit when they stop, barge-in when they do not wait.

Audio goes in with `feed`, events come out of `next_event`. The clock is the audio received. Models run on the threads
of `Workers`; everything else happens on the event loop, which owns all state here.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from rejoinder import dialogue, turns
from rejoinder.asr.recognizer import Bias, BiasPhrase, Transcript, n_stable_words
from rejoinder.audio import SAMPLE_RATE
from rejoinder.dialogue import DialogueState
from rejoinder.errors import AudioError
from rejoinder.events import (
    ActionRun,
    BackchannelHeard,
    Completion,
    Event,
    PartialTranscript,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    Samples,
    SessionEnded,
    SpeechStarted,
    StageFailed,
    TurnDropped,
    TurnEnded,
    Understood,
    Watcher,
)
from rejoinder.live_turn import LiveTurn
from rejoinder.nlu.backchannels import is_backchannel
from rejoinder.pipeline import Draft, Pipeline, Spoken
from rejoinder.prosody import Prosody
from rejoinder.speech import Outbox, Speech
from rejoinder.turns import TurnOptions, TurnState
from rejoinder.vad import CHUNK_S, CHUNK_SAMPLES, Vad
from rejoinder.workers import Pace, Workers

AFTER_LAST_WORD = np.zeros(round(0.3 * SAMPLE_RATE), np.float32)
"""Silence put after a turn's last word, rather than waited for: moonshine was trained on whole utterances. WER on AN4's
training set (79 utterances): 17.6% with the 64 ms of silence that there are at a pause, 13.5% with this."""

PARTIAL_S = 1.0
"""How soon the words of a caller who speaks on are wanted: whatever another caller waits for goes before."""

DRAFT_S = 0.3
"""The same for what may come of them: that a reply stops, or what is to be said if these were the last."""

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session behaves."""

    turns: TurnOptions = field(default_factory=TurnOptions)
    drafts: bool = True
    """Work out and synthesize the reply ahead; off, that is done after the end of the turn."""
    lockstep: bool = False
    """Finish each piece of work before taking more audio: the same result at any pace, for tests and evaluation."""
    partial_interval_s: float = 0.2
    """Least time between two recognitions of a caller who is speaking."""
    barge_in: bool = True
    """Whether the caller can interrupt; off for a line whose echo is not cancelled."""
    interruption_s: float = 0.9
    """Words this long over a reply interrupt it whatever they are; shorter ones unless they are a backchannel."""
    reopen_s: float = 0.9
    """A caller who goes on this soon after their last word had not finished: their turn is taken up again."""
    unclear_s: float = 1.0
    """Speech this long without a recognized word is answered with "Sorry?"; anything shorter was a noise."""
    idle_s: float = 10.0
    """Silence after a reply until the caller is asked whether they are still there."""
    n_idle_prompts: int = 2
    """How often that is asked before the session ends."""
    greet: bool = False
    """Begin with the domain's greeting."""
    stage_timeout_s: float = 15.0
    """When a stage counts as hung."""
    reply_ahead_s: float = 30.0
    """How much of a reply's audio may wait to be taken before its synthesis pauses."""


class Session:
    """One live conversation. Made by `Assistant.session()`; use it with `async with`."""

    def __init__(
        self,
        pipeline: Pipeline,
        workers: Workers,
        vad: Vad,
        *,
        options: SessionOptions | None = None,
        state: DialogueState | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._vad = vad
        self._options = options or SessionOptions()
        self._state = state or DialogueState()
        self._watcher = watcher
        self._bias: Bias | None = None
        self._outbox = Outbox(self._options.reply_ahead_s, watcher)
        self._now_s = 0.0
        self._pace = Pace()
        self._rest = np.zeros(0, np.float32)
        # A turn is sure only after some speech; the audio before it reaches back beyond that.
        sure_s = max(self._options.turns.least_speech_s, self._options.turns.least_interruption_s)
        self._recent: deque[Samples] = deque(maxlen=round((turns.PRE_ROLL_S + sure_s) / CHUNK_S))
        self._turn_state = TurnState()
        self._turn: LiveTurn | None = None
        self._last: LiveTurn | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._commit_order = asyncio.Lock()
        self._reply: asyncio.Task[None] | None = None
        self._reply_began_s = 0.0
        self._playing_until_s = 0.0
        self._n_idle = 0
        self._closed = False
        self._ended = asyncio.Event()

    # What transports call.

    async def __aenter__(self) -> "Session":
        if self._options.greet:
            self._state, reply = dialogue.greet(self._pipeline.domain, self._state)
            self._say(reply)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> DialogueState:
        """Where the conversation stands; another session can go on from there."""
        return self._state

    @property
    def speaking(self) -> bool:
        """Whether a reply is being handed over or, as far as the audio clock tells, still being heard."""
        return self._now_s < self._playing_until_s or (self._reply is not None and not self._reply.done())

    async def feed(self, frame: Samples) -> None:
        """Take the caller's next audio: float32 mono in [-1, 1], shape (n_samples,), any length, at SAMPLE_RATE."""
        if self._closed:
            return
        if frame.ndim != 1 or frame.dtype != np.float32:
            raise AudioError(f"a frame must be float32 of shape (n_samples,), not {frame.dtype} of shape {frame.shape}")
        if self._watcher is not None:
            self._watcher.audio(frame)
        if not np.isfinite(frame).all():
            frame = np.nan_to_num(frame, nan=0.0, posinf=1.0, neginf=-1.0)
        audio = np.concatenate([self._rest, frame])
        n_whole = len(audio) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._rest = audio[n_whole:]
        for start in range(0, n_whole, CHUNK_SAMPLES):
            if self._closed:
                return
            await self._hear(audio[start : start + CHUNK_SAMPLES])
            if self._options.lockstep:
                await self.settle()
            else:
                await self._pace.keep(self._now_s, CHUNK_S, self._background)

    async def next_event(self, timeout_s: float | None = None) -> Event:
        """The next event; raises `TimeoutError` when none comes within `timeout_s`."""
        return await self._outbox.take(timeout_s)

    async def events(self) -> AsyncIterator[Event]:
        """All events until the session ends."""
        while True:
            event = await self.next_event()
            yield event
            if isinstance(event, SessionEnded):
                return

    def submit_text(self, text: str) -> None:
        """Take a typed turn instead of a spoken one."""
        if self._closed:
            return
        self.interrupt()
        self._n_idle = 0
        turn = LiveTurn(self._state, began_s=self._now_s, speech_end_s=self._now_s)
        turn.hypothesis = Transcript(text.strip(), confidence=1.0)
        self._commit(turn)

    async def set_bias(self, phrases: Sequence[BiasPhrase]) -> None:
        """Expect these phrases instead of the domain's, from the next recognition on; none: the domain's again."""
        self._bias = await self._run(lambda: self._pipeline.recognizer.compile_bias(phrases)) if phrases else None

    def interrupt(self) -> None:
        """Stop the reply, as when the caller speaks over it."""
        if self._closed or not self.speaking:
            return
        if self._reply is not None:
            self._reply.cancel()
            self._reply = None
        heard_s = max(0.0, min(self._now_s, self._playing_until_s) - self._reply_began_s)
        self._playing_until_s = self._now_s
        self._outbox.drop_audio()
        self._emit(ReplyDone(interrupted=True, at_s=self._now_s, heard_s=heard_s))

    def playback_ended(self) -> None:
        """For transports that know it: the caller has now heard all that was sent."""
        self._playing_until_s = min(self._playing_until_s, self._now_s)

    async def settle(self) -> None:
        """Wait until all work that was begun is done, short of what waits for its audio to be taken."""
        while under_way := self._under_way():
            await asyncio.wait(under_way, timeout=0.01)  # a reply may come to wait for the transport meanwhile

    async def close(self, reason: str = "closed") -> None:
        """End the session; work under way is dropped, but an action that has begun is waited for."""
        if self._closed:
            await self._ended.wait()
            return
        self._closed = True
        try:
            async with self._commit_order:
                dropped = [task for task in self._background if task is not asyncio.current_task()]
            for task in dropped:
                task.cancel()
            await asyncio.gather(*dropped, return_exceptions=True)
        finally:
            self._emit(SessionEnded(reason, self._now_s))
            self._ended.set()

    # Hearing.

    async def _hear(self, chunk: Samples) -> None:
        """Take one chunk, of shape (CHUNK_SAMPLES,)."""
        self._now_s += CHUNK_S
        self._recent.append(chunk)
        if self._turn is not None:
            self._turn.chunks.append(chunk)
        # Without echo cancellation, what is heard during a reply is the reply.
        listens = self._options.barge_in or self._turn is not None or not self.speaking
        probability = 0.0
        if listens:  # in lockstep alone, for the last bit depends on what is worked out together
            probability = self._vad(chunk) if self._options.lockstep else await self._vad.with_others(chunk)
        if self._closed:
            return
        self._turn_state, happened = turns.step(
            self._turn_state,
            probability,
            options=self._options.turns,
            completion=self._turn.completion if self._turn else None,
            prosody=self._turn.prosody if self._turn else None,
            replying=self.speaking,
        )
        for event in happened:
            match event:
                case turns.SpeechBegan(at_s=at_s):
                    self._begin_turn(at_s)
                case turns.SpeechPaused(speech_end_s=speech_end_s) if self._turn:
                    self._turn.speech_end_s = speech_end_s
                    self._turn.prosody = Prosody.of(np.concatenate(self._turn.chunks))
                    self._turn.n_spoken = len(self._turn.chunks)
                    self._turn.pause = self._begin(self._work_on_pause(self._turn))
                case turns.SpeechResumed() if self._turn:
                    self._turn.pause = self._turn.completion = self._turn.prosody = None
                case turns.TurnOver(speech_end_s=speech_end_s) if self._turn:
                    self._turn.speech_end_s = speech_end_s
                    self._commit(self._turn)
                    self._turn = None
        if self._turn is None:
            self._mind_the_silence()
        elif self._turn.pause is None:
            self._look_ahead(self._turn)

    def _begin_turn(self, at_s: float) -> None:
        """Open a turn with the audio kept from before its speech was sure."""
        self._n_idle = 0
        n_chunks = round((self._now_s - at_s + turns.PRE_ROLL_S) / CHUNK_S)
        turn = LiveTurn(self._state, list(self._recent)[-n_chunks:], at_s, self._now_s, over_reply=self.speaking)
        turn.partial_due_s = self._now_s + self._options.partial_interval_s / 2
        if (last := self._last) is not None and self._goes_on(last, at_s):
            known = {id(chunk) for chunk in last.chunks}
            turn.chunks = [*last.chunks, *(chunk for chunk in turn.chunks if id(chunk) not in known)]
            turn.continues, turn.state, turn.hypothesis = last, last.state, last.hypothesis
            last.continues = None  # whatever that one took up is part of it by now
        self._turn = turn
        self._emit(SpeechStarted(at_s))

    def _goes_on(self, last: LiveTurn, at_s: float) -> bool:
        """Whether speech that begins at `at_s` is the rest of the last turn, which was taken to be over too soon."""
        soon = at_s - last.speech_end_s <= self._options.reopen_s
        fits = len(last.chunks) * CHUNK_S < self._options.turns.longest_turn_s
        return bool(last.chunks) and soon and fits and not last.acted

    def _look_ahead(self, turn: LiveTurn) -> None:
        """Recognize what has been said so far, if it is time and nobody else waits."""
        if self._now_s < turn.partial_due_s or (turn.partial is not None and not turn.partial.done()):
            return
        if (turn.over_reply and self.speaking) or self._options.lockstep or not self._workers.busy:
            turn.partial = self._begin(self._work_on_partial(turn))

    async def _work_on_partial(self, turn: LiveTurn) -> None:
        """Recognize a turn that goes on; when it could be whole, work out its reply already."""
        started, spoken_s = time.perf_counter(), self._now_s - turn.began_s

        def go_on() -> bool:
            over_reply = turn.over_reply and self._options.barge_in and turn.added
            if turn is self._turn and over_reply and not self._is_backchannel(turn, spoken_s=spoken_s):
                self.interrupt()
            return turn is self._turn and self._options.drafts and turn.pause is None

        await self._work_out(turn, go_on, only_if=Completion.COMPLETE)
        # A long utterance on a busy machine: looking ahead takes half of the time at most.
        took_s = 0.0 if self._options.lockstep else time.perf_counter() - started
        turn.partial_due_s = self._now_s + max(self._options.partial_interval_s, took_s)

    async def _work_on_pause(self, turn: LiveTurn) -> None:
        """Recognize all words up to a pause, tell endpointing what they mean, and have the reply ready."""
        this = asyncio.current_task()
        await self._work_out(turn, lambda: turn.pause is this)

    async def _work_out(self, turn: LiveTurn, go_on: Callable[[], bool], *, only_if: Completion | None = None) -> bool:
        """Bring the hypothesis up to date and, while `go_on` says so, work out the reply and how it begins to sound.

        With `only_if`, only the reply to words of such completion. False when recognition failed.
        """
        samples = np.concatenate([*turn.chunks, AFTER_LAST_WORD] if turn.pause is not None else turn.chunks)
        earlier, n_heard, started = turn.hypothesis, len(turn.chunks), time.perf_counter()
        stage, heard = "recognition", False

        def take(found: Transcript | Draft | Spoken) -> bool:
            nonlocal stage, heard
            match found:
                case Transcript():
                    stage, turn.recognize_s = "understanding", time.perf_counter() - started
                    if n_heard < turn.n_heard:  # a later look was faster
                        return False
                    heard, turn.hypothesis, turn.n_heard = True, found, n_heard
                    if found.text != earlier.text:
                        n_stable = n_stable_words(earlier.text, found.text)
                        self._emit(PartialTranscript(found.text, n_stable, self._now_s))
                case Draft() if go_on():
                    stage, said = "synthesis", turn.draft.reply.text if turn.draft else None
                    turn.completion = found.understanding.completion if turn.pause is not None else turn.completion
                    turn.draft, turn.speech = found, turn.speech if said == found.reply.text else None
                    return self._options.drafts
                case Spoken() if go_on():
                    turn.speech = Speech(found.rest, self._run, first=found.first)
                case _:
                    return False
            return go_on()

        steps = self._pipeline.look_ahead(
            samples,
            turn.state,
            bias=self._bias,
            earlier=earlier,
            only_if=only_if,
            unless=turn.draft.reply.text if turn.draft and turn.speech else None,
        )
        try:
            await self._workers.run_steps(
                steps, take, timeout_s=self._options.stage_timeout_s, wanted_in_s=self._wanted_in_s(turn)
            )
        except Exception as error:
            self._failed(stage, error)
        return heard

    def _wanted_in_s(self, turn: LiveTurn) -> float:
        """How soon the words of a turn are wanted."""
        ahead_s = self._pace.ahead_s(self._now_s)
        if turn is not self._turn:
            return ahead_s  # it is over: the caller waits
        if turn.pause is not None:
            return ahead_s + self._options.turns.least_silence_s - self._options.turns.pause_s
        return ahead_s + (DRAFT_S if turn.over_reply and self.speaking else PARTIAL_S)

    def _is_backchannel(self, turn: LiveTurn, *, spoken_s: float) -> bool:
        """Whether the words only say "go on"; an "uh-huh" to a question that wants a yes is an answer."""
        if not turn.over_reply or turn.state.confirming or spoken_s >= self._options.interruption_s:
            return False
        return is_backchannel(turn.added)

    # Answering.

    def _commit(self, turn: LiveTurn) -> None:
        """The caller is done: answer, off the path of their audio."""
        self._begin(self._answer(turn, time.perf_counter()))

    async def _answer(self, turn: LiveTurn, decided: float) -> None:
        """Commit a turn: from here on it changes the state, runs its action, and is spoken."""
        ready = turn.pause is not None and turn.pause.done() and turn.speech is not None and turn.speech.ready
        async with self._commit_order:
            heard_out = await self._hear_out(turn)
            if self._closed or (heard_out and self._was_nothing(turn)):
                if not self._closed:
                    self._emit(TurnDropped(turn.speech_end_s, self._now_s))
                return
            draft, drafted = await self._final_draft(turn, heard_out)
            self.interrupt()
            self._last = turn
            self._emit(
                TurnEnded(
                    draft.transcript.text,
                    draft.transcript.confidence,
                    turn.speech_end_s,
                    self._now_s,
                    draft_hit=ready and drafted and self._pipeline.is_settled(draft),
                    continues=turn.continues is not None,
                    timings_s={
                        "recognize": turn.recognize_s,
                        **draft.took_s,
                        "wait": time.perf_counter() - decided,
                    },
                )
            )
            self._emit(Understood(draft.understanding, self._now_s))
            if draft.reply.action is not None and not self._closed:
                draft, drafted = await self._act(turn, draft), False
            self._state = draft.state
            more = await self._free_answer(draft)
            if more is not None and (first := await self._next_clause(more)) is not None:
                draft, drafted = replace(draft, reply=replace(draft.reply, text=first)), False
                self._state = replace(self._state, last_reply=first)
            speech = turn.speech if drafted and turn.speech else self._speech(draft.reply.text)
            if self._turn is not None:  # the caller speaks again already
                self._turn.over_reply = True
            self._reply = self._begin(self._speak(draft.reply, speech, decided, more))

    async def _hear_out(self, turn: LiveTurn) -> bool:
        """Have the transcript of the whole turn; False when its words cannot be had."""
        if turn.pause is not None:
            await asyncio.wait([turn.pause])
        if not self._options.drafts and turn.chunks:
            turn.hypothesis = Transcript("")
        elif not turn.chunks or (turn.pause is not None and turn.n_heard >= turn.n_spoken):
            return True
        return await self._work_out(turn, lambda: False)

    def _was_nothing(self, turn: LiveTurn) -> bool:
        """Whether there is nothing to answer: a noise, or a backchannel over a reply."""
        spoken_s = turn.speech_end_s - turn.began_s
        if not turn.hypothesis.text:
            return turn.over_reply or spoken_s < self._options.unclear_s
        if not turn.added:
            return True
        if self._is_backchannel(turn, spoken_s=spoken_s):
            self._emit(BackchannelHeard(turn.hypothesis.text, self._now_s))
            return True
        return False

    async def _final_draft(self, turn: LiveTurn, heard_out: bool) -> tuple[Draft, bool]:
        """The draft that answers the turn's very words, and whether it was there already."""
        if not heard_out:  # an earlier partial is not what was said: nothing may come of it
            return self._pipeline.apology(Transcript(""), self._state), False
        takes_up = turn.continues is not None and turn.continues is self._last
        if not takes_up and turn.state is not self._state:  # another turn was committed meanwhile
            turn.state, turn.draft = self._state, None
        if self._options.drafts and turn.draft is not None and turn.draft.transcript is turn.hypothesis:
            return turn.draft, True
        heard = turn.hypothesis
        draft = await self._try("understanding", self._run(lambda: self._pipeline.draft(heard, turn.state)))
        return draft or self._pipeline.apology(heard, turn.state), False

    async def _act(self, turn: LiveTurn, draft: Draft) -> Draft:
        """Run the action of a committed turn; the draft that comes back says how it went."""
        assert draft.reply.action is not None
        action = draft.reply.action
        turn.acted = True
        started = time.perf_counter()
        timeout_s = action.timeout_s + self._options.stage_timeout_s
        done = await self._try("action", self._run_waiting(lambda: self._pipeline.finish(draft), timeout_s))
        finished, ok = done or (self._pipeline.failed(draft), False)
        self._emit(ActionRun(action.name, ok, time.perf_counter() - started, self._now_s))
        return finished

    def _say(self, reply: dialogue.Reply) -> None:
        """Speak unasked: a greeting, an idle prompt."""
        self._reply = self._begin(self._speak(reply, self._speech(reply.text), time.perf_counter()))

    async def _free_answer(self, draft: Draft) -> Iterator[str] | None:
        """The language model's words, where there is one and the domain has none."""
        if self._pipeline.llm is None:
            return None
        return await self._try("language model", self._run_waiting(lambda: self._pipeline.free_answer(draft)))

    async def _next_clause(self, more: Iterator[str]) -> str | None:
        return await self._try("language model", self._run_waiting(lambda: next(more, None)))

    async def _speak(
        self, reply: dialogue.Reply, speech: Speech, decided: float, more: Iterator[str] | None = None
    ) -> None:
        """Say a reply, and whatever `more` adds to it."""
        self._reply_began_s = self._now_s
        self._emit(ReplyStarted(reply.text, self._now_s, reply.source))
        await self._hand_over(speech, decided)
        while more is not None and (clause := await self._next_clause(more)) is not None:
            self._emit(ReplyContinued(clause, self._now_s))
            self._state = replace(self._state, last_reply=f"{self._state.last_reply} {clause}")
            await self._hand_over(self._speech(clause))
        self._emit(ReplyDone(interrupted=False, at_s=self._now_s))
        if reply.ends:
            self._begin(self.close(reply.ends))

    async def _hand_over(self, speech: Speech, decided: float | None = None) -> None:
        """Emit audio clause by clause, no further ahead than the transport takes it."""
        while True:
            heard_in_s = max(0.0, self._playing_until_s - self._now_s)  # what was handed over plays that long
            if (samples := await self._try("synthesis", speech.take(heard_in_s))) is None:
                return
            await self._outbox.room()
            decision_s, decided = time.perf_counter() - decided if decided else None, None
            sample_rate = self._pipeline.synthesizer.sample_rate
            self._playing_until_s = max(self._playing_until_s, self._now_s) + len(samples) / sample_rate
            self._emit(ReplyAudio(samples, sample_rate, self._now_s, decision_s))

    def _mind_the_silence(self) -> None:
        """Ask a caller who has gone quiet whether they are there, and give up in the end."""
        if self._last is not None and self._now_s - self._last.speech_end_s > 2 * self._options.reopen_s:
            self._last.chunks.clear()  # it will not be taken up again
        if self._playing_until_s == 0.0 or self.speaking or self._background:
            return
        quiet_since_s = max(self._playing_until_s, self._last.speech_end_s if self._last else 0.0)
        if self._now_s - quiet_since_s < self._options.idle_s:
            return
        self._n_idle += 1
        self._playing_until_s = self._now_s
        if self._n_idle > self._options.n_idle_prompts:
            self._begin(self.close("idle"))
        else:
            self._state, reply = dialogue.idle(self._pipeline.domain, self._state)
            self._say(reply)

    def _begin(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Start work that `settle` waits for and `close` drops."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _speech(self, text: str) -> Speech:
        return Speech(self._pipeline.synthesize(text), self._run)

    def _emit(self, event: Event) -> None:
        self._outbox.put(event)

    def _run(self, call: Callable[[], Result], wanted_in_s: float = 0.0) -> Coroutine[None, None, Result]:
        return self._workers.run(call, timeout_s=self._options.stage_timeout_s, wanted_in_s=wanted_in_s)

    def _run_waiting(self, call: Callable[[], Result], timeout_s: float | None = None) -> Coroutine[None, None, Result]:
        return self._workers.run(call, timeout_s=timeout_s or self._options.stage_timeout_s, waits=True)

    async def _try(self, stage: str, work: Awaitable[Result]) -> Result | None:
        """The work's result, or None after saying that the stage failed: the session goes on."""
        try:
            return await work
        except Exception as error:
            self._failed(stage, error)
            return None

    def _failed(self, stage: str, error: Exception) -> None:
        """Say that a stage failed, and only by what kind of error: a message may quote what the caller said."""
        message = "took too long" if isinstance(error, TimeoutError) else type(error).__name__
        logger.warning("%s failed: %s", stage, message)
        self._emit(StageFailed(stage, message, self._now_s))

    def _under_way(self) -> list["asyncio.Task[None]"]:
        """All work under way that will end by itself: not a reply that waits for the transport."""
        return [task for task in self._background if not (self._outbox.is_full and task is self._reply)]
