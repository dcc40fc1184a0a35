"""Tests of the Riva services over gRPC, with NVIDIA's own client."""

import asyncio
import io
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

import grpc
import numpy as np
import pytest
import riva.client
import soundfile
from grpc import StatusCode
from numpy.typing import NDArray
from riva.client.proto import health_pb2, riva_asr_pb2, riva_asr_pb2_grpc, riva_nlp_pb2, riva_tts_pb2

from rejoinder.audio import SAMPLE_RATE, resample, to_int16, to_mulaw
from rejoinder.errors import SettingsError
from rejoinder.events import Samples, Understanding
from rejoinder.serve.calls import Calls
from rejoinder.serve.riva.door import serve_riva
from rejoinder.serve.security import Keys, add_key
from rejoinder.serve.settings import Settings
from rejoinder.vad import CHUNK_S, CHUNK_SAMPLES
from tests.fakes import FakeRecognizer, FakeUnderstander, FakeVad, fake_pipeline, meanings, silence, speak
from tests.serve.realtime.serving import FakeAssistant, SureRecognizer

ENCODING = riva.client.AudioEncoding


@pytest.fixture
def recognizer() -> FakeRecognizer:
    return FakeRecognizer()


@pytest.fixture
def calls(recognizer: FakeRecognizer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    vad = FakeVad()

    def loud(samples: Samples) -> NDArray[np.float32]:
        chunks = samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
        return np.array([vad(chunk) for chunk in chunks], np.float32)

    monkeypatch.setattr("rejoinder.assistant.probabilities", loud)
    monkeypatch.setattr("rejoinder.assistant.PRE_ROLL_S", 6 * CHUNK_S)
    wifi = Understanding("wifi", confidence=0.8, source="knowledge", answer="It is free.")
    understander = FakeUnderstander({**meanings(), "is there wifi": wifi})
    assistant = FakeAssistant(fake_pipeline(recognizer=recognizer, understander=understander))
    yield Calls(assistant, Settings(max_sessions=2))
    assistant.close()


@asynccontextmanager
async def connected(calls: Calls, *, key: str | None = None) -> AsyncIterator[riva.client.Auth]:
    async with serve_riva(calls, "127.0.0.1", 0) as port:
        metadata = [["authorization", f"Bearer {key}"]] if key else None
        auth = riva.client.Auth(uri=f"127.0.0.1:{port}", metadata_args=metadata)
        try:
            yield auth
        finally:
            auth.channel.close()


async def refused(call: Callable[[], Any]) -> tuple[StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(call)
    error: Any = caught.value
    return error.code(), error.details()


def config(**fields: Any) -> Any:
    return riva.client.RecognitionConfig(
        **{"encoding": ENCODING.LINEAR_PCM, "sample_rate_hertz": SAMPLE_RATE, "language_code": "en-US", **fields}
    )


def pcm(samples: Samples) -> bytes:
    return to_int16(samples).astype("<i2").tobytes()


def file(samples: Samples, kind: str, *, subtype: str | None = None) -> bytes:
    written = io.BytesIO()
    soundfile.write(written, samples, SAMPLE_RATE, format=kind, subtype=subtype)
    return written.getvalue()


def pieces(data: bytes, n_bytes: int) -> Iterator[bytes]:
    return (data[at : at + n_bytes] for at in range(0, len(data), n_bytes))


SAID = np.concatenate([silence(0.3), speak("a large latte"), silence(2.0), speak("when are you open"), silence(0.2)])


def transcribe(
    auth: riva.client.Auth, data: bytes, settings: Any, *, interim: bool = False, n_bytes: int = 3200
) -> list[Any]:
    service = riva.client.ASRService(auth)
    streaming = riva.client.StreamingRecognitionConfig(config=settings, interim_results=interim)
    responses = service.streaming_response_generator(pieces(data, n_bytes), streaming)
    return [result for response in responses for result in response.results]


async def test_a_stream_has_a_final_result_for_each_utterance(calls: Calls) -> None:
    async with connected(calls) as auth:
        results = await asyncio.to_thread(transcribe, auth, pcm(SAID), config())
        with_interim = await asyncio.to_thread(partial(transcribe, interim=True), auth, pcm(SAID), config())
    assert all(result.is_final for result in results)
    assert [result.alternatives[0].transcript for result in results] == ["a large latte", "when are you open"]
    assert results[0].alternatives[0].confidence == pytest.approx(0.9)
    assert 0 < results[0].audio_processed < results[1].audio_processed
    finals = [result.alternatives[0].transcript for result in with_interim if result.is_final]
    assert finals == ["a large latte", "when are you open"]
    assert "a large" in [result.alternatives[0].transcript for result in with_interim if not result.is_final]
    assert calls.admission.n_inside == 0


async def test_a_wav_file_is_streamed_as_it_is(calls: Calls) -> None:
    wav = file(SAID, "WAV", subtype="PCM_16")
    async with connected(calls) as auth:
        results = await asyncio.to_thread(transcribe, auth, wav, config(sample_rate_hertz=0))
        assert [result.alternatives[0].transcript for result in results] == ["a large latte", "when are you open"]
        code, _ = await refused(lambda: transcribe(auth, wav, config(encoding=ENCODING.MULAW)))
        assert code is StatusCode.INVALID_ARGUMENT
        code, _ = await refused(lambda: transcribe(auth, b"RIFF" + bytes(100), config()))
        assert code is StatusCode.INVALID_ARGUMENT
        code, details = await refused(lambda: transcribe(auth, wav, config(sample_rate_hertz=8_000)))
        assert (code, "16000" in details) == (StatusCode.INVALID_ARGUMENT, True)


@pytest.mark.parametrize("recognizer", [SureRecognizer(words="when are you open")])
async def test_a_wav_file_in_mu_law_is_streamed_as_it_is(calls: Calls) -> None:
    wav = file(SAID, "WAV", subtype="ULAW")
    async with connected(calls) as auth:
        results = await asyncio.to_thread(transcribe, auth, wav, config(encoding=ENCODING.MULAW))
    assert {result.alternatives[0].transcript for result in results} == {"when are you open"}


async def test_a_header_may_come_in_pieces(calls: Calls) -> None:
    wav = file(SAID[:SAMPLE_RATE], "WAV", subtype="PCM_16")
    async with connected(calls) as auth:
        results = await asyncio.to_thread(partial(transcribe, n_bytes=30), auth, wav, config())
        tiny = await asyncio.to_thread(partial(transcribe, n_bytes=3), auth, wav[:120], config())
    assert [result.alternatives[0].transcript for result in results] == ["a large latte"]
    assert tiny == []


async def test_phrases_of_the_client_are_expected(calls: Calls, recognizer: FakeRecognizer) -> None:
    settings = config()
    riva.client.add_word_boosting_to_config(settings, ["flat white"], 40.0)
    async with connected(calls) as auth:
        await asyncio.to_thread(transcribe, auth, pcm(SAID), settings)
        service = riva.client.ASRService(auth)
        await asyncio.to_thread(service.offline_recognize, pcm(SAID), settings)
        riva.client.add_word_boosting_to_config(settings, ["x" * 101], 4.0)
        code, _ = await refused(lambda: service.offline_recognize(pcm(SAID), settings))
        assert code is StatusCode.INVALID_ARGUMENT
    assert recognizer.biases
    for bias in recognizer.biases:
        assert {phrase.text: phrase.boost for phrase in getattr(bias, "phrases", ())} == {"flat white": 2.0}


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (pcm(SAID), {}),
        (file(SAID, "WAV", subtype="PCM_16"), {"sample_rate_hertz": 0}),
        (file(SAID, "FLAC"), {"encoding": ENCODING.FLAC}),
    ],
)
async def test_a_recording_is_recognized_stretch_by_stretch(
    calls: Calls, data: bytes, fields: Mapping[str, Any]
) -> None:
    async with connected(calls) as auth:
        service = riva.client.ASRService(auth)
        response = await asyncio.to_thread(service.offline_recognize, data, config(**fields))
    assert " ".join(result.alternatives[0].transcript for result in response.results) == (
        "a large latte when are you open"
    )


