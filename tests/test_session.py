"""One caller, on the audio clock: what is emitted, when, and what must never happen."""

import asyncio
import itertools
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest

from rejoinder.asr.recognizer import BiasPhrase
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
    SpeechStarted,
    StageFailed,
    TurnEnded,
    Understood,
)
from rejoinder.pipeline import Pipeline
from rejoinder.session import Session, SessionOptions
from rejoinder.workers import Workers
from tests.fakes import (
    FakeActions,
    FakeRecognizer,
    FakeSynthesizer,
    FakeUnderstander,
    FakeVad,
    fake_pipeline,
    meanings,
    silence,
    speak,
)

LOCKSTEP = SessionOptions(lockstep=True)
EventT = TypeVar("EventT")


@asynccontextmanager
async def a_session(pipeline: Pipeline | None = None, options: SessionOptions = LOCKSTEP) -> AsyncIterator[Session]:
    workers = Workers(2)
    async with Session(pipeline or fake_pipeline(), workers, FakeVad(), options=options) as session:  # type: ignore[arg-type]
        yield session
    workers.close()


async def heard(session: Session, *audio: Samples) -> list[Event]:
    """Feed audio in 20 ms frames; everything that the session emitted meanwhile."""
    samples = np.concatenate(audio)
    for start in range(0, len(samples), 320):
        await session.feed(samples[start : start + 320])
    await session.settle()
    return await drained(session)


async def drained(session: Session) -> list[Event]:
    events: list[Event] = []
    while True:
        try:
            events.append(await session.next_event(timeout_s=0.001))
        except TimeoutError:
            return events


def of(kind: type[EventT], events: Sequence[object]) -> list[EventT]:
    return [event for event in events if isinstance(event, kind)]


async def test_a_turn_is_heard_understood_and_answered_in_this_order() -> None:
    async with a_session() as session:
        events = await heard(session, silence(0.5), speak("a large latte"), silence(1.5))
    kinds = [type(event) for event in events]
    order = [SpeechStarted, PartialTranscript, TurnEnded, Understood, ReplyStarted, ReplyAudio, ReplyDone]
    positions = [kinds.index(kind) for kind in order]
    assert positions == sorted(positions)
    (ended,) = of(TurnEnded, events)
    assert ended.text == "a large latte"
    assert ended.draft_hit
    assert ended.speech_end_s == pytest.approx(0.5 + 3 * 0.192, abs=0.05)
    (reply,) = of(ReplyStarted, events)
    assert reply.text == "Large latte, shall I order it?"


async def test_the_words_of_a_partial_that_two_hypotheses_share_are_stable() -> None:
    async with a_session() as session:
        partials = of(PartialTranscript, await heard(session, speak("a large latte", word_chunks=12), silence(1.5)))
    assert len(partials) > 1
    for earlier, later in itertools.pairwise(partials):
        stable = earlier.text.split()[: earlier.n_stable]
        assert later.text.split()[: earlier.n_stable] == stable


async def test_all_audio_of_the_reply_is_handed_over_and_stamped_once_with_the_decision() -> None:
    async with a_session() as session:
        audio = of(ReplyAudio, await heard(session, speak("when are you open"), silence(1.5)))
    assert sum(len(piece.samples) for piece in audio) == 9 * 7200
    assert [piece.decision_s is not None for piece in audio] == [True, False]


async def test_an_incomplete_turn_waits_longer_than_a_complete_one() -> None:
    async def delay_s(text: str) -> float:
        async with a_session() as session:
            (ended,) = of(TurnEnded, await heard(session, speak(text), silence(3)))
            return ended.at_s - ended.speech_end_s

    assert await delay_s("a large") > await delay_s("a large latte") + 0.2


async def test_a_pause_within_an_incomplete_turn_does_not_end_it() -> None:
    async with a_session() as session:
        events = await heard(session, speak("a large"), silence(0.32), speak("latte"), silence(1.5))
    assert [ended.text for ended in of(TurnEnded, events)] == ["a large latte"]


async def test_words_right_after_the_end_of_a_turn_take_it_up_again() -> None:
    async with a_session() as session:
        first = await heard(session, speak("when are you open"), silence(0.5))
        assert of(TurnEnded, first)
        rest = await heard(session, speak("on sunday now"), silence(2))
    (ended,) = of(TurnEnded, rest)
    assert ended.continues
    assert ended.text == "when are you open on sunday now"
    assert any(done.interrupted for done in of(ReplyDone, rest))


async def test_a_new_turn_later_on_does_not_continue_the_last() -> None:
    async with a_session() as session:
        await heard(session, speak("when are you open"), silence(6))
        (ended,) = of(TurnEnded, await heard(session, speak("a latte"), silence(2)))
    assert not ended.continues
    assert ended.text == "a latte"


