"""Riva's speech recognition: whole recordings, and streams with interim results."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import soundfile
from riva.client.proto import riva_asr_pb2 as messages
from riva.client.proto.riva_audio_pb2 import AudioEncoding

from rejoinder.asr.biasing import bias_phrases
from rejoinder.asr.recognizer import BiasPhrase
from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AudioError
from rejoinder.events import Samples
from rejoinder.serve.audio_formats import decode
from rejoinder.serve.dictation import Dictation, DictationOptions, Heard
from rejoinder.serve.raw_audio import Coding, RawFormat, RawStream
from rejoinder.serve.riva.admitting import Admitting, BadRequestError, Context, check_language, next_message
from rejoinder.serve.transcribing import segments

LONGEST_STREAM_S = 3_600.0
"""Audio of one stream."""

BOOST_UNIT = 20.0
"""Riva's boost that counts as one of ours: NVIDIA recommends 20 to 100, and an unset one is as good as 20."""

MOST_BOOST = 3.0
"""Of ours; above it, phrases are heard where nobody said them."""

MOST_PHRASES = 500
LONGEST_PHRASE = 100

_RAW: Mapping[int, Coding] = {
    AudioEncoding.LINEAR_PCM: Coding.INT16,
    AudioEncoding.MULAW: Coding.MULAW,
    AudioEncoding.ALAW: Coding.ALAW,
}
_FILES: Mapping[int, str] = {AudioEncoding.FLAC: "FLAC", AudioEncoding.OGGOPUS: "OGG"}
_WAV_KINDS: Mapping[int, int] = {1: AudioEncoding.LINEAR_PCM, 6: AudioEncoding.ALAW, 7: AudioEncoding.MULAW}
_LONGEST_WAV_HEADER = 4_096


class Hearing:
    """The methods of `RivaSpeechRecognition`."""

    def __init__(self, admitting: Admitting) -> None:
        self._admitting = admitting
        self._assistant = admitting.calls.assistant
        self._settings = admitting.calls.settings

    async def recognize(self, request: Any, context: Context) -> Any:
        """A whole recording: a result for each stretch of speech."""
        async with self._admitting.request(context):
            config = request.config
            self._check(config)
            timeout_s, workers = self._settings.stage_timeout_s, self._assistant.workers
            reading = partial(_read, request.audio, config, self._settings.max_audio_s)
            samples = await workers.run(reading, timeout_s=timeout_s)
            assistant = self._assistant
            if phrases := _phrases(config.speech_contexts):
                pipeline, expected = assistant.pipeline, (*bias_phrases(assistant.domain), *phrases)
                compiling = partial(pipeline.recognizer.compile_bias, expected)
                bias = await workers.run(compiling, timeout_s=timeout_s)
                assistant = Assistant(replace(pipeline, bias=bias), workers)
            metrics = self._admitting.calls.metrics
            heard = segments(assistant, samples, timeout_s=timeout_s, metrics=metrics)
            results = [
                messages.SpeechRecognitionResult(
                    alternatives=[self._alternative(segment.text, segment.confidence)],
                    channel_tag=1,
                    audio_processed=segment.end_s,
                )
                async for segment in heard
            ]
            return messages.RecognizeResponse(results=results, id=request.id)

    async def stream(self, requests: AsyncIterator[Any], context: Context) -> None:
        """A live caller: interim results if asked for, and a final one at the end of each utterance."""
        async with self._admitting.call(context) as call:
            requests = aiter(requests)
            first = await next_message(requests)
            if first is None or not first.HasField("streaming_config"):
                raise BadRequestError("the first message of a stream must hold its streaming_config")
            config = first.streaming_config.config
            self._check(config)
            incoming = _Incoming(requests, config)
            phrases = _phrases(config.speech_contexts)
            async with Dictation(call, DictationOptions(longest_s=LONGEST_STREAM_S, reopens=False)) as dictation:
                if phrases:
                    await dictation.expect(phrases)
                feeding = asyncio.create_task(_feed(incoming, dictation))
                try:
                    async for heard in dictation.results():
                        if heard.is_final or first.streaming_config.interim_results:
                            result = self._streamed(heard)
                            response = messages.StreamingRecognizeResponse(results=[result], id=first.id)
                            await self._admitting.send(context, response)
                    await feeding
                finally:
                    feeding.cancel()
                    await asyncio.gather(feeding, return_exceptions=True)

    async def config(self, request: Any, context: Context) -> Any:
        """The one recognizer, as the model `request.model_name` or any."""
        async with self._admitting.request(context):
            domain = self._assistant.domain
            parameters = {
                "language_code": domain.language,
                "sample_rate": str(SAMPLE_RATE),
                "type": "online",
                "streaming": "True",
            }
            model = messages.RivaSpeechRecognitionConfigResponse.Config(model_name=domain.name, parameters=parameters)
            known = [model] if request.model_name in ("", domain.name) else []
            return messages.RivaSpeechRecognitionConfigResponse(model_config=known)

    def _check(self, config: Any) -> None:
        check_language(config.language_code, self._assistant.domain.language)
        if config.enable_separate_recognition_per_channel:
            raise BadRequestError("enable_separate_recognition_per_channel: channels are averaged here")
        if config.diarization_config.enable_speaker_diarization:
            raise BadRequestError("diarization_config: speakers are not told apart here")

    def _streamed(self, heard: Heard) -> Any:
        n_words = len(heard.text.split())
        return messages.StreamingRecognitionResult(
            alternatives=[self._alternative(heard.text, heard.confidence)],
            is_final=heard.is_final,
            stability=1.0 if heard.is_final else min(heard.n_stable / n_words, 0.9) if n_words else 0.0,
            channel_tag=1,
            audio_processed=heard.at_s,
        )

    def _alternative(self, text: str, confidence: float) -> Any:
        """One hypothesis. Its words stay empty: the recognizer does not know when each was said."""
        language = self._assistant.domain.language
        return messages.SpeechRecognitionAlternative(transcript=text, confidence=confidence, language_code=[language])


