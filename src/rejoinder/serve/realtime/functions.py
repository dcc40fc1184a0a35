"""Function calling: a client that offers a tool with the name of one of the domain's actions runs that action itself.

The dialogue decides when, and with which arguments; the client's output fills the reply, as the result of the domain's
own action would. Tools with other names are never called, and actions without a tool run on the server.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rejoinder.actions import ActionRunner
from rejoinder.domain import Action, Domain, Intent
from rejoinder.domain.templates import needs
from rejoinder.errors import ActionError
from rejoinder.pipeline import Draft, Pipeline
from rejoinder.serve.realtime.protocol import ConversationSettings, TranscriptionSettings

ANSWER_S = 12.0
"""Added to an action's `timeout_s` where a client runs it; less than what a session adds before it gives up."""

RESULT = "result"
"""What an output that is no JSON object is called in templates: "Your order number is {result}."."""

_NO = frozenset({"no", "false"})


def offered(
    settings: ConversationSettings | TranscriptionSettings, domain: Domain
) -> Mapping[str, Mapping[str, Any] | None]:
    """The tools that match an action, each with the JSON schema of its parameters, if it has one."""
    if not isinstance(settings, ConversationSettings) or settings.tool_choice == "none":
        return {}
    actions = {intent.action.name for intent in domain.intents.values() if intent.action is not None}
    functions: dict[str, Mapping[str, Any] | None] = {}
    for tool in settings.tools or ():
        name, schema = tool.get("name"), tool.get("parameters")
        if tool.get("type") == "function" and name in actions:
            functions[name] = schema if isinstance(schema, dict) else None
    return functions


def arguments(slots: Mapping[str, str], schema: Mapping[str, Any] | None) -> str:
    """A call's arguments as JSON: the slots that the schema knows, in the types that it asks for.

    What it requires and nobody said is null. Without a schema, all slots go as text.
    """
    properties = schema.get("properties") if schema else None
    if schema is None or not isinstance(properties, dict):
        return json.dumps(dict(slots))
    given = {name: _typed(value, properties[name]) for name, value in slots.items() if name in properties}
    required = schema.get("required")
    absent = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    return json.dumps({**dict.fromkeys(absent), **given})


def _typed(value: str, schema: object) -> object:
    kind = schema.get("type") if isinstance(schema, dict) else None
    kinds = kind if isinstance(kind, list) else [kind]
    if "boolean" in kinds:
        return value.lower() not in _NO
    try:
        if "integer" in kinds:
            return int(value)
        if "number" in kinds:
            return float(value)
    except ValueError:
        pass  # "half a dozen": the client sees what was said
    return value


def values(output: str, intent: Intent | None, slots: Mapping[str, str]) -> Mapping[str, str]:
    """What a client's output puts into templates; raises `ActionError` for one that tells of a failure.

    It is a JSON object of names to text, numbers and truth values; nested values are left out, anything else is the
    value of `RESULT`. An object with `error`, and an output that lacks what every reply needs, tell of a failure.
    """
    try:
        result = json.loads(output)
    except (ValueError, RecursionError):
        result = output
    if not isinstance(result, dict):
        result = {RESULT: result}
    if result.get("error"):
        raise ActionError("the client's function failed")
    shown = {name: _shown(value) for name, value in result.items() if isinstance(value, str | int | float)}
    known = {name for name, value in {**slots, **shown}.items() if value}
    replies = intent.replies if intent is not None else ()
    if replies and not any(needs(template) <= known for template in replies):
        raise ActionError("the client's function did not return what the reply needs")
    return shown


def _shown(value: str | float) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class CallingPipeline(Pipeline):
    """The same stages, for a client that runs some of the actions."""

    functions: frozenset[str] = frozenset()
    ask: Callable[[Draft], str] = lambda _: ""
    """Has the client run the action of a committed draft, and waits for its output; raises `ActionError`."""

    def finish(self, draft: Draft) -> tuple[Draft, bool]:
        """As `Pipeline.finish`, but the client's functions come before the domain's."""
        if draft.reply.action is None or draft.reply.action.name not in self.functions:
            return Pipeline.finish(self, draft)
        intent = self.domain.intents.get(draft.reply.intent or "")
        return Pipeline.finish(replace(self, actions=_Client(partial(self.ask, draft), intent)), draft)


class _Client(ActionRunner):
    """Stands in for the domain's actions during one of them."""

    def __init__(self, ask: Callable[[], str], intent: Intent | None) -> None:
        super().__init__({})
        self._ask = ask
        self._intent = intent

    def run(self, action: Action, slots: Mapping[str, str]) -> Mapping[str, str]:  # noqa: ARG002
        return values(self._ask(), self._intent, slots)


def calling(pipeline: Pipeline, functions: frozenset[str], ask: Callable[[Draft], str]) -> Pipeline:
    """The stages with the client's functions put before the domain's actions."""
    if not functions:
        return pipeline
    stages = {name: getattr(pipeline, name) for name in Pipeline.__slots__}
    return CallingPipeline(**stages, functions=functions, ask=ask)
