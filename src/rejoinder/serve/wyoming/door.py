"""The Wyoming server: recognition, speech, intents and answers over TCP, one request at a time on a connection.

The protocol has no keys, so only trusted addresses may connect. A request that cannot be answered ends the connection
after an `error` event: Home Assistant waits for an answer for as long as the connection stands.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from rejoinder import text as words
from rejoinder.asr.recognizer import BiasPhrase, n_stable_words
from rejoinder.audio import frames, to_int16
from rejoinder.dialogue import DialogueState
from rejoinder.errors import AudioError
from rejoinder.serve.calls import Calls
from rejoinder.serve.dictation import Dictation, DictationOptions, UnheardError
from rejoinder.serve.metrics import places
from rejoinder.serve.raw_audio import Coding, RawFormat, RawStream
from rejoinder.serve.security import Admission, RefusedError
from rejoinder.serve.speaking import spoken
from rejoinder.serve.wyoming.conversing import Conversations, answer
from rejoinder.serve.wyoming.info import info
from rejoinder.serve.wyoming.wire import EventReader, WireError, WireEvent

IDLE_S = 300.0
"""How long a connection may stand without a request."""

LINGER_S = 2.0
"""How long a client that is sent away has to read why."""

N_CONNECTIONS_PER_CALL = 4
"""Connections for each call that the server takes; Home Assistant holds some without a request."""

MOST_CHARS = 4_096
"""Longest text to understand or to speak."""

MOST_PHRASES = 500
"""Names and terms that one transcription may expect."""

_READ_BYTES = 64 * 1024
_PIECE_S = 0.1  # of audio in one event

logger = logging.getLogger(__name__)


@asynccontextmanager
async def serve_wyoming(calls: Calls, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port. Raises `OSError` when the address cannot be had."""
    room = Admission(N_CONNECTIONS_PER_CALL * calls.settings.max_sessions, "connections")
    conversations = Conversations()
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await _Connection(calls, conversations, reader, writer).run(room)
        except asyncio.CancelledError:
            pass  # the server ends; asyncio would log it as an error
        finally:
            connections.discard(task)

    server = await asyncio.start_server(connected, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        ending = tuple(connections)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await server.wait_closed()


class _GoneError(Exception):
    """The client closed the connection, or was idle for too long."""


class _BadRequestError(Exception):
    """A request that makes no sense; its message is for the client."""


class _Connection:
    """One client."""

    def __init__(
        self,
        calls: Calls,
        conversations: Conversations,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._calls = calls
        self._conversations = conversations
        self._reader = reader
        self._writer = writer
        self._events = self._incoming()
        self._timeout_s = calls.settings.body_timeout_s
        self._state = DialogueState()
        """Of the conversation on this connection, for a client that does not name one."""

    async def run(self, room: Admission) -> None:
        """Until the client goes."""
        try:
            peer = self._writer.get_extra_info("peername") or ("gone already",)
            if not self._calls.trusts(peer[0]):
                raise RefusedError(403, "not_trusted", "this address is not trusted; the setting 'trusted' lists them")
            with room.enter():
                while True:
                    await self._answer(await self._next(IDLE_S))
        except (_GoneError, ConnectionError):
            pass
        except RefusedError as refused:
            self._calls.metrics.refused(refused.code)
            await self._send_away(refused.message, refused.code)
        except WireError as error:
            await self._send_away(str(error), "invalid_event")
        except AudioError as error:
            await self._send_away(str(error), "invalid_audio")
        except _BadRequestError as error:
            await self._send_away(str(error), "invalid_request")
        except UnheardError as error:
            await self._send_away(str(error), "recognition_failed")
        except TimeoutError:
            await self._send_away("this took too long", "timeout")
        except Exception as error:  # its message may quote what was said
            logger.error("wyoming: a request failed", extra={"error": type(error).__name__, "at": places(error)})
            await self._send_away("the server failed at this request; its log says where", "internal_error")
        finally:
            await self._events.aclose()
            self._writer.close()
            try:
                async with asyncio.timeout(LINGER_S):
                    await self._writer.wait_closed()
            except (ConnectionError, TimeoutError):
                self._writer.transport.abort()  # else what the client does not read would be kept for it

    async def _answer(self, event: WireEvent) -> None:
        """Answer a request. What belongs to none is ignored, as the protocol wants it."""
        match event.type:
            case "describe":
                await self._send(info(self._calls.assistant.domain))
            case "ping":
                await self._send(WireEvent("pong", {"text": event.data.get("text")}))
            case "transcribe":
                await self._transcribe(event)
            case "audio-start":  # older clients do not say that they want a transcript
                await self._hear(event, ())
            case "synthesize":
                await self._synthesize(event)
            case "synthesize-start":
                await self._synthesize_stream(event)
            case "recognize":
                await self._recognize(event)
            case "transcript":
                await self._converse(event)

    # Recognition.

    async def _transcribe(self, event: WireEvent) -> None:
        self._check_language(event.data)
        phrases = [*_texts(event.data, "transcript_names"), *_texts(event.data, "transcript_terms")]
        if len(phrases) > MOST_PHRASES:
            raise _BadRequestError(f"more than {MOST_PHRASES} names and terms")
        while (begun := await self._next(IDLE_S)).type != "audio-start":
            await self._answer(begun)
        await self._hear(begun, tuple(BiasPhrase(phrase) for phrase in phrases))

    async def _hear(self, begun: WireEvent, phrases: Sequence[BiasPhrase]) -> None:
        """Write down what comes until `audio-stop`."""
        stream = RawStream(_format(begun.data))
        options = DictationOptions(longest_s=self._calls.settings.max_audio_s)
        with self._calls.answer("wyoming") as call:
            async with Dictation(call, options) as dictation:
                if phrases:
                    await dictation.expect(phrases)
                telling = asyncio.create_task(self._tell_words(dictation))
                try:
                    while (event := await self._next()).type != "audio-stop":
                        if event.type != "audio-chunk":
                            continue
                        if _format(event.data) != stream.format:
                            raise _BadRequestError("an audio-chunk must have the format of its audio-start")
                        for piece in stream.pieces(event.payload):
                            await dictation.feed(piece)
                    await dictation.feed(stream.rest())
                    await dictation.finish()
                    text = await telling
                finally:
                    telling.cancel()
                    await asyncio.gather(telling, return_exceptions=True)
        language = self._calls.assistant.domain.language
        await self._send(WireEvent("transcript", {"text": text, "language": language}))
        await self._send(WireEvent("transcript-stop"))

    async def _tell_words(self, dictation: Dictation) -> str:
        """Send words as soon as they are stable, and return the whole text, in which some may stand otherwise."""
        await self._send(WireEvent("transcript-start", {"language": self._calls.assistant.domain.language}))
        finals: list[str] = []
        sent = ""
        async for heard in dictation.results():
            if heard.is_final and heard.continues and finals:
                finals.pop()
            # An utterance that is taken up again begins with the words of the final text before.
            resumes = finals and n_stable_words(finals[-1], heard.text) == len(finals[-1].split())
            before = finals[:-1] if resumes and not heard.is_final else finals
            stable = heard.text.split() if heard.is_final else heard.text.split()[: heard.n_stable]
            so_far = " ".join([*before, *stable])
            n_known = n_stable_words(sent, so_far)
            if n_known == len(sent.split()) and len(so_far.split()) > n_known:
                more = " ".join(so_far.split()[n_known:])
                await self._send(WireEvent("transcript-chunk", {"text": f" {more}" if sent else more}))
                sent = so_far
            if heard.is_final:
                finals.append(heard.text)
        return " ".join(finals)

    # Speech.

    async def _synthesize(self, event: WireEvent) -> None:
        self._check_voice(event.data)
        text = _text(event.data)
        with self._calls.answer("wyoming"):
            await self._send(self._audio_event("audio-start"))
            await self._speak(text)
            await self._send(WireEvent("audio-stop"))

    async def _synthesize_stream(self, event: WireEvent) -> None:
        """Speak a text that comes in pieces, clause by clause."""
        self._check_voice(event.data)
        clauses = words.ClauseStream()
        n_chars = 0
        with self._calls.answer("wyoming"):
            await self._send(self._audio_event("audio-start"))
            while (event := await self._next()).type != "synthesize-stop":
                if event.type != "synthesize-chunk":
                    continue  # above all the whole text as a plain `synthesize`, for servers that do not stream
                piece = _text(event.data)
                n_chars += len(piece)
                if n_chars > MOST_CHARS:
                    raise _BadRequestError(f"a text of more than {MOST_CHARS} characters")
                for clause in clauses.push(piece):
                    await self._speak(clause)
            for clause in clauses.flush():
                await self._speak(clause)
            await self._send(WireEvent("audio-stop"))
            await self._send(WireEvent("synthesize-stopped"))

    async def _speak(self, text: str) -> None:
        rate = self._calls.assistant.pipeline.synthesizer.sample_rate
        async for samples in spoken(self._calls, text):
            for piece in frames(samples, round(_PIECE_S * rate)):
                await self._send(self._audio_event("audio-chunk", to_int16(piece).astype("<i2").tobytes()))

    def _audio_event(self, kind: str, payload: bytes = b"") -> WireEvent:
        rate = self._calls.assistant.pipeline.synthesizer.sample_rate
        return WireEvent(kind, {"rate": rate, "width": 2, "channels": 1}, payload)

    # Understanding and answers.

    async def _recognize(self, event: WireEvent) -> None:
        """Say what is meant; nothing comes of it."""
        assistant, text = self._calls.assistant, _text(event.data)
        with self._calls.answer("wyoming"):
            meant = await assistant.workers.run(
                lambda: assistant.pipeline.understand(text, DialogueState()),
                timeout_s=self._calls.settings.stage_timeout_s,
            )
        if meant.intent is None:
            reply = meant.answer or assistant.domain.replies.out_of_scope[0]
            await self._send(WireEvent("not-recognized", {"text": reply, **_context(event.data)}))
            return
        entities = [{"name": name, "value": value} for name, value in meant.slots.items()]
        await self._send(WireEvent("intent", {"name": meant.intent, "entities": entities, **_context(event.data)}))

    async def _converse(self, event: WireEvent) -> None:
        """Answer a turn of a conversation, and do what it asks for."""
        self._check_language(event.data)
        context = _context(event.data)
        name = context.get("context", {}).get("conversation_id")
        text = _text(event.data)
        if not text.strip():
            await self._send(WireEvent("not-handled", context))
            return
        before = self._conversations.state(name) if isinstance(name, str) else self._state
        with self._calls.answer("wyoming") as call:
            async with asyncio.timeout(self._calls.settings.stage_timeout_s):
                reply = await answer(call, before, text)
        if isinstance(name, str):
            self._conversations.keep(name, reply.state)
        else:
            self._state = reply.state
        kind = "handled" if reply.understood else "not-handled"
        await self._send(WireEvent(kind, {"text": reply.text, **context}))

    # To and from the client.

    async def _incoming(self) -> AsyncGenerator[WireEvent, None]:
        parser = EventReader()
        while data := await self._reader.read(_READ_BYTES):
            for event in parser.feed(data):
                yield event
                await asyncio.sleep(0)  # other callers come in between, however much has arrived

    async def _next(self, timeout_s: float | None = None) -> WireEvent:
        """The next event. Between two requests, `timeout_s` is long, and nobody minds when it has passed."""
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                return await anext(self._events)
        except StopAsyncIteration:
            raise _GoneError from None
        except TimeoutError:
            if timeout_s is None:
                raise
            raise _GoneError from None

    async def _send(self, event: WireEvent) -> None:
        """Write an event; raises `TimeoutError` for a client that does not read."""
        self._writer.write(event.encode())
        async with asyncio.timeout(self._timeout_s):
            await self._writer.drain()

    async def _send_away(self, text: str, code: str) -> None:
        """Tell why and end. What the client still sends is read for a while: else it would not see the message."""
        logger.info("wyoming: a client was sent away", extra={"code": code})
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                self._writer.write(WireEvent("error", {"text": text, "code": code}).encode())
                await self._writer.drain()
                self._writer.write_eof()
                while await self._reader.read(_READ_BYTES):
                    pass

    def _check_language(self, data: Mapping[str, Any]) -> None:
        spoken, language = self._calls.assistant.domain.language, data.get("language")
        if isinstance(language, str) and language.split("-")[0].lower() != spoken.split("-")[0].lower():
            raise _BadRequestError(f"only '{spoken}' is spoken here")

    def _check_voice(self, data: Mapping[str, Any]) -> None:
        """There is one voice, whatever name is asked for."""
        if data.get("text_format") == "ssml":
            raise _BadRequestError("only plain text is spoken here, no SSML")
        voice = data.get("voice")
        if isinstance(voice, dict):
            self._check_language(voice)


def _text(data: Mapping[str, Any]) -> str:
    text = data.get("text")
    if not isinstance(text, str):
        raise _BadRequestError("text is missing")
    if len(text) > MOST_CHARS:
        raise _BadRequestError(f"a text of more than {MOST_CHARS} characters")
    return text


def _texts(data: Mapping[str, Any], name: str) -> Sequence[str]:
    texts = data.get(name) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) and len(text) <= 100 for text in texts):
        raise _BadRequestError(f"{name} must be a list of short texts")
    return [text for text in texts if text.strip()]


def _context(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the client sends along and wants back."""
    context = data.get("context")
    return {"context": context} if isinstance(context, dict) else {}


def _format(data: Mapping[str, Any]) -> RawFormat:
    rate, width, n_channels = (data.get(name) for name in ("rate", "width", "channels"))
    if not (type(rate) is int and type(width) is int and type(n_channels) is int):
        raise _BadRequestError("rate, width and channels of the audio must be whole numbers")
    return RawFormat(rate, Coding.of_width(width), n_channels)