class _Incoming:
    """The audio of a stream, whose beginning may be the header of a WAV file: many clients send files as they are."""

    def __init__(self, requests: AsyncIterator[Any], config: Any) -> None:
        self._requests = requests
        self._config = config
        if config.encoding in _FILES:
            name = AudioEncoding.Name(config.encoding)
            raise BadRequestError(f"{name} cannot be streamed here; send LINEAR_PCM, MULAW or ALAW, or use Recognize")

    async def pieces(self) -> AsyncIterator[Samples]:
        """Float32 of shape (n_samples,) at `SAMPLE_RATE`, piece by piece."""
        stream: RawStream | None = None
        begun = b""
        async for data in self._data():
            if stream is None:
                begun += data
                if not _is_whole(begun):
                    continue
                stream, data = _begin(begun, self._config)
            for piece in stream.pieces(data):
                yield piece
        if stream is not None:
            yield stream.rest()
        elif begun.startswith(b"RIFF"):
            raise AudioError("the stream ended within the header of a WAV file")

    async def _data(self) -> AsyncIterator[bytes]:
        while (request := await next_message(self._requests)) is not None:
            if request.HasField("streaming_config"):
                raise BadRequestError("only the first message of a stream may hold a streaming_config")
            yield request.audio_content


async def _feed(incoming: _Incoming, dictation: Dictation) -> None:
    """All of a stream's audio. Whatever happens, the results end."""
    try:
        async for piece in incoming.pieces():
            await dictation.feed(piece)
        await dictation.finish()
    finally:
        await dictation.close()


def _is_whole(begun: bytes) -> bool:
    """Whether enough has come to know how the stream begins."""
    if len(begun) < len(b"RIFF"):
        return False
    return not begun.startswith(b"RIFF") or b"data" in begun[36:] or len(begun) >= _LONGEST_WAV_HEADER


def _begin(data: bytes, config: Any) -> tuple[RawStream, bytes]:
    """How to read a stream that begins with this, and what of it is audio."""
    if not data.startswith(b"RIFF"):
        return RawStream(_raw_format(config)), data
    kind, n_channels, n_bits = (int.from_bytes(data[at : at + 2], "little") for at in (20, 22, 34))
    rate = int.from_bytes(data[24:28], "little")
    encoding, audio = _WAV_KINDS.get(kind), data.find(b"data", 36)
    if data[8:16] != b"WAVEfmt " or audio < 0 or encoding is None or n_bits % 8:
        raise AudioError("this header of a WAV file cannot be read in a stream; use Recognize")
    if config.encoding not in (AudioEncoding.ENCODING_UNSPECIFIED, encoding):
        raise AudioError("encoding is not that of the WAV file")
    if config.sample_rate_hertz not in (0, rate):
        raise AudioError(f"sample_rate_hertz is {config.sample_rate_hertz}, but the file's own is {rate}")
    coding = Coding.of_width(n_bits // 8) if encoding == AudioEncoding.LINEAR_PCM else _RAW[encoding]
    return RawStream(RawFormat(rate, coding, n_channels)), data[audio + 8 :]


def _raw_format(config: Any) -> RawFormat:
    coding = _RAW.get(config.encoding)
    if coding is None:
        raise BadRequestError("encoding: must be LINEAR_PCM, FLAC, MULAW, ALAW or OGGOPUS")
    return RawFormat(config.sample_rate_hertz, coding, config.audio_channel_count or 1)


def _read(data: bytes, config: Any, longest_s: float) -> Samples:
    """A whole recording; raises `AudioError` where it is not what the configuration says."""
    if config.encoding in _FILES or data.startswith(b"RIFF"):
        return _read_file(data, config, longest_s)
    raw = _raw_format(config)
    if len(data) > longest_s * raw.rate * raw.n_frame_bytes:
        raise AudioError(f"the recording is longer than {longest_s:g} s; cut it into pieces first")
    if len(data) < raw.n_frame_bytes:
        raise AudioError("the recording holds no samples")
    stream = RawStream(raw)
    return np.concatenate([*stream.pieces(data), stream.rest()])


def _read_file(data: bytes, config: Any, longest_s: float) -> Samples:
    samples = decode(data, longest_s=longest_s)
    with soundfile.SoundFile(BytesIO(data)) as file:
        rate, container = int(file.samplerate), str(file.format)
    wanted = _FILES.get(config.encoding, "WAV")
    if not container.startswith(wanted):
        raise AudioError(f"encoding says {wanted}, but this is {container}")
    if config.sample_rate_hertz not in (0, rate) and container != "OGG":  # Opus has no rate of its own
        raise AudioError(f"sample_rate_hertz is {config.sample_rate_hertz}, but the file's own is {rate}")
    return samples


def _phrases(contexts: Sequence[Any]) -> tuple[BiasPhrase, ...]:
    """What the client expects to hear; phrases with a negative boost, which Riva plays down, are left out."""
    phrases = [
        BiasPhrase(phrase.strip(), min(context.boost / BOOST_UNIT if context.boost else 1.0, MOST_BOOST))
        for context in contexts
        for phrase in context.phrases
        if phrase.strip() and context.boost >= 0
    ]
    if len(phrases) > MOST_PHRASES or any(len(phrase.text) > LONGEST_PHRASE for phrase in phrases):
        raise BadRequestError(f"speech_contexts: {MOST_PHRASES} phrases of {LONGEST_PHRASE} characters at most")
    return tuple(phrases)
