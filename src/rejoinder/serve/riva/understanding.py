"""Riva's language understanding: intents with their slots, and answers from the domain's knowledge."""

from typing import Any

from riva.client.proto import riva_nlp_pb2 as messages

from rejoinder.dialogue import DialogueState
from rejoinder.events import Understanding
from rejoinder.serve.riva.admitting import Admitting, BadRequestError, Context, check_language

OUT_OF_SCOPE = "out_of_scope"
"""The intent of what the domain does not know."""

MOST_CHARS = 4_096
"""Longest query."""


class Meaning:
    """The methods of `RivaLanguageUnderstanding` that a domain has an answer to."""

    def __init__(self, admitting: Admitting) -> None:
        self._admitting = admitting
        self._assistant = admitting.calls.assistant

    async def analyze_intent(self, request: Any, context: Context) -> Any:
        """What is meant, with a token for each slot."""
        async with self._admitting.request(context):
            check_language(request.options.lang, self._assistant.domain.language)
            meant = await self._understand(request.query)
            score = meant.confidence
            slots = [
                messages.TokenClassValue(
                    token=value,
                    label=[messages.Classification(class_name=name, score=score)],
                    span=_spans(request.query, value),
                )
                for name, value in meant.slots.items()
            ]
            domain = self._assistant.domain.name
            return messages.AnalyzeIntentResponse(
                intent=messages.Classification(class_name=meant.intent or OUT_OF_SCOPE, score=score),
                slots=slots,
                domain_str=domain,
                domain=messages.Classification(class_name=domain, score=1.0),
                id=request.id,
            )

    async def natural_query(self, request: Any, context: Context) -> Any:
        """The answer that the knowledge has, or no result."""
        async with self._admitting.request(context):
            if request.context.strip():
                raise BadRequestError("context: answers come from the domain's knowledge; leave it empty")
            meant = await self._understand(request.query)
            results = []
            if meant.answer is not None:
                results.append(messages.NaturalQueryResult(answer=meant.answer, score=meant.confidence))
            return messages.NaturalQueryResponse(results=results, id=request.id)

    async def config(self, request: Any, context: Context) -> Any:
        """The one model, as `request.model_name` or any."""
        async with self._admitting.request(context):
            domain = self._assistant.domain
            parameters = {"language_code": domain.language, "intents": ",".join(domain.intents)}
            model = messages.RivaNLPConfigResponse.Config(model_name=domain.name, parameters=parameters)
            known = [model] if request.model_name in ("", domain.name) else []
            return messages.RivaNLPConfigResponse(model_config=known)

    async def _understand(self, query: str) -> Understanding:
        if not query.strip():
            raise BadRequestError("query is empty")
        if len(query) > MOST_CHARS:
            raise BadRequestError(f"query: more than {MOST_CHARS} characters")
        pipeline, timeout_s = self._assistant.pipeline, self._admitting.calls.settings.stage_timeout_s
        return await self._assistant.workers.run(
            lambda: pipeline.understand(query, DialogueState()), timeout_s=timeout_s
        )


def _spans(query: str, value: str) -> list[Any]:
    """Where a value stands in the query, from its first to its last character; nowhere if it was said otherwise."""
    start = query.casefold().find(value.casefold())
    return [messages.Span(start=start, end=start + len(value) - 1)] if start >= 0 else []
