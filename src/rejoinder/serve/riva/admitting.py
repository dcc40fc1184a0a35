"""What every call of a Riva service passes: key, rate, room; and errors as gRPC's clients read them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeAlias

from grpc import StatusCode

from rejoinder.errors import AudioError
from rejoinder.serve.calls import Call, Calls
from rejoinder.serve.dictation import UnheardError
from rejoinder.serve.metrics import places
from rejoinder.serve.security import RateLimit, RefusedError, authorize

Context: TypeAlias = Any
"""gRPC's own, of the call under way; its package has no types."""

IDLE_S = 60.0
"""How long a client may send nothing when it has not ended its stream."""

_CODES: Mapping[int, StatusCode] = {
    401: StatusCode.UNAUTHENTICATED,
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
}

logger = logging.getLogger(__name__)


class BadRequestError(Exception):
    """A request that cannot be answered as it is; its message is for the client."""


class Admitting:
    """Lets calls of the services in, and tells clients what went wrong."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self._rate = RateLimit(calls.settings.requests_per_minute)

    @asynccontextmanager
    async def request(self, context: Context) -> AsyncIterator[None]:
        """A request that takes room for as long as the block runs, and is no live call."""
        async with self._answered(context):
            self._owner(context)
            with self.calls.admission.enter():
                yield

    @asynccontextmanager
    async def call(self, context: Context) -> AsyncIterator[Call]:
        """A live call, which lasts as long as the block."""
        async with self._answered(context):
            answering: AbstractContextManager[Call] = self.calls.answer("riva", owner=self._owner(context))
            with answering as call:
                yield call

    def _owner(self, context: Context) -> str | None:
        headers = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        address = context.peer().rpartition(":")[0]
        try:
            owner = authorize(headers, keys=self.calls.keys)
        except RefusedError:
            self._rate.take(address)
            raise
        self._rate.take(owner or address)
        return owner

    @asynccontextmanager
    async def _answered(self, context: Context) -> AsyncIterator[None]:
        try:
            yield
        except RefusedError as refused:
            self.calls.metrics.refused(refused.code)
            await context.abort(_CODES.get(refused.status, StatusCode.PERMISSION_DENIED), refused.message)
        except (AudioError, BadRequestError) as error:
            await context.abort(StatusCode.INVALID_ARGUMENT, str(error))
        except TimeoutError:
            await context.abort(StatusCode.DEADLINE_EXCEEDED, "this took too long")
        except UnheardError as error:
            await context.abort(StatusCode.INTERNAL, str(error))
        except Exception as error:  # its message may quote what was said
            logger.error("riva: a request failed", extra={"error": type(error).__name__, "at": places(error)})
            await context.abort(StatusCode.INTERNAL, "the server failed at this request; its log says where")

    async def send(self, context: Context, response: Any) -> None:
        """Send one message of a stream; raises `TimeoutError` for a client that does not read."""
        async with asyncio.timeout(self.calls.settings.body_timeout_s):
            await context.write(response)


async def next_message(messages: AsyncIterator[Any]) -> Any | None:
    """The next message of a stream, or None at its end; raises `TimeoutError` for a client that sends nothing."""
    async with asyncio.timeout(IDLE_S):
        return await anext(messages, None)


def check_language(code: str, spoken: str) -> None:
    """Raise `BadRequestError` for a language that the domain does not speak; an empty code is the domain's own."""
    if code and code.split("-")[0].lower() != spoken.split("-")[0].lower():
        raise BadRequestError(f"language_code: only '{spoken}' is spoken here")
