"""The whole assistant with its real models, on the recordings that ship."""

import asyncio
import json
from collections.abc import Iterator

import jiwer
import numpy as np
import pytest

from benchmarks.corpus import CAFE, cafe
from rejoinder import Assistant
from rejoinder import audio as rejoinder_audio
from rejoinder.assistant import AssistantOptions
from rejoinder.audio import SAMPLE_RATE, frames
from rejoinder.errors import AudioError, DomainError
from rejoinder.evaluate.sets import Recording
from rejoinder.events import Event, ReplyAudio, ReplyStarted, Samples, SessionEnded, TurnEnded, Understood
from rejoinder.session import SessionOptions
from rejoinder.text import normalize

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    loaded = Assistant.load(CAFE, options=AssistantOptions(cache=False))
    yield loaded
    loaded.close()


def right(assistant: Assistant, recording: Recording) -> bool:
    meant = assistant.hear(recording.samples).understanding
    return meant.intent == recording.intent and dict(meant.slots) == recording.slots


def test_most_real_orders_are_understood_with_all_their_slots(assistant: Assistant) -> None:
    orders = cafe()
    n_right = sum(right(assistant, order) for order in orders)
    assert n_right >= 0.85 * len(orders)


def test_a_typed_question_and_its_answer(assistant: Assistant) -> None:
    reply = assistant.ask("can I get a large latte with soy milk")
    assert reply.understanding.intent == "orderDrink"
    assert dict(reply.understanding.slots) == {"size": "large", "coffeeDrink": "latte", "milkAmount": "soy milk"}
    assert "large latte with soy milk" in reply.text.lower()
    assert len(reply.audio) > reply.sample_rate
    assert {"understand", "respond", "synthesize", "first_audio"} <= set(reply.timings_ms)


def test_the_spoken_reply_is_heard_as_what_was_written(assistant: Assistant) -> None:
    reply = assistant.ask("what time do you open")
    audio = rejoinder_audio.resample(reply.audio, reply.sample_rate, SAMPLE_RATE)
    heard = normalize(assistant.hear(audio).transcript)
    assert jiwer.wer(normalize(reply.text), heard) <= 0.3


def test_a_conversation_confirms_changes_and_orders(assistant: Assistant) -> None:
    talk = assistant.conversation()
    talk.ask("can I get a latte")
    changed = talk.ask("no, make it a large one")
    assert "large latte" in changed.text.lower()
    done = talk.ask("yes please")
    assert "number" in done.text.lower()
    assert talk.ask("sing me a song").understanding.intent is None


@pytest.mark.parametrize(
    "question",
    ["what is the capital of France", "my laptop does not turn on", "asdf qwer zxcv", "I want to fly to Rome"],
)
def test_what_no_intent_covers_is_out_of_scope(assistant: Assistant, question: str) -> None:
    understanding = assistant.ask(question).understanding
    assert understanding.intent is None
    assert understanding.source == "none"


def noise(seconds: float, level: float) -> Samples:
    return np.random.default_rng(0).normal(0, level, round(seconds * SAMPLE_RATE)).astype(np.float32)


@pytest.mark.parametrize("samples", [np.zeros(3 * SAMPLE_RATE, np.float32), noise(3, 0.05), np.zeros(1, np.float32)])
def test_silence_and_noise_hold_no_words_and_order_nothing(assistant: Assistant, samples: Samples) -> None:
    reply = assistant.hear(samples)
    assert reply.transcript == ""
    assert reply.understanding.intent is None
    assert reply.text


def test_a_clipped_recording_is_still_understood(assistant: Assistant) -> None:
    order = cafe()[3]
    loud = np.clip(order.samples * 20, -1.0, 1.0).astype(np.float32)
    assert assistant.hear(loud).understanding.intent == "orderDrink"


def test_a_telephone_recording_is_still_understood(assistant: Assistant) -> None:
    narrow = rejoinder_audio.resample(cafe()[3].samples, SAMPLE_RATE, 8000)
    coded = rejoinder_audio.from_mulaw(rejoinder_audio.to_mulaw(narrow))
    wide = rejoinder_audio.resample(coded, 8000, SAMPLE_RATE)
    assert assistant.hear(wide).understanding.intent == "orderDrink"


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros((10, 2), np.float32), np.zeros(10, np.int16)])
def test_samples_of_the_wrong_kind_are_refused(assistant: Assistant, samples: Samples) -> None:
    with pytest.raises(AudioError):
        assistant.hear(samples)


def test_a_missing_domain_says_what_to_type() -> None:
    with pytest.raises(DomainError, match="rejoinder init"):
        Assistant.load("no-such-domain")


async def events_of(assistant: Assistant, samples: Samples, options: SessionOptions) -> list[Event]:
    async with assistant.session(options=options) as session:
        for frame in frames(np.concatenate([samples, np.zeros(3 * SAMPLE_RATE, np.float32)]), 320):
            await session.feed(frame)
        await session.settle()
    return [event async for event in session.events()]


async def test_a_live_caller_is_answered_as_a_recording_is(assistant: Assistant) -> None:
    order = cafe()[1]
    events = await events_of(assistant, order.samples, SessionOptions(lockstep=True))
    understood = [event.understanding for event in events if isinstance(event, Understood)]
    assert understood[-1].intent == order.intent
    assert dict(understood[-1].slots) == order.slots
    assert any(isinstance(event, ReplyAudio) for event in events)
    assert isinstance(events[-1], SessionEnded)


async def test_drafts_do_not_change_what_is_answered(assistant: Assistant) -> None:
    async def replies(drafts: bool) -> list[str]:
        options = SessionOptions(lockstep=True, drafts=drafts)
        texts = []
        for order in cafe()[:4]:
            events = await events_of(assistant, order.samples, options)
            texts.append([event.text for event in events if isinstance(event, ReplyStarted)][-1])
        return texts

    assert await replies(True) == await replies(False)


async def test_callers_at_the_same_time_do_not_mix(assistant: Assistant) -> None:
    orders = cafe()[:4]
    several = await asyncio.gather(
        *(events_of(assistant, order.samples, SessionOptions(lockstep=True)) for order in orders)
    )
    for order, events in zip(orders, several, strict=True):
        alone = await events_of(assistant, order.samples, SessionOptions(lockstep=True))
        heard = [[event.text for event in some if isinstance(event, TurnEnded)] for some in (events, alone)]
        assert heard[0] == heard[1]


def test_the_recordings_that_ship_have_their_orders() -> None:
    for order in cafe():
        assert order.path.is_file()
        assert order.intent == "orderDrink"
    assert (CAFE / "recordings.jsonl").read_text().count("\n") == len(cafe()) == 40
    assert json.loads((CAFE / "recordings.jsonl").read_text().splitlines()[0])
