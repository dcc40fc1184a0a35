"""The mapping of session events to the wire, without a socket; every event is held against the SDK's models."""

import base64
import itertools
from typing import Any

import numpy as np
import pytest

from rejoinder.events import (
    BackchannelHeard,
    Event,
    PartialTranscript,
    ReplyAudio,
    ReplyContinued,
    ReplyDone,
    ReplyStarted,
    SpeechStarted,
    StageFailed,
    TurnDropped,
    TurnEnded,
)
from rejoinder.serve.realtime.conversation import MOST_ITEMS, Conversation, Wanted
from rejoinder.serve.realtime.protocol import (
    ConversationSettings,
    FunctionCallOutput,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    Message,
    RefusedError,
    ResponseOptions,
    ServerEvent,
    SessionUpdate,
    TranscriptionSettings,
)
from tests.serve.realtime.wire import check, check_all, kinds, the

TURN = (SpeechStarted(0.5), PartialTranscript("when are", 2, 1.0), TurnEnded("when are you open", 0.9, 1.6, 2.0))
REPLY = (
    ReplyStarted("From seven to six.", 2.0),
    ReplyAudio(np.full(24_000, 0.1, np.float32), 24_000, 2.0, 0.01),
)
ITEM = ["conversation.item.added", "conversation.item.done"]
SPOKEN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    *ITEM,
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
]
BEGUN = ["response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added"]
AUDIO = ["response.output_audio_transcript.delta", "response.output_audio.delta"]
ENDED = ["response.content_part.done", "response.output_item.done", "conversation.item.done", "response.done"]
AUDIO_DONE = ["response.output_audio.done", "response.output_audio_transcript.done"]


def a_conversation(
    settings: ConversationSettings | TranscriptionSettings | None = None, **session: Any
) -> Conversation:
    ids = itertools.count()
    settings = settings or ConversationSettings(type="realtime")
    conversation = Conversation(settings, new_id=lambda kind: f"{kind}_{next(ids)}")
    if session:
        change = SessionUpdate(type="session.update", session={"type": settings.type, **session})
        check_all(conversation.update(change))
    return conversation


def told(conversation: Conversation, *events: Event) -> list[ServerEvent]:
    wire = [wire for event in events for wire in conversation.on(event)]
    check_all(wire)
    return wire


def typed(text: str, role: Any = "user", item_id: str | None = None) -> ItemCreate:
    kind = "input_text" if role == "user" else "output_text"
    item = Message.model_validate(
        {"type": "message", "role": role, "id": item_id, "content": [{"type": kind, "text": text}]}
    )
    return ItemCreate(type="conversation.item.create", item=item)