async def test_an_action_runs_once_after_commit_and_never_in_a_draft() -> None:
    actions = FakeActions()
    async with a_session(fake_pipeline(actions=actions)) as session:
        await heard(session, speak("a latte"), silence(4))
        assert actions.ran == []
        events = await heard(session, speak("yes"), silence(4))
    assert [name for name, _ in actions.ran] == ["place_order"]
    assert actions.ran[0][1]["drink"] == "latte"
    assert of(ActionRun, events)[0].ok
    assert of(ReplyStarted, events)[0].text == "Your order number is 12."
    assert all(name.startswith("rejoinder") for name in actions.threads)


async def test_what_an_action_returned_is_heard_not_only_written() -> None:
    synthesizer = FakeSynthesizer()
    async with a_session(fake_pipeline(synthesizer=synthesizer)) as session:
        await heard(session, speak("a latte"), silence(4))
        events = await heard(session, speak("yes"), silence(4))
    assert "Your order number is 12." in synthesizer.spoken
    assert sum(len(piece.samples) for piece in of(ReplyAudio, events)) == 5 * 7200
    assert not of(TurnEnded, events)[0].draft_hit


async def test_words_of_which_only_the_beginning_was_recognized_do_nothing() -> None:
    actions = FakeActions()
    recognizer = FakeRecognizer()
    async with a_session(fake_pipeline(actions=actions, recognizer=recognizer)) as session:
        await heard(session, speak("a latte"), silence(4))
        await heard(session, speak("yes"))
        recognizer.fail = lambda _: True  # "yes" was a partial; the rest cannot be recognized
        events = await heard(session, speak("but not the large one please"), silence(3))
    assert actions.ran == []
    assert "catch that" in of(ReplyStarted, events)[-1].text


async def test_speech_without_end_is_cut_and_not_taken_up_for_ever() -> None:
    turns = replace(LOCKSTEP.turns, longest_turn_s=2.0)
    lengths: list[int] = []

    def measure(samples: Samples) -> bool:
        lengths.append(len(samples))
        return False

    pipeline = fake_pipeline(recognizer=FakeRecognizer(fail=measure))
    async with a_session(pipeline, replace(LOCKSTEP, turns=turns)) as session:
        await heard(session, speak(" ".join(["word"] * 60)), silence(2))
    assert max(lengths) < 6 * 16_000


async def test_speech_right_after_a_typed_turn_is_a_turn_of_its_own() -> None:
    async with a_session() as session:
        session.submit_text("a latte")
        await session.settle()
        await drained(session)
        (ended,) = of(TurnEnded, await heard(session, silence(0.2), speak("when are you open"), silence(3)))
        assert (ended.text, ended.continues) == ("when are you open", False)
        assert session.state.intent == "order"


async def test_an_interruption_takes_back_the_audio_that_nobody_took_yet() -> None:
    async with a_session() as session:
        samples = np.concatenate([speak("when are you open"), silence(1.3)])
        await session.feed(samples)
        await session.feed(np.concatenate([speak("a large latte"), silence(0.1)]))
        events = await drained(session)
    interrupted = next(i for i, event in enumerate(events) if isinstance(event, ReplyDone) and event.interrupted)
    assert not of(ReplyAudio, events[:interrupted])


async def test_a_hang_up_ends_the_session_even_when_it_is_interrupted() -> None:
    pipeline = fake_pipeline()
    hours = replace(pipeline.domain.intents["hours"], ends="hangup")
    pipeline = replace(pipeline, domain=replace(pipeline.domain, intents={"hours": hours}))
    async with a_session(pipeline, SessionOptions()) as session:
        session.submit_text("when are you open")
        await asyncio.sleep(0)
        session.submit_text("when are you open")
        session.interrupt()
        await asyncio.wait_for(session.settle(), 5)
        session.interrupt()
        await session.close()
        events = await drained(session)
    assert len(of(SessionEnded, events)) == 1


async def test_an_abandoned_draft_has_no_effect() -> None:
    actions = FakeActions()
    async with a_session(fake_pipeline(actions=actions)) as session:
        await heard(session, speak("a latte"), silence(4))
        before = session.state
        # "yes" is drafted at the pause, but more words follow: nothing was agreed to
        events = await heard(session, speak("yes"), silence(0.1), speak("but tell me"), silence(0.1))
        assert session.state is before
    assert actions.ran == []
    assert not of(ActionRun, events)


