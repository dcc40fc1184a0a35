"""OpenAI's own client against a server on this machine, and what no client of theirs would send."""

import base64
import json
import wave
from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import openai
import pytest
import soundfile
from openai import OpenAI

from benchmarks.corpus import CAFE, cafe
from rejoinder.assistant import Assistant, AssistantOptions
from rejoinder.audio import SAMPLE_RATE
from rejoinder.serve.app import create_app
from rejoinder.serve.audio_formats import FORMATS
from rejoinder.serve.settings import Settings
from rejoinder.text import normalize
from tests.fakes import FakeActions, FakeRecognizer, FakeSynthesizer, silence, speak
from tests.serve.live import serving

Stages = tuple[FakeRecognizer, FakeSynthesizer, FakeActions]
SETTINGS = Settings(max_body_mb=2, max_audio_s=28, requests_per_minute=100_000)


def recording(text: str = "a large latte") -> bytes:
    file = BytesIO()
    samples = np.concatenate([silence(0.5), speak(text), silence(0.7)])
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.fixture(scope="module")
def url(fake_assistant: Assistant) -> Iterator[str]:
    with serving(create_app(fake_assistant, SETTINGS), SETTINGS) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as client:
        yield client


def error_of(response: httpx.Response) -> dict[str, str | None]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error, dict)
    return error


# Models.


def test_the_one_model_is_the_domain(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["cafe"]
    assert client.models.retrieve("cafe").owned_by == "rejoinder"
    with pytest.raises(openai.NotFoundError, match="known: cafe"):
        client.models.retrieve("gpt-4o")


# Transcriptions.


def test_a_recording_is_transcribed(client: OpenAI) -> None:
    heard = client.audio.transcriptions.create(file=("q.wav", recording()), model="whisper-1", language="en")
    assert heard.text == "a large latte"


def test_text_and_subtitles(http: httpx.Client) -> None:
    said = {"file": ("q.wav", recording("a latte ... ... ... when are you open"))}
    kinds = {}
    for kind in ("text", "srt", "vtt"):
        response = http.post("/v1/audio/transcriptions", files=said, data={"model": "x", "response_format": kind})
        kinds[kind] = response.text
    assert kinds["text"] == "a latte when are you open\n"
    assert kinds["srt"].startswith("1\n00:00:00,")
    assert " --> 00:00:0" in kinds["srt"]
    assert kinds["vtt"].startswith("WEBVTT\n\n00:00:00.")


def test_verbose_json_has_all_that_whispers_has(client: OpenAI) -> None:
    heard = client.audio.transcriptions.create(
        file=("q.wav", recording()),
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["segment"],
    )
    assert heard.duration == pytest.approx(1.85, abs=0.1)
    assert heard.language == "en"
    assert heard.segments is not None
    (segment,) = heard.segments
    assert segment.text == "a large latte"
    assert 0 <= segment.start < segment.end <= heard.duration
    assert len(segment.model_dump()) == 10
    assert None not in segment.model_dump().values()


def test_a_transcript_streams_stretch_by_stretch(client: OpenAI) -> None:
    far_apart = "a latte " + "... " * 50 + "when are you open"
    stream = client.audio.transcriptions.create(file=("q.wav", recording(far_apart)), model="x", stream=True)
    events = list(stream)
    assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert events[-1].type == "transcript.text.done"
    assert deltas == events[-1].text == "a latte when are you open"


def test_silence_has_no_words(client: OpenAI) -> None:
    assert client.audio.transcriptions.create(file=("q.wav", recording("...")), model="x").text == ""


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"file": b""}, "file"),
        ({"file": b"this is no audio at all"}, "file"),
        ({"file": recording("... " * 56)}, "file"),
        ({"response_format": "docx"}, "response_format"),
        ({"model": ""}, "model"),
        ({"language": "fr"}, "language"),
        ({"stream": "true", "response_format": "srt"}, "response_format"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities[][0]"),
        ({"include[]": "logprobs"}, "include[]"),
    ],
)
def test_a_wrong_form_is_said_where(http: httpx.Client, change: dict[str, str | bytes], param: str) -> None:
    form = {"model": "x", **change}
    file = form.pop("file", recording())
    response = http.post("/v1/audio/transcriptions", files={"file": ("a.wav", file)}, data=form)
    assert response.status_code == 400
    assert error_of(response)["param"] == param
    assert error_of(response)["type"] == "invalid_request_error"


