"""An assistant that is measured does nothing: two hundred recorded orders must not be two hundred orders."""

from collections.abc import Mapping
from dataclasses import replace

from rejoinder.actions import ActionRunner
from rejoinder.assistant import Assistant
from rejoinder.domain import Action


class Rehearsal(ActionRunner):
    """The functions that replies are worked out with are those of the domain; its actions do nothing and return it."""

    def run(self, action: Action, slots: Mapping[str, str]) -> Mapping[str, str]:  # noqa: ARG002
        """Nothing: what an action would have returned is missing from the reply."""
        return {}


def rehearsed(assistant: Assistant) -> Assistant:
    """The same assistant, whose actions are only rehearsed."""
    return Assistant(replace(assistant.pipeline, actions=Rehearsal.load(assistant.domain)))