def test_a_spoken_turn_and_its_answer_come_in_the_order_of_the_protocol() -> None:
    wire = told(a_conversation(), *TURN, *REPLY, ReplyDone(False, 2.0))
    assert kinds(wire) == [*SPOKEN, *BEGUN, *AUDIO, *AUDIO_DONE, *ENDED]
    assert the("input_audio_buffer.speech_started", wire)["audio_start_ms"] == 500
    assert the("input_audio_buffer.speech_stopped", wire)["audio_end_ms"] == 1600
    completed = the("conversation.item.input_audio_transcription.completed", wire)
    assert completed["transcript"] == "when are you open"
    assert completed["usage"] == {"type": "duration", "seconds": 1.1}
    done = the("response.done", wire)["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "From seven to six."}]
    assert done["usage"]["input_token_details"]["audio_tokens"] == 11
    assert done["usage"]["output_token_details"]["audio_tokens"] == 20
    audio = [base64.b64decode(event["delta"]) for event in wire if event["type"] == "response.output_audio.delta"]
    assert sum(len(piece) for piece in audio) == 48_000
    assert max(len(piece) for piece in audio) <= 4_800


def test_items_name_the_one_before_them() -> None:
    wire = told(a_conversation(), *TURN, *REPLY, ReplyDone(False, 2.0))
    user, assistant = [event for event in wire if event["type"] == "conversation.item.added"]
    assert user["previous_item_id"] is None
    assert assistant["previous_item_id"] == user["item"]["id"]


def test_an_interruption_is_told_when_it_is_one() -> None:
    conversation = a_conversation()
    told(conversation, *TURN, *REPLY)
    assert told(conversation, SpeechStarted(2.5), PartialTranscript("no", 0, 2.7)) == []
    wire = told(conversation, ReplyDone(True, 2.9, 0.9))
    assert kinds(wire) == ["input_audio_buffer.speech_started", *AUDIO_DONE, *ENDED]
    done = the("response.done", wire)["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"
    assert kinds(told(conversation, TurnEnded("no wait", 0.9, 3.2, 3.5))) == SPOKEN[1:]


def test_what_is_said_while_the_client_still_plays_is_held_back_as_well() -> None:
    conversation = a_conversation()
    told(conversation, *TURN, *REPLY, ReplyDone(False, 2.0))
    assert told(conversation, SpeechStarted(2.9)) == []
    assert kinds(told(conversation, ReplyDone(True, 2.95))) == ["input_audio_buffer.speech_started"]
    assert kinds(told(conversation, SpeechStarted(3.5)))[-1] == "input_audio_buffer.speech_started"


def test_an_uh_huh_over_a_reply_is_not_told() -> None:
    conversation = a_conversation()
    told(conversation, *TURN, *REPLY)
    assert told(conversation, SpeechStarted(2.5), BackchannelHeard("uh-huh", 2.9)) == []
    assert the("response.done", told(conversation, ReplyDone(False, 3.0)))["response"]["status"] == "completed"


def test_a_noise_has_stopped_when_the_next_speech_begins() -> None:
    wire = told(a_conversation(), SpeechStarted(0.5), SpeechStarted(3.0), TurnEnded("a latte", 0.9, 3.6, 4.0))
    assert [event["type"].split(".")[-1] for event in wire[:4]] == [
        *("speech_started", "speech_stopped", "speech_started", "speech_stopped")
    ]
    assert wire[0]["item_id"] != wire[2]["item_id"] == the("input_audio_buffer.committed", wire)["item_id"]


def test_a_noise_stops_and_leaves_no_item() -> None:
    conversation = a_conversation()
    wire = told(conversation, SpeechStarted(0.5), TurnDropped(0.8, 1.2))
    assert kinds(wire) == ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"]
    assert wire[1]["audio_end_ms"] == 800
    assert not conversation.hearing
    assert kinds(told(conversation, *TURN)) == SPOKEN


def test_a_backchannel_that_is_dropped_after_all_says_nothing_more() -> None:
    conversation = a_conversation()
    told(conversation, *TURN, *REPLY)
    assert told(conversation, SpeechStarted(2.5), BackchannelHeard("uh-huh", 2.9), TurnDropped(2.7, 2.9)) == []


def test_silence_that_ended_a_turn_is_no_time_of_the_callers() -> None:
    conversation = a_conversation()
    told(conversation, SpeechStarted(0.5))
    conversation.silence_inserted(1.5, 0.85)
    wire = told(conversation, TurnEnded("a latte", 0.9, 1.4, 2.3), SpeechStarted(3.0))
    assert the("input_audio_buffer.speech_stopped", wire)["audio_end_ms"] == 1400
    assert wire[-1]["audio_start_ms"] == 2150
    conversation.silence_inserted(2.5, 0.85)
    wire = told(conversation, TurnEnded("yes", 0.9, 3.3, 4.1), SpeechStarted(5.2))
    assert [event["audio_end_ms"] for event in wire if "audio_end_ms" in event] == [2450]
    assert wire[-1]["audio_start_ms"] == 3500


def test_a_turn_taken_up_again_adds_only_its_new_words() -> None:
    conversation = a_conversation()
    told(conversation, *TURN)
    more = TurnEnded("when are you open on sunday", 0.9, 3.0, 3.4, continues=True)
    wire = told(conversation, SpeechStarted(2.2), more)
    assert the("conversation.item.input_audio_transcription.completed", wire)["transcript"] == "on sunday"


def test_a_reply_in_text() -> None:
    conversation = a_conversation(output_modalities=["text"])
    wire = told(conversation, *TURN, *REPLY, ReplyContinued("Every day.", 2.1), ReplyDone(False, 2.2))
    assert kinds(wire)[len(SPOKEN) + len(BEGUN) :] == [
        "response.output_text.delta",
        "response.output_text.done",
        *ENDED,
    ]
    assert the("response.output_text.done", wire)["text"] == "From seven to six. Every day."


def test_a_typed_turn_is_answered_when_asked_for() -> None:
    conversation = a_conversation()
    added = conversation.create_item(typed("when are you open"))
    events, wanted = conversation.respond(ResponseOptions(metadata={"client_event_id": "e7"}))
    assert (kinds(added), kinds(events)) == (ITEM, ["response.created"])
    assert wanted == Wanted("answer", "when are you open")
    assert events[0]["response"]["metadata"] == {"client_event_id": "e7"}
    wire = told(conversation, TurnEnded("when are you open", 1.0, 0.0, 0.0), *REPLY, ReplyDone(False, 0.0))
    assert kinds(wire) == [*BEGUN[1:], *AUDIO, *AUDIO_DONE, *ENDED]
    check_all([*added, *events, *wire])
    assert the("response.done", wire)["response"]["id"] == events[0]["response"]["id"]
    with pytest.raises(RefusedError, match="no user message"):
        conversation.respond(ResponseOptions())


def test_only_one_response_at_a_time() -> None:
    conversation = a_conversation()
    told(conversation, *TURN, *REPLY)
    with pytest.raises(RefusedError) as refused:
        conversation.respond(ResponseOptions())
    assert refused.value.code == "conversation_already_has_active_response"


def test_a_cancelled_response_says_nothing_more() -> None:
    conversation = a_conversation()
    with pytest.raises(RefusedError) as refused:
        conversation.cancel()
    assert refused.value.code == "response_cancel_not_active"
    told(conversation, *TURN, *REPLY)
    wire = conversation.cancel()
    check_all(wire)
    assert the("response.done", wire)["response"]["status_details"]["reason"] == "client_cancelled"
    assert told(conversation, REPLY[1], ReplyContinued("more", 2.5), ReplyDone(True, 2.5)) == []
    assert kinds(told(conversation, ReplyStarted("Yes.", 4.0)))[0] == "response.created"


def test_a_response_cancelled_before_its_words_came_interrupts_the_session_then() -> None:
    conversation = a_conversation()
    conversation.create_item(typed("when are you open"))
    conversation.respond(ResponseOptions())
    assert kinds(conversation.cancel()) == ["response.done"]
    assert told(conversation, TurnEnded("when are you open", 1.0, 0.0, 0.0), *REPLY) == []
    assert conversation.interrupts()
    assert not conversation.interrupts()
    assert told(conversation, ReplyDone(True, 0.0)) == []


def test_a_committed_turn_is_answered_when_asked_for() -> None:
    conversation = a_conversation(audio={"input": {"turn_detection": None}})
    item_id, wire = conversation.commit(1.5)
    wire += conversation.transcribed(item_id, "a latte", 1.5)
    events, wanted = conversation.respond(ResponseOptions())
    check_all([*wire, *events])
    assert kinds(wire) == SPOKEN[2:]
    assert wanted == Wanted("answer", "a latte")


def test_a_committed_turn_without_words_is_answered_as_not_understood() -> None:
    conversation = a_conversation(audio={"input": {"turn_detection": None}})
    item_id, _ = conversation.commit(1.5)
    failed = the("conversation.item.input_audio_transcription.failed", conversation.transcribed(item_id, None, 1.5))
    events, wanted = conversation.respond(ResponseOptions())
    check_all([failed, *events])
    assert wanted == Wanted("apology")
    assert conversation.responding


def test_a_function_is_called_once_and_its_reply_asked_for() -> None:
    conversation = a_conversation()
    told(conversation, *TURN)
    called = conversation.call_function("place_order", "{}")
    assert called is not None
    check_all(called)
    call_id = the("response.output_item.done", called)["item"]["call_id"]
    assert not conversation.responding
    output = FunctionCallOutput(type="function_call_output", call_id=call_id, output="12")
    with pytest.raises(RefusedError, match="awaits its output"):
        conversation.respond(ResponseOptions())
    check_all(conversation.create_item(ItemCreate(type="conversation.item.create", item=output)))
    _, wanted = conversation.respond(ResponseOptions())
    assert wanted == Wanted("output", "12")
    assert conversation.function_output() is None
    assert kinds(told(conversation, *REPLY, ReplyDone(False, 2.0)))[-1] == "response.done"


def test_no_function_is_called_for_a_response_that_was_cancelled() -> None:
    conversation = a_conversation()
    conversation.create_item(typed("when are you open"))
    conversation.respond(ResponseOptions())
    told(conversation, TurnEnded("when are you open", 1.0, 0.0, 0.0))
    conversation.cancel()
    assert conversation.call_function("place_order", "{}") is None
    assert told(conversation, *REPLY) == []
    assert conversation.interrupts()


def test_a_transcription_session_tells_stable_words_as_they_come() -> None:
    conversation = a_conversation(TranscriptionSettings(type="transcription"))
    check(conversation.created())
    wire = [wire for event in TURN for wire in conversation.heard(event, answered=False)]
    check_all(wire)
    assert [event["delta"] for event in wire if event["type"].endswith(".delta")] == ["when are", " you open"]
    with pytest.raises(RefusedError):
        conversation.respond(ResponseOptions())


def test_no_transcription_where_the_client_wants_none() -> None:
    wire = told(a_conversation(audio={"input": {"transcription": None}}), *TURN)
    assert kinds(wire) == SPOKEN[:5]


def test_with_create_response_false_turns_wait_and_speech_interrupts() -> None:
    conversation = a_conversation(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    for event in TURN:
        conversation.heard(event, answered=False)
    _, wanted = conversation.respond(ResponseOptions())
    assert wanted == Wanted("answer", "when are you open")
    told(conversation, TurnEnded("when are you open", 1.0, 0.0, 0.0), *REPLY)
    wire = conversation.heard(SpeechStarted(4.0), answered=False)
    check_all(wire)
    assert wire[0]["type"] == "input_audio_buffer.speech_started"
    assert the("response.done", wire)["response"]["status_details"]["reason"] == "turn_detected"
    assert conversation.interrupts()


def test_items_are_kept_shown_cut_and_forgotten() -> None:
    conversation = a_conversation()
    wire = told(conversation, *TURN, *REPLY, ReplyDone(False, 2.0))
    item_id = the("response.done", wire)["response"]["output"][0]["id"]
    cut = ItemTruncate(type="conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=400)
    show = ItemRetrieve(type="conversation.item.retrieve", item_id=item_id)
    forget = ItemDelete(type="conversation.item.delete", item_id=item_id)
    answers = [*conversation.truncate_item(cut), *conversation.retrieve_item(show), *conversation.delete_item(forget)]
    check_all(answers)
    assert answers[0]["audio_end_ms"] == 400
    assert answers[1]["item"]["content"] == [{"type": "output_audio"}]
    with pytest.raises(RefusedError) as refused:
        conversation.retrieve_item(show)
    assert refused.value.code == "item_retrieve_invalid_item_id"
    with pytest.raises(RefusedError):
        conversation.truncate_item(cut)
    with pytest.raises(RefusedError):
        conversation.delete_item(forget)


def test_the_oldest_items_are_forgotten_in_the_end() -> None:
    conversation = a_conversation()
    for n in range(MOST_ITEMS + 1):
        conversation.create_item(typed("yes", role="assistant", item_id=f"i{n}"))
    with pytest.raises(RefusedError):
        conversation.retrieve_item(ItemRetrieve(type="conversation.item.retrieve", item_id="i0"))
    with pytest.raises(RefusedError, match="exists"):
        conversation.create_item(typed("yes", item_id="i1"))


def test_failures_are_told() -> None:
    conversation = a_conversation()
    unheard = StageFailed("recognition", "RuntimeError", 1.0), TurnEnded("", 0.0, 1.6, 2.0)
    wire = told(conversation, SpeechStarted(0.5), *unheard, REPLY[0], StageFailed("synthesis", "RuntimeError", 2.0))
    assert "conversation.item.input_audio_transcription.failed" in kinds(wire)
    done = the("response.done", told(conversation, ReplyDone(False, 2.0)))["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["code"] == "stage_failed"
    check(conversation.error("no", code="invalid_value", param="x", client_event="e1"))


def test_a_new_session_goes_on_where_the_audio_stands() -> None:
    conversation = a_conversation()
    told(conversation, *TURN, *REPLY)
    wire = conversation.restarted(10.0)
    check_all(wire)
    assert the("response.done", wire)["response"]["status"] == "cancelled"
    assert told(conversation, SpeechStarted(1.0))[0]["audio_start_ms"] == 11_000