@pytest.mark.parametrize("recognizer", [SureRecognizer(words="when are you open")])
@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (
            to_mulaw(resample(SAID, SAMPLE_RATE, 8_000)).tobytes(),
            {"encoding": ENCODING.MULAW, "sample_rate_hertz": 8_000},
        ),
        (file(SAID, "OGG", subtype="OPUS"), {"encoding": ENCODING.OGGOPUS}),
        (pcm(np.repeat(SAID, 2)), {"audio_channel_count": 2}),
    ],
)
async def test_other_encodings_are_read(calls: Calls, data: bytes, fields: Mapping[str, Any]) -> None:
    async with connected(calls) as auth:
        service = riva.client.ASRService(auth)
        response = await asyncio.to_thread(service.offline_recognize, data, config(**fields))
    assert response.results[0].alternatives[0].transcript == "when are you open"


@pytest.mark.parametrize(
    "fields",
    [
        {"sample_rate_hertz": 0},
        {"sample_rate_hertz": 100},
        {"encoding": ENCODING.ENCODING_UNSPECIFIED},
        {"language_code": "ja-JP"},
        {"audio_channel_count": 99},
        {"encoding": ENCODING.FLAC},
        {"enable_separate_recognition_per_channel": True},
    ],
)
async def test_a_wrong_configuration_is_refused(calls: Calls, fields: Mapping[str, Any]) -> None:
    async with connected(calls) as auth:
        service = riva.client.ASRService(auth)
        code, _ = await refused(lambda: service.offline_recognize(pcm(SAID), config(**fields)))
        assert code is StatusCode.INVALID_ARGUMENT
        code, _ = await refused(lambda: transcribe(auth, pcm(SAID), config(**fields)))
        assert code is StatusCode.INVALID_ARGUMENT
    assert calls.admission.n_inside == 0