def test_a_form_without_a_file(http: httpx.Client) -> None:
    response = http.post("/v1/audio/transcriptions", data={"model": "x"})
    assert (response.status_code, error_of(response)["param"]) == (400, "file")
    response = http.post("/v1/audio/transcriptions", data={"model": "x", "file": "/etc/passwd"})
    assert (response.status_code, error_of(response)["param"]) == (400, "file")


def test_a_huge_body_is_refused_whether_it_says_so_or_not(http: httpx.Client) -> None:
    huge = bytes(3_000_000)
    response = http.post("/v1/audio/transcriptions", files={"file": ("a.wav", huge)}, data={"model": "x"})
    assert (response.status_code, error_of(response)["type"]) == (413, "invalid_request_error")

    def pieces() -> Iterator[bytes]:
        for n in range(0, len(huge), 65_536):
            yield huge[n : n + 65_536]

    response = http.post("/v1/chat/completions", content=pieces(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert "2 MB" in str(error_of(response)["message"])


# Speech.


@pytest.mark.parametrize("name", FORMATS)
def test_speech_in_each_format(client: OpenAI, name: str) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="alloy",
        input="From seven to six, every day.",
        response_format=name,  # type: ignore[arg-type]  # each of them is one of the client's
    ) as response:
        data = response.read()
        assert response.headers["content-type"] == FORMATS[name].media_type
        assert response.headers["x-request-id"].startswith("req_")
    n_samples = len(data) // 2 if name == "pcm" else len(soundfile.read(BytesIO(data))[0])
    assert n_samples / 24_000 == pytest.approx(6 * 0.3, abs=0.1)  # as the fake voice speaks


def test_speech_as_events(http: httpx.Client) -> None:
    asked = {
        "model": "x",
        "voice": "ash",
        "input": "One, two, three.",
        "response_format": "pcm",
        "stream_format": "sse",
    }
    with http.stream("POST", "/v1/audio/speech", json=asked) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in response.iter_lines() if line]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * 3 + ["speech.audio.done"]
    assert sum(len(base64.b64decode(event["audio"])) for event in events[:-1]) == 3 * 2 * 7_200
    assert events[-1]["usage"]["input_tokens"] == 3


def test_a_wav_says_how_long_it_is(client: OpenAI) -> None:
    data = client.audio.speech.create(model="x", voice="nova", input="One two", response_format="wav").read()
    with wave.open(BytesIO(data)) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (24_000, 14_400, 1)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"response_format": "aac"}, "response_format"),
        ({"response_format": "exe"}, "response_format"),
        ({"voice": "darth"}, "voice"),
        ({"voice": {"id": "darth"}}, "voice"),
        ({"input": ""}, "input"),
        ({"input": "  "}, "input"),
        ({"input": "a" * 5_000}, "input"),
        ({"speed": 9}, "speed"),
        ({"speed": 2.0}, "speed"),  # the fake voice has no other
        ({"sped": 1}, "sped"),
    ],
)
def test_wrong_speech_is_said_where(http: httpx.Client, change: dict[str, object], param: str) -> None:
    response = http.post("/v1/audio/speech", json={"model": "x", "voice": "ash", "input": "Hello", **change})
    assert response.status_code == 400
    assert error_of(response)["param"] == param


def test_a_voice_that_fails_says_nothing_of_what_was_said(http: httpx.Client, stages: Stages) -> None:
    stages[1].fail = True
    try:
        for name in ("pcm", "wav"):
            asked = {"model": "x", "input": "A secret", "response_format": name}
            response = http.post("/v1/audio/speech", json=asked)
            assert (response.status_code, error_of(response)["type"]) == (500, "server_error")
            assert "no voice" not in response.text
        asked = {"model": "x", "input": "A secret", "response_format": "pcm", "stream_format": "sse"}
        with http.stream("POST", "/v1/audio/speech", json=asked) as response:
            lines = response.iter_lines()
            assert "error" in json.loads(next(lines)[6:])
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
    finally:
        stages[1].fail = False
    assert http.post("/v1/audio/speech", json={"model": "x", "input": "A secret"}).status_code == 200


