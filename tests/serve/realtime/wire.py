"""Holds server events against the models of OpenAI's own SDK."""

from collections import Counter
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel

from rejoinder.serve.realtime.protocol import ServerEvent

MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(RealtimeServerEvent)[0])
}


def check(event: ServerEvent) -> None:
    """Fail unless the SDK knows this event, takes each of its values, and all fields of its own are there."""
    model = MODELS[event["type"]]
    known = model.model_validate(event, strict=True)
    assert not known.model_extra, f"{event['type']}: the SDK does not know {set(known.model_extra or {})}"
    assert event["event_id"]


def check_all(events: list[ServerEvent]) -> None:
    """The same for many, each with an id of its own."""
    for event in events:
        check(event)
    assert max(Counter(event["event_id"] for event in events).values(), default=1) == 1


def kinds(events: list[ServerEvent]) -> list[str]:
    """Their types, runs of the same one once."""
    names = [event["type"] for event in events]
    return [name for n, name in enumerate(names) if n == 0 or names[n - 1] != name]


def the(kind: str, events: list[ServerEvent]) -> Any:
    """The only event of a type."""
    (event,) = [event for event in events if event["type"] == kind]
    return event