async def test_a_stream_begins_with_its_configuration(calls: Calls) -> None:
    request = riva_asr_pb2.StreamingRecognizeRequest
    settings = request(streaming_config=riva.client.StreamingRecognitionConfig(config=config()))
    async with connected(calls) as auth:
        stub = riva_asr_pb2_grpc.RivaSpeechRecognitionStub(auth.channel)
        code, _ = await refused(lambda: list(stub.StreamingRecognize(iter([request(audio_content=b"12")]))))
        assert code is StatusCode.INVALID_ARGUMENT
        code, _ = await refused(lambda: list(stub.StreamingRecognize(iter([settings, settings]))))
        assert code is StatusCode.INVALID_ARGUMENT
        assert await asyncio.to_thread(lambda: list(stub.StreamingRecognize(iter([settings])))) == []


async def test_text_is_spoken_at_the_rate_that_is_asked_for(calls: Calls) -> None:
    async with connected(calls) as auth:
        service = riva.client.SpeechSynthesisService(auth)
        whole = await asyncio.to_thread(partial(service.synthesize, "two words, and more", sample_rate_hz=16_000))
        assert len(whole.audio) == 2 * 4 * 16_000 * 3 // 10
        mulaw = partial(service.synthesize, "two words", sample_rate_hz=8_000, encoding=ENCODING.MULAW)
        assert len((await asyncio.to_thread(mulaw)).audio) == 2 * 8_000 * 3 // 10
        texts = ["One sentence here.", "And another."]
        responses = await asyncio.to_thread(lambda: list(service.synthesize_online(texts, sample_rate_hz=24_000)))
        assert sum(len(response.audio) for response in responses) == 2 * 5 * 24_000 * 3 // 10
        assert [response.meta.text for response in responses if response.meta.text] == texts