async def test_a_failed_action_is_said_and_the_session_goes_on() -> None:
    async with a_session(fake_pipeline(actions=FakeActions(fail=True))) as session:
        await heard(session, speak("a latte"), silence(4))
        events = await heard(session, speak("yes"), silence(4))
        assert not of(ActionRun, events)[0].ok
        assert "not work" in of(ReplyStarted, events)[0].text
        assert of(ReplyStarted, await heard(session, speak("when are you open"), silence(2)))


async def test_speech_over_a_reply_interrupts_it() -> None:
    async with a_session() as session:
        await heard(session, speak("when are you open"), silence(1.3))
        assert session.speaking
        events = await heard(session, speak("a large latte"), silence(1))
    interrupted = [done for done in of(ReplyDone, events) if done.interrupted]
    assert len(interrupted) == 1
    started = of(SpeechStarted, events)[0]
    assert interrupted[0].at_s - started.at_s < 0.6
    assert 0.5 < interrupted[0].heard_s < 2
    assert of(ReplyStarted, events)[0].text == "Large latte, shall I order it?"


async def test_a_backchannel_does_not_stop_the_reply() -> None:
    async with a_session() as session:
        await heard(session, speak("when are you open"), silence(1.3))
        assert session.speaking
        events = await heard(session, speak("uh-huh", word_chunks=8), silence(0.8))
    assert [event.text for event in of(BackchannelHeard, events)] == ["uh-huh"]
    assert not of(ReplyDone, events)
    assert not of(TurnEnded, events)


async def test_yes_over_a_question_is_an_answer_not_a_backchannel() -> None:
    actions = FakeActions()
    synthesizer = FakeSynthesizer()
    async with a_session(fake_pipeline(actions=actions, synthesizer=synthesizer)) as session:
        await heard(session, speak("a latte"), silence(1.3))
        assert session.speaking
        await heard(session, speak("yes", word_chunks=8), silence(2))
    assert len(actions.ran) == 1


async def test_without_barge_in_the_reply_is_not_heard_as_the_caller() -> None:
    async with a_session(options=replace(LOCKSTEP, barge_in=False)) as session:
        await heard(session, speak("when are you open"), silence(0.4))
        assert session.speaking
        events = await heard(session, speak("a large latte"))
    assert not of(SpeechStarted, events)


async def test_a_click_is_no_turn() -> None:
    click = np.full(512, 0.5, np.float32)
    async with a_session() as session:
        assert await heard(session, silence(0.5), click, silence(2)) == []


async def test_speech_without_words_is_answered_only_when_it_was_long() -> None:
    cough, mumble = (np.full(n * 512, 0.0777, np.float32) for n in (8, 50))
    async with a_session() as session:
        assert not of(ReplyStarted, await heard(session, cough, silence(2)))
        (reply,) = of(ReplyStarted, await heard(session, mumble, silence(2)))
    assert "catch that" in reply.text


async def test_out_of_scope_has_its_own_reply() -> None:
    async with a_session() as session:
        events = await heard(session, speak("sing me a song"), silence(2))
    assert of(Understood, events)[0].understanding.intent is None
    assert of(ReplyStarted, events)[0].text == "I can't help with that."


async def test_silence_after_a_reply_prompts_then_ends_the_session() -> None:
    async with a_session(options=replace(LOCKSTEP, idle_s=2.0, n_idle_prompts=2)) as session:
        await heard(session, speak("when are you open"), silence(3))
        events = await heard(session, silence(15))
    assert [reply.text for reply in of(ReplyStarted, events)] == ["Are you still there?"] * 2
    assert of(SessionEnded, events)[0].reason == "idle"


async def test_no_prompt_before_anything_was_said() -> None:
    async with a_session(options=replace(LOCKSTEP, idle_s=1.0)) as session:
        assert await heard(session, silence(5)) == []


async def test_a_greeting_comes_first_when_asked_for() -> None:
    async with a_session(options=replace(LOCKSTEP, greet=True)) as session:
        await session.settle()
        events = await drained(session)
    assert of(ReplyStarted, events)[0].text == "Hello, how can I help?"


async def test_typed_turns_are_answered_too() -> None:
    async with a_session() as session:
        session.submit_text("a large latte")
        await session.settle()
        events = await drained(session)
        assert of(TurnEnded, events)[0].text == "a large latte"
        assert of(ReplyAudio, events)
        session.submit_text("yes")
        await session.settle()
        assert of(ActionRun, await drained(session))


@pytest.mark.parametrize("drafts", [True, False])
async def test_drafts_change_the_timing_and_nothing_else(drafts: bool) -> None:
    async with a_session(options=replace(LOCKSTEP, drafts=drafts)) as session:
        events = await heard(session, speak("a large latte"), silence(2))
    assert of(ReplyStarted, events)[0].text == "Large latte, shall I order it?"
    assert of(TurnEnded, events)[0].draft_hit is drafts


