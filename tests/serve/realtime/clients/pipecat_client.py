# mypy: ignore-errors
"""Pipecat's realtime service orders a latte, interrupts, runs the tool, and prints what it was told as JSON.

python pipecat_client.py ws://…/v1/realtime order.pcm yes.pcm, with pipecat-ai[openai]
"""

import asyncio
import json
import sys
from pathlib import Path

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

N_FRAME = 480  # 20 ms at 24 kHz
told = {"arguments": None, "interrupted": False, "said": [], "errors": []}
rest = b""


class Watch(FrameProcessor):
    """Notes what comes out of the service; agrees 0.9 s into the reply to the order."""

    def __init__(self, yes: bytes, done: asyncio.Event) -> None:
        super().__init__()
        self._yes = yes
        self._done = done
        self._agreeing = None

    async def process_frame(self, frame, direction) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame) and self._agreeing is not None:
            told["interrupted"] = True
        elif isinstance(frame, ErrorFrame):
            told["errors"].append(str(frame.error))
        elif isinstance(frame, TTSTextFrame):
            told["said"].append(frame.text)
            if "Latte" in frame.text:
                self._agreeing = asyncio.create_task(self._agree())
            if "77" in frame.text:
                self._done.set()
        await self.push_frame(frame, direction)

    async def _agree(self) -> None:
        global rest
        await asyncio.sleep(0.9)  # any sooner, and it would be the rest of the order
        rest = self._yes


async def main(url: str, order: Path, yes: Path) -> None:
    global rest
    done = asyncio.Event()
    size = {"type": ["string", "null"]}
    tool = FunctionSchema("place_order", "Places an order.", {"drink": {"type": "string"}, "size": size}, ["drink"])
    properties = events.SessionProperties()
    llm = OpenAIRealtimeLLMService(
        api_key="sk-test",
        base_url=url,
        settings=OpenAIRealtimeLLMService.Settings(session_properties=properties),
    )

    async def place_order(call) -> None:
        told["arguments"] = dict(call.arguments)
        await call.result_callback({"number": 77})

    llm.register_function("place_order", place_order)
    context = LLMContext([], tools=ToolsSchema([tool]))
    pair = LLMContextAggregatorPair(context)
    pipeline = Pipeline([pair.user(), llm, Watch(yes.read_bytes(), done), pair.assistant()])
    task = PipelineTask(pipeline, params=PipelineParams(audio_in_sample_rate=24_000, audio_out_sample_rate=24_000))

    async def speak() -> None:
        global rest
        await task.queue_frame(LLMContextFrame(context))  # has the service send its session, and be greeted
        await asyncio.sleep(1.5)
        rest = order.read_bytes()
        while True:
            piece, rest = rest[: 2 * N_FRAME], rest[2 * N_FRAME :]
            await task.queue_frame(InputAudioRawFrame(piece.ljust(2 * N_FRAME, b"\0"), 24_000, 1))
            await asyncio.sleep(0.02)

    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    speaking = asyncio.create_task(speak())
    try:
        await asyncio.wait_for(done.wait(), 90)
    except TimeoutError:
        told["errors"].append("took too long")
    speaking.cancel()
    print(json.dumps(told), flush=True)
    await task.cancel()
    await running


logger.remove()
logger.add(sys.stderr, level="ERROR")
asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