@pytest.mark.parametrize(
    "fields",
    [{"sample_rate_hz": 1}, {"language_code": "ja-JP"}, {"encoding": ENCODING.FLAC}, {"text": "<speak/>"}],
)
async def test_speech_that_cannot_be_had_is_refused(calls: Calls, fields: Mapping[str, Any]) -> None:
    async with connected(calls) as auth:
        service = riva.client.SpeechSynthesisService(auth)
        code, _ = await refused(lambda: service.synthesize(**{"text": "hello", **fields}))
        assert code is StatusCode.INVALID_ARGUMENT
        code, _ = await refused(lambda: list(service.synthesize_online(**{"text": "hello", **fields})))
        assert code is StatusCode.INVALID_ARGUMENT


async def test_what_is_meant_is_told(calls: Calls) -> None:
    async with connected(calls) as auth:
        service = riva.client.NLPService(auth)
        response = await asyncio.to_thread(service.analyze_intent, "a large latte")
        assert (response.intent.class_name, response.domain_str) == ("order", "cafe")
        assert response.intent.score == pytest.approx(0.95)
        slots = {slot.label[0].class_name: (slot.token, slot.span[0].start) for slot in response.slots}
        assert slots == {"drink": ("latte", 8), "size": ("large", 2)}
        response = await asyncio.to_thread(service.analyze_intent, "who knows")
        assert response.intent.class_name == "out_of_scope"
        response = await asyncio.to_thread(service.natural_query, "is there wifi", "")
        assert [result.answer for result in response.results] == ["It is free."]
        assert not (await asyncio.to_thread(service.natural_query, "who knows", "")).results
        code, _ = await refused(lambda: service.natural_query("is there wifi", "Some text."))
        assert code is StatusCode.INVALID_ARGUMENT
        code, _ = await refused(lambda: service.analyze_intent(" "))
        assert code is StatusCode.INVALID_ARGUMENT
        code, _ = await refused(lambda: service.classify_text("hello", "any"))
        assert code is StatusCode.UNIMPLEMENTED


async def test_the_models_are_told(calls: Calls) -> None:
    async with connected(calls) as auth:
        hearing = riva.client.ASRService(auth).stub.GetRivaSpeechRecognitionConfig
        heard = await asyncio.to_thread(hearing, riva_asr_pb2.RivaSpeechRecognitionConfigRequest())
        speaking = riva.client.SpeechSynthesisService(auth).stub.GetRivaSynthesisConfig
        spoken = await asyncio.to_thread(speaking, riva_tts_pb2.RivaSynthesisConfigRequest(model_name="another"))
        meaning = riva.client.NLPService(auth).stub.GetRivaNLPConfig
        meant = await asyncio.to_thread(meaning, riva_nlp_pb2.RivaNLPConfigRequest(model_name="cafe"))
    assert [model.model_name for model in heard.model_config] == ["cafe"]
    assert heard.model_config[0].parameters["language_code"] == "en"
    assert not spoken.model_config
    assert meant.model_config[0].parameters["intents"] == "order,hours"


