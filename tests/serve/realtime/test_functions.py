"""Function calling: which tools are called, with which arguments, and what comes of their output."""

import json
from typing import Any

import pytest

from rejoinder.domain import Intent
from rejoinder.errors import ActionError
from rejoinder.serve.realtime.functions import arguments, offered, values
from rejoinder.serve.realtime.protocol import ConversationSettings, TranscriptionSettings
from tests.fakes import FakeActions, fake_pipeline, order_domain, silence
from tests.serve.realtime.serving import Client, FakeAssistant, SureRecognizer, connected, serving
from tests.serve.realtime.test_endpoint import HELLO, say
from tests.serve.realtime.wire import kinds, the

SCHEMA = {
    "type": "object",
    "properties": {"drink": {"type": "string"}, "size": {"type": ["string", "null"]}},
    "required": ["drink", "size"],
}
TOOL = {"type": "function", "name": "place_order", "description": "Places an order.", "parameters": SCHEMA}


def settings(**fields: Any) -> ConversationSettings:
    return ConversationSettings.model_validate({"type": "realtime", **fields})


def test_only_tools_named_like_an_action_are_called() -> None:
    domain = order_domain()
    tools = [TOOL, {"type": "function", "name": "get_weather"}, {"type": "mcp", "name": "place_order"}]
    assert offered(settings(tools=tools), domain) == {"place_order": SCHEMA}
    assert offered(settings(tools=tools, tool_choice="none"), domain) == {}
    assert offered(settings(tools=None), domain) == {}
    assert offered(TranscriptionSettings(type="transcription"), domain) == {}


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        ("string", "2", "2"),
        ("integer", "2", 2),
        (["number", "null"], "2.5", 2.5),
        ("integer", "a dozen", "a dozen"),
        ("boolean", "yes", True),
        ("boolean", "no", False),
    ],
)
def test_arguments_have_the_types_that_the_schema_asks_for(kind: Any, value: str, sent: object) -> None:
    schema = {"properties": {"n": {"type": kind}}}
    assert json.loads(arguments({"n": value, "unknown": "x"}, schema)) == {"n": sent}


def test_what_is_required_and_was_not_said_is_null() -> None:
    assert json.loads(arguments({"drink": "latte"}, SCHEMA)) == {"drink": "latte", "size": None}
    assert json.loads(arguments({"drink": "latte"}, None)) == {"drink": "latte"}


def test_an_output_becomes_the_values_of_the_reply() -> None:
    order = order_domain().intents["order"]
    output = json.dumps({"number": 12, "paid": True, "items": [1], "note": None})
    assert values(output, order, {}) == {"number": "12", "paid": "yes"}
    said = Intent("say", replies=("It says {result}.",))
    assert values("done", said, {}) == {"result": "done"}


@pytest.mark.parametrize("output", ["done", '{"error": "sold out"}', '{"order": 12}', "[]", "[" * 100_000])
def test_an_output_that_cannot_be_said_is_a_failure(output: str) -> None:
    with pytest.raises(ActionError):
        values(output, order_domain().intents["order"], {"drink": "latte"})


def ordering(actions: FakeActions) -> FakeAssistant:
    return FakeAssistant(fake_pipeline(recognizer=SureRecognizer(words="yes"), actions=actions))


async def order(client: Client, **session: Any) -> dict[str, Any]:
    """Type an order and confirm it by voice: the item of the function call."""
    await client.send("session.update", session={"type": "realtime", "tools": [TOOL], **session})
    content = [{"type": "input_text", "text": "a latte"}]
    await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await client.send("response.create")
    await client.until("response.done")
    await say(client, silence(5.0))
    client.events.clear()
    await say(client, HELLO, silence(1.5))
    done = await client.until("response.done")
    (item,) = done["response"]["output"]
    return dict(item)


async def answer(client: Client, call_id: str, output: str) -> None:
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    await client.send("conversation.item.create", item=item)
    await client.send("response.create", response={"metadata": {"client_event_id": "e9"}})


async def test_the_client_runs_the_action_and_its_output_fills_the_reply() -> None:
    assistant = ordering(actions := FakeActions())
    async with serving(assistant) as port, connected(port) as client:
        item = await order(client)
        assert (item["type"], item["name"], item["status"]) == ("function_call", "place_order", "completed")
        assert json.loads(item["arguments"]) == {"drink": "latte", "size": None}
        assert kinds(client.events)[-8:] == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        assert kinds(client.events).index("conversation.item.input_audio_transcription.completed") < 8
        await client.send("response.create")
        assert (await client.refused())[0] == "conversation_already_has_active_response"
        await answer(client, item["call_id"], '{"number": 77}')
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"][0]["transcript"] == "Your order number is 77."
        assert done["metadata"] == {"client_event_id": "e9"}
        assert done["status"] == "completed"
    assert actions.ran == []
    assistant.close()


async def test_in_text_the_call_is_the_response_that_was_asked_for() -> None:
    assistant = ordering(FakeActions())
    async with serving(assistant) as port, connected(port) as client:
        await client.send(
            "session.update", session={"type": "realtime", "tools": [TOOL], "output_modalities": ["text"]}
        )
        for text in ("a latte", "yes"):
            client.events.clear()
            content = [{"type": "input_text", "text": text}]
            await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
            await client.send("response.create")
            done = await client.until("response.done")
        assert the("response.created", client.events)["response"]["id"] == done["response"]["id"]
        await answer(client, done["response"]["output"][0]["call_id"], "sorry, sold out")
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["text"] == "Sorry, that did not work just now."
    assistant.close()


async def test_without_its_tool_the_server_runs_the_action() -> None:
    assistant = ordering(actions := FakeActions())
    async with serving(assistant) as port, connected(port) as client:
        item = await order(client, tool_choice="none")
        assert item["content"][0]["transcript"] == "Your order number is 12."
    assert [name for name, _ in actions.ran] == ["place_order"]
    assistant.close()


async def test_a_client_that_never_returns_holds_nothing_up() -> None:
    assistant = ordering(FakeActions())
    async with serving(assistant) as port:
        async with connected(port) as client:
            await order(client)
            client.socket.transport.abort()
        await assistant.sessions[-1].close()
        async with connected(port) as client:
            await order(client)
            await client.send("session.update", session={"type": "realtime", "tools": []})
            await client.until("session.updated")
    assistant.close()