async def test_a_draft_is_synthesized_once() -> None:
    synthesizer = FakeSynthesizer()
    async with a_session(fake_pipeline(synthesizer=synthesizer)) as session:
        await heard(session, speak("a large latte"), silence(2))
    assert [clause for clause in synthesizer.spoken if "Large latte" in clause] == ["Large latte"]


@pytest.mark.parametrize("stage", ["recognition", "understanding", "synthesis"])
async def test_a_stage_that_raises_is_reported_without_the_words_and_the_session_lives(
    stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True

    class Understander(FakeUnderstander):
        def understand(self, text: str, *, expecting: str | None = None, intent: str | None = None):  # type: ignore[no-untyped-def]
            if stage == "understanding" and broken:
                raise RuntimeError(text)
            return super().understand(text, expecting=expecting, intent=intent)

    recognizer = FakeRecognizer(fail=lambda _: stage == "recognition" and broken)
    synthesizer = FakeSynthesizer(fail=stage == "synthesis")
    pipeline = fake_pipeline(recognizer=recognizer, synthesizer=synthesizer, understander=Understander(meanings()))
    with caplog.at_level(logging.DEBUG):
        async with a_session(pipeline) as session:
            events = await heard(session, speak("a large latte"), silence(3))
            assert stage in {failed.stage for failed in of(StageFailed, events)}
            broken = synthesizer.fail = False
            events = await heard(session, speak("when are you open"), silence(3))
            assert of(ReplyAudio, events)
    assert "latte" not in caplog.text
    assert "words" not in caplog.text


async def test_a_stage_that_hangs_is_given_up() -> None:
    pipeline = fake_pipeline(understander=FakeUnderstander(meanings(), delay_s=0.4))
    async with a_session(pipeline, replace(LOCKSTEP, stage_timeout_s=0.05)) as session:
        events = await heard(session, speak("a large latte"), silence(2))
    assert "took too long" in {failed.message for failed in of(StageFailed, events)}
    assert "catch that" in of(ReplyStarted, events)[0].text


async def test_slow_models_do_not_block_the_event_loop() -> None:
    ticked, went_on = threading.Event(), list[str]()

    def wait_for_the_loop(model: str) -> bool:
        ticked.clear()
        if ticked.wait(10):
            went_on.append(model)
        return False

    class Waiting(FakeSynthesizer):
        def synthesize(self, text: str) -> Iterator[Samples]:
            wait_for_the_loop("voice")
            yield from super().synthesize(text)

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.005)
            ticked.set()

    recognizer = FakeRecognizer(fail=lambda _: wait_for_the_loop("recognizer"))
    async with a_session(fake_pipeline(recognizer=recognizer, synthesizer=Waiting()), SessionOptions()) as session:
        ticking = asyncio.create_task(tick())
        await session.feed(np.concatenate([speak("a large latte"), silence(2)]))
        await session.settle()
        events = await drained(session)
        ticking.cancel()
    assert of(ReplyAudio, events)
    assert set(went_on) == {"recognizer", "voice"}


async def test_a_reply_waits_for_a_transport_that_does_not_take_it() -> None:
    synthesizer = FakeSynthesizer()
    domain_reply = ", ".join(["one two three four five"] * 8)
    pipeline = fake_pipeline(synthesizer=synthesizer)
    hours = replace(pipeline.domain.intents["hours"], replies=(domain_reply,))
    pipeline = replace(pipeline, domain=replace(pipeline.domain, intents={"hours": hours}))
    async with a_session(pipeline, replace(LOCKSTEP, reply_ahead_s=1.0)) as session:
        samples = np.concatenate([speak("when are you open"), silence(1)])
        await session.feed(samples)
        await asyncio.sleep(0.05)
        assert len(synthesizer.spoken) < 8
        events: list[Event] = []
        while not of(ReplyDone, events):
            events.append(await session.next_event(timeout_s=1))
    assert len(of(ReplyAudio, events)) == 8


async def test_a_language_model_answers_what_the_domain_does_not_clause_by_clause() -> None:
    class Model:
        def answer(self, text: str, **_: object) -> Iterator[str] | None:
            return iter(["It is sunny", " today. ", "Take a ", "hat."]) if "weather" in text else None

    pipeline = replace(fake_pipeline(), llm=Model())  # type: ignore[arg-type]
    async with a_session(pipeline) as session:
        events = await heard(session, speak("how is the weather"), silence(3))
        assert of(ReplyStarted, events)[0].text == "It is sunny today."
        assert [more.text for more in of(ReplyContinued, events)] == ["Take a hat."]
        assert len(of(ReplyAudio, events)) == 2
        assert session.state.last_reply == "It is sunny today. Take a hat."
        events = await heard(session, speak("sing me a song"), silence(3))
        assert of(ReplyStarted, events)[0].text == "I can't help with that."


