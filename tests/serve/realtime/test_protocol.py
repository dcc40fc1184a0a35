"""What clients may send: refusals with a code and a path, settings merged, nothing guessed."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.serve.realtime.audio import Encoding
from rejoinder.serve.realtime.protocol import (
    AudioOutput,
    ConversationSettings,
    RefusedError,
    SemanticVad,
    ServerVad,
    SessionUpdate,
    TranscriptionSettings,
    opened,
    parse,
    updated,
)
from rejoinder.turns import TurnOptions

REFUSED = [
    ("garbage", "invalid_json", None),
    ("[1]", None, None),
    ("{}", "unknown_event", "type"),
    ('{"type": "response.fly"}', "unknown_event", "type"),
    ('{"type": "input_audio_buffer.append"}', "missing_required_parameter", "audio"),
    ('{"type": "input_audio_buffer.append", "audio": 7}', "invalid_value", "audio"),
    ('{"type": "response.cancel", "why": "no"}', "unknown_parameter", "why"),
    (
        '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": ""}]}}',
        "invalid_value",
        "item.content.0.type",
    ),
]


@pytest.mark.parametrize(("text", "code", "param"), REFUSED)
def test_what_is_wrong_is_refused_with_its_place(text: str, code: str | None, param: str | None) -> None:
    with pytest.raises(RefusedError) as refused:
        parse(text)
    assert code in (None, refused.value.code)
    assert refused.value.param == param


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_json_brings_the_parser_down(value: Any) -> None:
    for event in (value, {"type": "session.update", "session": value}, {"type": "response.create", "response": value}):
        with suppress(RefusedError):
            parse(json.dumps(event))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(RefusedError):
        parse('{"type": ' + "[" * 100_000 + "]" * 100_000 + "}")


def changed(**session: Any) -> ConversationSettings | TranscriptionSettings:
    return updated(ConversationSettings(type="realtime"), {"type": "realtime", **session})


def test_a_change_leaves_the_rest_alone() -> None:
    settings = changed(audio={"output": {"voice": "ash"}}, instructions="be brief")
    assert isinstance(settings, ConversationSettings)
    assert settings.audio.output.voice == "ash"
    assert settings.audio.output.encoding is Encoding.PCM
    assert settings.audio.input.turn_detection is not None
    assert settings.instructions == "be brief"


def test_another_type_replaces_what_was_there() -> None:
    settings = changed(audio={"input": {"format": {"type": "audio/pcma"}, "turn_detection": {"type": "semantic_vad"}}})
    assert settings.audio.input.encoding is Encoding.ALAW
    assert settings.audio.input.turn_detection == SemanticVad(type="semantic_vad")


def test_turn_detection_can_be_off() -> None:
    assert changed(audio={"input": {"turn_detection": None}}).audio.input.turn_detection is None


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        ({"audio": {"input": {"format": {"type": "audio/mp3"}}}}, "invalid_value", "session.audio.input.format"),
        ({"audio": {"input": {"sample_rate": 16000}}}, "unknown_parameter", "session.audio.input.sample_rate"),
        ({"output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"type": None}, "invalid_value", "session.type"),
    ],
)
def test_a_wrong_setting_is_refused(session: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(RefusedError) as refused:
        changed(**session)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_what_a_caller_said_is_not_quoted() -> None:
    with pytest.raises(RefusedError) as refused:
        parse('{"type": "conversation.item.retrieve", "item_id": ["my card is 4111"]}')
    assert "4111" not in str(refused.value)


def test_an_update_is_parsed_with_its_id() -> None:
    event = parse('{"type": "session.update", "event_id": "e1", "session": {"type": "realtime"}}')
    assert event == SessionUpdate(type="session.update", event_id="e1", session={"type": "realtime"})


def test_turn_detection_takes_effect_or_is_echoed_as_it_is() -> None:
    default = ServerVad()
    assert (default.turns, default.silence_duration_ms) == (TurnOptions(), None)
    fixed = ServerVad(silence_duration_ms=900, threshold=0.7, prefix_padding_ms=500)
    assert fixed.prefix_padding_ms == 300
    assert fixed.turns.speech_threshold == 0.7
    assert fixed.turns.silence_threshold == pytest.approx(0.55)
    assert fixed.turns.least_silence_s == fixed.turns.longest_silence_s == 0.9
    assert fixed.turns.least_unfinished_silence_s == fixed.turns.longest_unfinished_silence_s == 0.9
    assert ServerVad(silence_duration_ms=10).silence_duration_ms == 200
    assert ServerVad(silence_duration_ms=10**9).silence_duration_ms == 5000
    assert SemanticVad(type="semantic_vad", eagerness=None).turns == TurnOptions()
    patient, hasty = (SemanticVad.model_validate({"type": "semantic_vad", "eagerness": e}) for e in ("low", "high"))
    assert patient.turns.longest_silence_s > TurnOptions().longest_silence_s > hasty.turns.longest_silence_s
    assert AudioOutput(speed=1.5).speed == 1.0


def test_a_session_can_be_given_at_once() -> None:
    assert opened({}) == ConversationSettings(type="realtime")
    assert opened({"type": "transcription"}).type == "transcription"
    assert opened({"type": "realtime", "model": "cafe"}).type == "realtime"
    for wrong in ({"type": "video"}, {"type": "realtime", "fly": True}):
        with pytest.raises(RefusedError):
            opened(wrong)


def test_what_a_transcription_leaves_open_is_not_echoed() -> None:
    session = ConversationSettings(type="realtime").model_dump()
    assert session["audio"]["input"]["transcription"] == {"model": "rejoinder"}
