"""A session that only writes down what it hears: what the doors for speech recognition share."""

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np

from rejoinder.asr.biasing import bias_phrases
from rejoinder.asr.recognizer import BiasPhrase
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AudioError
from rejoinder.events import PartialTranscript, Samples, SessionEnded, SpeechStarted, StageFailed, TurnEnded
from rejoinder.serve.calls import Call
from rejoinder.serve.realtime.listening import listening
from rejoinder.session import SessionOptions

AHEAD_S = 1.0
"""A client that sends audio so much faster than anyone speaks waits for its words to be worked on."""


class UnheardError(Exception):
    """Recognition failed or took too long, so that words are missing."""


@dataclass(frozen=True, slots=True)
class DictationOptions:
    """How to write down."""

    longest_s: float
    """Audio that is taken."""
    reopens: bool = True
    """Whether a final text may be taken back, and come again with what was said soon after it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said in one utterance: so far, or in the end."""

    text: str
    at_s: float
    """Up to where the audio was heard."""
    is_final: bool = False
    n_stable: int = 0
    """Words at the beginning that will not change any more."""
    confidence: float = 0.0
    continues: bool = False
    """For a final text: it replaces the final text before, with whose words it begins."""


class Dictation:
    """What one caller says, utterance by utterance. Use it with `async with`."""

    def __init__(self, call: Call, options: DictationOptions) -> None:
        self._domain = call.assistant.domain
        self._options = options
        live = SessionOptions(idle_s=math.inf, n_idle_prompts=sys.maxsize)
        if not options.reopens:  # a turn that ends too soon cannot be put right, so that more silence has to end it
            patient = replace(live.turns, least_silence_s=live.turns.least_unfinished_silence_s)
            live = replace(live, turns=patient, reopen_s=-1.0)
        self._silence_s = max(live.turns.longest_silence_s, live.turns.longest_unfinished_silence_s) + 0.1
        self._session = call.session(options=live, pipeline=listening(call.assistant.pipeline))
        self._fed_s = 0.0
        self._began_s = asyncio.get_running_loop().time()

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, trace)

    async def expect(self, phrases: Sequence[BiasPhrase]) -> None:
        """Expect these phrases besides the domain's own."""
        await self._session.set_bias((*bias_phrases(self._domain), *phrases))

    async def feed(self, samples: Samples) -> None:
        """Take float32 of shape (n_samples,) at `SAMPLE_RATE`; raises `AudioError` when it is too much in all."""
        self._fed_s += len(samples) / SAMPLE_RATE
        if self._fed_s > self._options.longest_s:
            raise AudioError(f"more than {self._options.longest_s:g} s of audio; cut it into pieces first")
        await self._session.feed(samples)
        if self._fed_s > asyncio.get_running_loop().time() - self._began_s + AHEAD_S:
            await self._session.settle()

    async def finish(self) -> None:
        """No more audio comes: work out what was said to the end, and end `results`."""
        # What ends every utterance is silence.
        await self._session.feed(np.zeros(round(self._silence_s * SAMPLE_RATE), np.float32))
        await self._session.settle()
        await self.close()

    async def close(self) -> None:
        """End `results` as they are; what is being worked on is dropped."""
        await self._session.close()

    async def results(self) -> AsyncIterator[Heard]:
        """What is heard, until `finish` is done; raises `UnheardError` when words are missing."""
        failed = False
        async for event in self._session.events():
            match event:
                case SpeechStarted():
                    failed = False
                case PartialTranscript(text, n_stable, at_s):
                    failed = False
                    yield Heard(text, at_s, n_stable=n_stable)
                case StageFailed(stage="recognition"):
                    failed = True
                case TurnEnded(text="") if failed:
                    raise UnheardError("recognition failed; the server's log says where")
                case TurnEnded(text, confidence, _, at_s, continues=continues) if text:
                    yield Heard(text, at_s, is_final=True, confidence=confidence, continues=continues)
                case SessionEnded():
                    return