# Chat.


def test_a_question_is_answered(client: OpenAI) -> None:
    said = client.chat.completions.create(model="cafe", messages=[{"role": "user", "content": "when are you open"}])
    assert said.choices[0].message.content == "From seven to six, every day of the week."
    assert said.choices[0].finish_reason == "stop"
    assert said.usage is not None
    assert said.usage.total_tokens == 4 + 9


def test_the_history_is_the_memory_and_an_action_runs_once(client: OpenAI, stages: Stages) -> None:
    actions = stages[2]
    actions.ran.clear()
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "system", "content": "You are a pirate."}]
    replies = []
    for text in ("a large latte", "yes", "when are you open"):
        messages.append({"role": "user", "content": [{"type": "text", "text": text}]})
        said = client.chat.completions.create(model="cafe", messages=messages, temperature=0.2, max_tokens=100)
        replies.append(said.choices[0].message.content)
        messages.append({"role": "assistant", "content": replies[-1]})
    assert replies == [
        "Large latte, shall I order it?",
        "Your order number is 12.",
        "From seven to six, every day of the week.",
    ]
    assert [name for name, _ in actions.ran] == ["place_order"]


def test_an_answer_streams(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="cafe",
        messages=[{"role": "user", "content": "when are you open"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "From seven to six, every day of the week."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "a" * 5_000}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
    ],
)
def test_wrong_chats_are_said_where(http: httpx.Client, change: dict[str, object], param: str) -> None:
    asked = {"model": "x", "messages": [{"role": "user", "content": "when are you open"}], **change}
    response = http.post("/v1/chat/completions", json=asked)
    assert response.status_code == 400
    assert error_of(response)["param"] == param


def test_what_is_no_json_and_what_is_nowhere(http: httpx.Client) -> None:
    response = http.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})
    assert (response.status_code, error_of(response)["message"]) == (400, "the body is not JSON that can be read")
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/audio/speech", 405)):
        response = http.request(method, path)
        assert response.status_code == status
        assert error_of(response)["message"]


def test_the_schema_shows_the_form_and_the_errors(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    post = schema["paths"]["/v1/audio/transcriptions"]["post"]
    assert set(post["requestBody"]["content"]) == {"multipart/form-data"}
    assert "4XX" in post["responses"]
    assert "422" not in post["responses"]


# The real models.


@pytest.mark.model
def test_a_real_customer_is_heard_answered_and_spoken_to() -> None:
    loaded = Assistant.load(CAFE, options=AssistantOptions(cache=False))
    order = cafe()[0]
    file = BytesIO()
    soundfile.write(file, order.samples, SAMPLE_RATE, format="FLAC")
    with serving(create_app(loaded)) as url, OpenAI(api_key="none", base_url=f"{url}/v1") as client:
        heard = client.audio.transcriptions.create(file=("order.flac", file.getvalue()), model="whisper-1").text
        assert heard
        said = client.chat.completions.create(
            model="x", messages=[{"role": "user", "content": "what time do you open"}]
        )
        text = said.choices[0].message.content
        assert text
        lengths = {}
        for speed in (1.0, 2.0):
            data = client.audio.speech.create(
                model="x", voice="sage", input=text, response_format="wav", speed=speed
            ).read()
            lengths[speed] = len(soundfile.read(BytesIO(data))[0])
        assert lengths[2.0] < 0.75 * lengths[1.0]
        spoken = client.audio.speech.create(model="x", voice="sage", input=text, response_format="opus").read()
        again = client.audio.transcriptions.create(file=("reply.ogg", spoken), model="whisper-1").text
        assert len(set(normalize(text)) & set(normalize(again))) >= 0.5 * len(set(normalize(text)))
