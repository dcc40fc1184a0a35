# mypy: ignore-errors
"""LiveKit's OpenAI plugin orders a latte, interrupts, runs the tool, and prints what it was told as JSON.

python livekit_client.py http://…/v1 order.pcm yes.pcm, with livekit-plugins-openai
"""

import asyncio
import json
import sys
from pathlib import Path

from livekit import rtc
from livekit.agents import function_tool
from livekit.agents.llm import FunctionCallOutput
from livekit.agents.utils import http_context
from livekit.plugins import openai

N_FRAME = 480  # 20 ms at 24 kHz


@function_tool
async def place_order(drink: str, size: str | None) -> str:
    """Places an order."""
    return drink + str(size)


async def main(url: str, order: Path, yes: Path) -> None:
    told = {"arguments": None, "interrupted": False, "said": [], "errors": []}
    rest = bytes(14400) + order.read_bytes()
    done = asyncio.Event()
    tasks = set()
    model = openai.realtime.RealtimeModel(base_url=url, api_key="sk-test")
    session = model.session()

    async def agree() -> None:
        nonlocal rest
        await asyncio.sleep(0.9)  # any sooner, and it would be the rest of the order
        rest = yes.read_bytes()

    async def follow(generation) -> None:
        async for message in generation.message_stream:
            if not told["said"] and told["arguments"] is None:
                tasks.add(asyncio.create_task(agree()))
            text = "".join([part async for part in message.text_stream])
            told["said"].append(text)
            if "77" in text:
                done.set()

    async def run_tools(generation) -> None:
        async for call in generation.function_stream:
            told["arguments"] = json.loads(call.arguments)
            context = session.chat_ctx.copy()
            output = json.dumps({"number": 77})
            context.items.append(
                FunctionCallOutput(call_id=call.call_id, name=call.name, output=output, is_error=False)
            )
            await session.update_chat_ctx(context)
            await session.generate_reply()

    def on_generation(generation) -> None:
        tasks.add(asyncio.create_task(follow(generation)))
        tasks.add(asyncio.create_task(run_tools(generation)))

    session.on("generation_created", on_generation)
    session.on("error", lambda error: told["errors"].append(str(error)))
    session.on("input_speech_started", lambda _: told.update(interrupted=bool(told["said"] or tasks)))
    await session.update_tools([place_order])

    async def speak() -> None:
        nonlocal rest
        while True:
            piece, rest = rest[: 2 * N_FRAME], rest[2 * N_FRAME :]
            session.push_audio(rtc.AudioFrame(piece.ljust(2 * N_FRAME, b"\0"), 24_000, 1, N_FRAME))
            await asyncio.sleep(0.02)

    speaking = asyncio.create_task(speak())
    try:
        await asyncio.wait_for(done.wait(), 90)
    except TimeoutError:
        told["errors"].append("took too long")
    speaking.cancel()
    print(json.dumps(told), flush=True)
    await session.aclose()
    await model.aclose()
    await http_context._close_http_ctx()


async def with_http(*arguments) -> None:
    http_context._new_session_ctx()
    await main(*arguments)


asyncio.run(with_http(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
