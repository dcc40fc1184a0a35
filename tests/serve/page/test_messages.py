"""Every event as the page is told of it, and what is taken from a page."""

import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.events import (
    ActionRun,
    BackchannelHeard,
    Event,
    PartialTranscript,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    SessionEnded,
    SpeechStarted,
    StageFailed,
    TurnDropped,
    TurnEnded,
    Understanding,
    Understood,
)
from rejoinder.serve.page.messages import (
    LONGEST_MESSAGE,
    LONGEST_TEXT,
    Goodbye,
    Hello,
    Played,
    Stop,
    Text,
    UnreadableError,
    message_of,
    parse,
    written,
)

EVENTS: tuple[Event, ...] = (
    SpeechStarted(1.2),
    PartialTranscript("a large", 1, 1.5),
    TurnEnded("a large latte", 0.93, 2.0, 2.3, True, False, {"recognize": 0.08, "wait": 0.001}),
    TurnDropped(2.0, 2.3),
    Understood(Understanding("a large latte", "order", 0.97, {"drink": "latte"}, "pattern"), 2.3),
    ReplyStarted("From seven.", 2.3, "knowledge/house.md#Hours"),
    ReplyContinued("Until six.", 2.4),
    ReplyAudio(np.zeros(2400, np.float32), 24_000, 2.4, 0.0123456),
    ReplyDone(True, 3.0, 0.6),
    BackchannelHeard("uh-huh", 3.0),
    ActionRun("place_order", True, 0.02, 3.1),
    StageFailed("synthesis", "RuntimeError", 3.2),
    SessionEnded("idle", 9.0),
)


def test_every_event_has_a_message_of_its_own() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    told = [message_of(event, reply=3) for event in EVENTS]
    assert len({message["type"] for message in told}) == len(EVENTS)
    assert all(json.loads(written(message)) == message for message in told)


def test_a_turn_says_what_was_heard_and_how_long_each_stage_took() -> None:
    assert message_of(EVENTS[2], reply=3) == {
        "type": "turn_ended",
        "text": "a large latte",
        "confidence": 0.93,
        "speech_end_s": 2.0,
        "at_s": 2.3,
        "draft_hit": True,
        "continues": False,
        "timings_s": {"recognize": 0.08, "wait": 0.001},
    }


def test_what_belongs_to_a_reply_carries_its_number_and_audio_is_only_announced() -> None:
    told = [message_of(event, reply=3) for event in EVENTS[5:9]]
    assert [message["reply"] for message in told] == [3, 3, 3, 3]
    assert told[2] == {
        "type": "reply_audio",
        "reply": 3,
        "sample_rate": 24_000,
        "n_samples": 2400,
        "decision_s": 0.0123,
        "at_s": 2.4,
    }


def test_numbers_that_json_cannot_hold_do_not_reach_it() -> None:
    event = TurnEnded("a", float("nan"), float("inf"), 1.0, timings_s={"wait": float("nan")})
    message = json.loads(written(message_of(event, reply=1)))
    assert (message["confidence"], message["speech_end_s"], message["timings_s"]) == (0.0, 0.0, {"wait": 0.0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type": "hello"}', Hello(type="hello")),
        ('{"type": "hello", "resume": "abc", "greet": false}', Hello(type="hello", resume="abc", greet=False)),
        ('{"type": "text", "text": " a latte "}', Text(type="text", text=" a latte ")),
        ('{"type": "played", "reply": 2}', Played(type="played", reply=2)),
        ('{"type": "stop"}', Stop(type="stop")),
        ('{"type": "goodbye"}', Goodbye(type="goodbye")),
    ],
)
def test_messages_of_the_page_are_read(text: str, message: object) -> None:
    assert parse(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"type": "sing"}',
        '{"type": "stop", "now": true}',
        '{"type": "text", "text": "  "}',
        json.dumps({"type": "text", "text": "a" * (LONGEST_TEXT + 1)}),
        '{"type": "played", "reply": -1}',
        json.dumps({"type": "hello", "resume": "a" * 65}),
        " " * (LONGEST_MESSAGE + 1),
    ],
)
def test_anything_else_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        parse(text)
    assert "aaa" not in str(caught.value)
    assert len(str(caught.value)) < 100  # it has to fit into a close frame


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    with pytest.raises(UnreadableError):
        parse(text)