async def test_a_key_is_asked_for(calls: Calls, tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    key = add_key(path, "kiosk")
    locked = Calls(calls.assistant, Settings(keys=path), keys=Keys.load(path))
    async with connected(locked) as auth:
        code, details = await refused(lambda: riva.client.NLPService(auth).analyze_intent("a latte"))
        assert (code, "Bearer" in details) == (StatusCode.UNAUTHENTICATED, True)
        code, _ = await refused(lambda: transcribe(auth, pcm(SAID), config()))
        assert code is StatusCode.UNAUTHENTICATED
        service = riva.client.SpeechSynthesisService(auth)
        code, _ = await refused(lambda: list(service.synthesize_online("hello")))
        assert code is StatusCode.UNAUTHENTICATED
    async with connected(locked, key="rj-wrong") as auth:
        code, _ = await refused(lambda: riva.client.NLPService(auth).analyze_intent("a latte"))
        assert code is StatusCode.UNAUTHENTICATED
    async with connected(locked, key=key) as auth:
        response = await asyncio.to_thread(riva.client.NLPService(auth).analyze_intent, "a latte")
        assert response.intent.class_name == "order"


@pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed; type: apt-get install openssl")
async def test_with_a_certificate_the_server_speaks_tls(calls: Calls, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    secure = Calls(calls.assistant, Settings(tls_certificate=certificate, tls_key=key))
    async with serve_riva(secure, "127.0.0.1", 0) as port:
        auth = riva.client.Auth(ssl_root_cert=certificate, use_ssl=True, uri=f"localhost:{port}")
        response = await asyncio.to_thread(riva.client.NLPService(auth).analyze_intent, "a latte")
        auth.channel.close()
    assert response.intent.class_name == "order"


def health(auth: riva.client.Auth, service: str = "") -> Any:
    request, response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    check = auth.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    return check(request(service=service)).status


async def test_one_call_too_many_is_asked_to_come_back(calls: Calls) -> None:
    async with connected(calls) as auth:
        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert await asyncio.to_thread(health, auth, "nvidia.riva.asr.RivaSpeechRecognition") == serving
        with calls.answer("test"), calls.answer("test"):
            assert await asyncio.to_thread(health, auth) == not_serving
            code, _ = await refused(lambda: transcribe(auth, pcm(SAID), config()))
            assert code is StatusCode.UNAVAILABLE
        code, _ = await refused(lambda: health(auth, "another"))
        assert code is StatusCode.NOT_FOUND


async def test_failures_do_not_quote_what_was_said(calls: Calls, recognizer: FakeRecognizer) -> None:
    recognizer.fail = lambda _: True
    async with connected(calls) as auth:
        service = riva.client.ASRService(auth)
        for call in (
            lambda: service.offline_recognize(pcm(SAID), config()),
            lambda: transcribe(auth, pcm(speak("a large latte with everything")), config()),
        ):
            code, details = await refused(call)
            assert code is StatusCode.INTERNAL
            assert "the words that were said" not in details


async def test_a_client_that_vanishes_frees_everything(calls: Calls) -> None:
    here = threading.Event()

    def requests() -> Iterator[Any]:
        streaming = riva.client.StreamingRecognitionConfig(config=config(), interim_results=True)
        yield riva_asr_pb2.StreamingRecognizeRequest(streaming_config=streaming)
        yield riva_asr_pb2.StreamingRecognizeRequest(audio_content=pcm(SAID[: 2 * SAMPLE_RATE]))
        here.wait()

    async with connected(calls) as auth:
        stub = riva_asr_pb2_grpc.RivaSpeechRecognitionStub(auth.channel)
        stream = stub.StreamingRecognize(requests())
        await asyncio.to_thread(next, stream)
        assert calls.admission.n_inside == 1
        stream.cancel()
        here.set()
        async with asyncio.timeout(10):
            while calls.admission.n_inside:
                await asyncio.sleep(0.01)


async def test_a_client_that_does_not_read_frees_everything(calls: Calls) -> None:
    impatient = Calls(calls.assistant, Settings(body_timeout_s=0.2))
    async with connected(impatient) as auth:
        service = riva.client.SpeechSynthesisService(auth)
        unread = await asyncio.to_thread(service.synthesize_online, ["word " * 800] * 4)
        await asyncio.to_thread(next, unread)
        assert impatient.admission.n_inside == 1
        async with asyncio.timeout(10):
            while impatient.admission.n_inside:
                await asyncio.sleep(0.01)
        code, _ = await refused(lambda: list(unread))
        assert code is StatusCode.DEADLINE_EXCEEDED


async def test_a_port_that_is_taken_is_an_error_that_says_so(calls: Calls) -> None:
    async with serve_riva(calls, "127.0.0.1", 0) as port:
        with pytest.raises(SettingsError, match=str(port)):
            async with serve_riva(calls, "127.0.0.1", port):
                pass
