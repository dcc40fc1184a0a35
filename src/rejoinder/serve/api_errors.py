"""Errors as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rejoinder.serve.security import RefusedError

logger = logging.getLogger(__name__)

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every response that is no success."""

    error: ErrorDetail


RESPONSES: Mapping[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be answered as it is"},
    "5XX": {"model": ErrorBody, "description": "The server cannot answer now"},
}
"""For the OpenAPI schema of each route."""


class ApiError(Exception):
    """A request that is refused for what it asks."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The body of a response with this status."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return ErrorBody(error=ErrorDetail(message=message, type=kind, param=param, code=code)).model_dump()


def refusal(refused: RefusedError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of the response to what is not let in."""
    headers = {"Retry-After": str(refused.retry_after_s)} if refused.retry_after_s is not None else {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return refused.status, error_body(refused.status, refused.message, code=refused.code), headers


def failure(error: Exception) -> dict[str, Any]:
    """The body for a stage that failed. It does not quote the exception: that may hold what somebody else said."""
    if isinstance(error, TimeoutError):
        return error_body(503, "this took too long; try again", code="timeout")
    return error_body(500, "the server failed at this request; its log says where", code="internal_error")


def add_handlers(app: FastAPI) -> None:
    """Have every error that is no surprise answered in this form; the entrance answers the others."""

    @app.exception_handler(ApiError)
    async def wrong(_: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(error_body(error.status, error.message, param=error.param, code=error.code), error.status)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        status, body, headers = refusal(error)
        return JSONResponse(body, status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse(error_body(400, _sentence(first), param=_param(first["loc"]), code=first["type"]), 400)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(error_body(error.status_code, str(error.detail)), error.status_code, error.headers)

    @app.exception_handler(TimeoutError)
    async def slow(_: Request, error: TimeoutError) -> JSONResponse:
        return JSONResponse(failure(error), 503, {"Retry-After": "1"})


def _param(location: Sequence[int | str]) -> str | None:
    """`("body", "messages", 0, "content")` as `messages[0].content`."""
    name = ""
    for part in location[1:]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or None


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return "the body is not JSON that can be read"
    param = _param(error["loc"]) or "the body"
    if error["type"] == "extra_forbidden":
        return f"{param}: there is no such parameter here"
    if error["type"] == "missing":
        return f"{param} is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{param}: {message[:1].lower()}{message[1:]}"