async def test_bias_can_change_in_the_middle_of_a_call() -> None:
    recognizer = FakeRecognizer()
    async with a_session(fake_pipeline(recognizer=recognizer)) as session:
        await heard(session, speak("a latte"), silence(4))
        assert set(recognizer.biases) == {None}
        await session.set_bias([BiasPhrase("mocha")])
        n_before = len(recognizer.biases)
        await heard(session, speak("yes"), silence(4))
        assert all(bias is not None for bias in recognizer.biases[n_before:])


async def test_sessions_do_not_share_state() -> None:
    pipeline = fake_pipeline()
    async with a_session(pipeline) as one, a_session(pipeline) as other:
        await asyncio.gather(
            heard(one, speak("a latte"), silence(3)), heard(other, speak("when are you open"), silence(3))
        )
        assert one.state.intent == "order"
        assert other.state.intent is None


async def test_a_conversation_goes_on_in_another_session() -> None:
    actions = FakeActions()
    pipeline = fake_pipeline(actions=actions)
    async with a_session(pipeline) as session:
        await heard(session, speak("a latte"), silence(3))
        state = session.state
    workers = Workers(1)
    async with Session(pipeline, workers, FakeVad(), options=LOCKSTEP, state=state) as session:  # type: ignore[arg-type]
        await heard(session, speak("yes"), silence(3))
    workers.close()
    assert len(actions.ran) == 1


@pytest.mark.parametrize("frame", [np.zeros(10), np.zeros((10, 2), np.float32), np.zeros(10, np.int16)])
async def test_a_frame_of_the_wrong_kind_is_refused(frame: Samples) -> None:
    async with a_session() as session:
        with pytest.raises(AudioError, match="must be float32 of shape"):
            await session.feed(frame)


async def test_samples_that_are_not_numbers_do_no_harm() -> None:
    async with a_session() as session:
        await session.feed(np.full(4096, np.nan, np.float32))
        await session.feed(np.full(512, np.inf, np.float32))
        assert of(ReplyStarted, await heard(session, silence(1), speak("a latte"), silence(2)))


@pytest.mark.parametrize("n_frame", [1, 160, 511, 512, 513, 100_000])
async def test_the_size_of_frames_makes_no_difference(n_frame: int) -> None:
    samples = np.concatenate([silence(0.3), speak("a latte"), silence(2)])
    samples = samples[: 512 * 80]
    async with a_session() as session:
        for start in range(0, len(samples), n_frame):
            await session.feed(samples[start : start + n_frame])
        await session.settle()
        (ended,) = of(TurnEnded, await drained(session))
    assert ended.text == "a latte"
    assert ended.speech_end_s == pytest.approx(0.3 + 2 * 0.192, abs=0.05)


async def test_closing_drops_what_is_under_way_and_ends_the_events() -> None:
    pipeline = fake_pipeline(recognizer=FakeRecognizer(delay_s=0.2))
    async with a_session(pipeline, SessionOptions()) as session:
        await session.feed(np.concatenate([speak("a large latte"), silence(1)]))
    events = [event async for event in session.events()]
    assert isinstance(events[-1], SessionEnded)
    assert len(of(SessionEnded, events)) == 1
    await session.feed(silence(1))  # a late frame is no error


async def test_a_reply_that_ends_the_call_ends_the_session() -> None:
    pipeline = fake_pipeline()
    hours = replace(pipeline.domain.intents["hours"], ends="hangup")
    pipeline = replace(pipeline, domain=replace(pipeline.domain, intents={"hours": hours}))
    async with a_session(pipeline) as session:
        events = await heard(session, speak("when are you open"), silence(2))
    assert of(SessionEnded, events)[0].reason == "hangup"
    assert of(ReplyAudio, events)


async def test_a_voice_that_failed_in_a_draft_is_tried_again_for_the_reply() -> None:
    synthesizer = FakeSynthesizer(fail=True)
    async with a_session(fake_pipeline(synthesizer=synthesizer)) as session:
        await session.feed(np.concatenate([speak("when are you open"), silence(0.1)]))
        await session.settle()
        synthesizer.fail = False
        events = await heard(session, silence(2))
    assert of(StageFailed, events)
    assert len(of(ReplyAudio, events)) == 2
