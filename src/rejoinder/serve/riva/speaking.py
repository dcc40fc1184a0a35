"""Riva's speech synthesis: whole texts, and texts that come one after the other."""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from riva.client.proto import riva_tts_pb2 as messages
from riva.client.proto.riva_audio_pb2 import AudioEncoding

from rejoinder.audio import frames, resample, to_alaw, to_int16, to_mulaw
from rejoinder.events import Samples
from rejoinder.serve.riva.admitting import Admitting, BadRequestError, Context, check_language, next_message
from rejoinder.serve.speaking import spoken

LEAST_RATE, MOST_RATE = 8_000, 48_000

MOST_CHARS = 4_096
"""Longest text of one request."""

PIECE_S = 0.5
"""Audio in one message of a stream, at most."""

_ENCODERS: Mapping[int, Callable[[Samples], bytes]] = {
    AudioEncoding.LINEAR_PCM: lambda samples: to_int16(samples).astype("<i2").tobytes(),
    AudioEncoding.MULAW: lambda samples: to_mulaw(samples).tobytes(),
    AudioEncoding.ALAW: lambda samples: to_alaw(samples).tobytes(),
}


class Speaking:
    """The methods of `RivaSpeechSynthesis`."""

    def __init__(self, admitting: Admitting) -> None:
        self._admitting = admitting
        self._assistant = admitting.calls.assistant

    async def synthesize(self, request: Any, context: Context) -> Any:
        """All of a text at once."""
        async with self._admitting.request(context):
            audio = b"".join([piece async for piece in self._pieces(request)])
            return messages.SynthesizeSpeechResponse(audio=audio, meta=_meta(request), id=request.id)

    async def stream(self, requests: AsyncIterator[Any], context: Context) -> None:
        """Text after text, each clause by clause."""
        async with self._admitting.request(context):
            requests = aiter(requests)
            while (request := await next_message(requests)) is not None:
                meta = _meta(request)
                async for piece in self._pieces(request):
                    response = messages.SynthesizeSpeechResponse(audio=piece, meta=meta, id=request.id)
                    await self._admitting.send(context, response)
                    meta = None

    async def config(self, request: Any, context: Context) -> Any:
        """The one voice, as the model `request.model_name` or any."""
        async with self._admitting.request(context):
            domain = self._assistant.domain
            parameters = {
                "language_code": domain.language,
                "sample_rate": str(self._assistant.pipeline.synthesizer.sample_rate),
                "voice_name": domain.models.voice,
            }
            model = messages.RivaSynthesisConfigResponse.Config(model_name=domain.name, parameters=parameters)
            known = [model] if request.model_name in ("", domain.name) else []
            return messages.RivaSynthesisConfigResponse(model_config=known)

    async def _pieces(self, request: Any) -> AsyncIterator[bytes]:
        """The audio without a header, at the rate that is asked for; the voice's own where none is."""
        encode = _ENCODERS.get(request.encoding or AudioEncoding.LINEAR_PCM)
        calls, own_rate = self._admitting.calls, self._assistant.pipeline.synthesizer.sample_rate
        rate = request.sample_rate_hz or own_rate
        check_language(request.language_code, self._assistant.domain.language)
        if encode is None:
            raise BadRequestError("encoding: LINEAR_PCM, MULAW and ALAW can be written")
        if not LEAST_RATE <= rate <= MOST_RATE:
            raise BadRequestError(f"sample_rate_hz: must be {LEAST_RATE} to {MOST_RATE}, not {rate}")
        if request.HasField("zero_shot_data"):
            raise BadRequestError("zero_shot_data: there is one voice, which is adapted with 'rejoinder adapt'")
        if len(request.text) > MOST_CHARS:
            raise BadRequestError(f"text: more than {MOST_CHARS} characters")
        if request.text.lstrip().startswith("<speak"):
            raise BadRequestError("text: only plain text is spoken here, no SSML")
        async for samples in spoken(calls, request.text):
            # Each clause begins and ends in silence, so that resampling it alone leaves no click.
            resampling = partial(resample, samples, own_rate, rate)
            timeout_s = calls.settings.stage_timeout_s
            if rate != own_rate:
                samples = await self._assistant.workers.run(resampling, timeout_s=timeout_s)
            for piece in frames(samples, round(PIECE_S * rate)):
                yield encode(piece)


def _meta(request: Any) -> Any:
    return messages.SynthesizeSpeechResponseMetadata(text=request.text, processed_text=request.text)
