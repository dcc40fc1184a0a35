"""The page on which the owner corrects what the assistant was least sure of, and what it asks for.

It shows what callers said, so a key that merely lets a program call does not open it: it takes the key that is named
`owner`. Where no keys are asked for, the server answers this machine alone, and so does the page.
"""

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from rejoinder.domain import Domain
from rejoinder.errors import DomainError
from rejoinder.serve.api_errors import RESPONSES, ApiError
from rejoinder.serve.redaction import has_placeholder
from rejoinder.serve.security import Keys, RefusedError, authorize
from rejoinder.serve.store.database import Store, reason
from rejoinder.serve.store.doubts import Doubt, doubtful
from rejoinder.serve.store.learning import check, learn, unlearn
from rejoinder.serve.store.turns import Correction, Kept, Verdict

OWNER = "owner"
"""The name of the key that may review: `rejoinder serve --new-key --keys keys.txt --name owner`."""

_TYPES = {"review.html": "text/html", "review.css": "text/css", "review.js": "text/javascript"}
_PATHS = {"/review": "review.html", "/review/review.css": "review.css", "/review/review.js": "review.js"}

OPEN = frozenset(_PATHS)
"""Paths that need no key: the page itself holds nothing, and a browser cannot send a key when it opens a page."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

_PRIVATE = {"Cache-Control": "no-store"}

Answer = TypeVar("Answer")

TurnId = Annotated[int, Field(ge=1, le=2**31 - 1)]


class CorrectionBody(BaseModel):
    """What a turn should have been taken for."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    text: Annotated[str, Field(max_length=2_000)] = ""
    intent: str | None = None
    slots: Annotated[dict[str, str], Field(max_length=100)] = {}


def router(store: Store, domain: Domain, keys: Keys | None) -> APIRouter:
    """The page at `/review`, and its requests under it."""

    def owner_only(request: Request) -> None:
        if authorize(request.headers, keys=keys) != (OWNER if keys is not None else None):
            raise RefusedError(403, "not_the_owner", f"only the key that is named '{OWNER}' may see what callers said")

    pages = APIRouter()
    for path, name in _PATHS.items():
        pages.get(path, include_in_schema=False)(_page(name))

    routes = APIRouter(prefix="/review", dependencies=[Depends(owner_only)], responses=dict(RESPONSES))

    @routes.get("/domain", summary="The intents and slots that a turn may be corrected to")
    async def about() -> dict[str, Any]:
        slots = {name: [choice.value for choice in slot.choices] for name, slot in domain.slots.items()}
        intents = {name: [slot.name for slot in intent.slots] for name, intent in domain.intents.items()}
        return {"name": domain.name, "intents": intents, "slots": slots}

    @routes.get("/turns", summary="The turns that the assistant was least sure of")
    def turns(response: Response, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
        response.headers.update(_PRIVATE)
        doubts = doubtful(_ask(store.latest))
        return {"turns": [doubt_as_json(doubt) for doubt in doubts[:limit]], "n": len(doubts)}

    @routes.get("/calls/{call}", summary="All turns of a call")
    def call(call: str, response: Response) -> dict[str, Any]:
        response.headers.update(_PRIVATE)
        found = _ask(lambda: store.call(call))
        if not found:
            raise _missing("call")
        return {"turns": [as_json(one) for one in found]}

    @routes.get("/turns/{turn}/audio", summary="What the caller said", response_class=Response)
    def audio(turn: TurnId) -> Response:
        flac = _ask(lambda: store.audio(turn))
        if flac is None:
            raise _missing("recording")
        return Response(flac, media_type="audio/flac", headers=_PRIVATE)

    @routes.post("/turns/{turn}", summary="Say what a turn should have been taken for")
    async def correct(turn: TurnId, body: CorrectionBody) -> dict[str, list[str]]:
        return {"written": await run_in_threadpool(lambda: _corrected(store, domain, turn, body))}

    @routes.delete("/calls/{call}", summary="Forget a call, and what was learned from it")
    def forget(call: str) -> dict[str, int]:
        n_turns = len(_ask(lambda: store.forget(call)))
        return {"turns": n_turns, "learned": unlearn(domain.folder, call) if n_turns else 0}

    pages.include_router(routes)
    return pages


def as_json(kept: Kept) -> dict[str, Any]:
    """A turn, for programs."""
    turn = kept.turn
    return {
        "id": kept.id,
        "call": turn.call,
        "n": turn.n,
        "door": turn.door,
        "at": turn.at.isoformat(timespec="seconds"),
        "text": turn.text,
        "intent": turn.intent,
        "confidence": round(turn.confidence, 3),
        "slots": dict(turn.slots),
        "source": turn.source,
        "reply": turn.reply,
        "has_audio": kept.has_audio,
        "verdict": kept.correction.verdict.value if kept.correction else None,
    }


def doubt_as_json(doubt: Doubt) -> dict[str, Any]:
    """A doubtful turn, for programs."""
    return {**as_json(doubt.kept), "doubt": round(doubt.score, 3), "reasons": list(doubt.reasons)}


def apply(store: Store, domain: Domain, kept: Kept, correction: Correction) -> list[str]:
    """Keep a correction and write what is to be learned from it; the files, relative to the domain's folder.

    Raises `DomainError` for one that names what the domain does not have.
    """
    check(domain, correction)
    written = learn(domain.folder, kept, correction, store.audio(kept.id))
    store.correct(kept.id, correction)
    return [file.relative_to(domain.folder).as_posix() for file in written]


def _corrected(store: Store, domain: Domain, turn: int, body: CorrectionBody) -> list[str]:
    kept = _ask(lambda: store.get(turn))
    if kept is None:
        raise _missing("turn")
    correction = correction_of(kept, body.verdict, text=body.text, intent=body.intent, slots=body.slots)
    try:
        return _ask(lambda: apply(store, domain, kept, correction))
    except DomainError as error:
        raise ApiError(str(error), code="invalid_correction") from error
    except OSError as error:
        raise ApiError(f"the domain's folder cannot be written ({error.strerror})", status=503) from error


def correction_of(
    kept: Kept, verdict: Verdict, *, text: str = "", intent: str | None = None, slots: Mapping[str, str] | None = None
) -> Correction:
    """A verdict as a whole correction: "fine" keeps what was understood, "out of scope" has no intent."""
    turn = kept.turn
    if verdict is Verdict.FINE:
        text, intent, slots = turn.text, _own(turn.intent, turn.source), turn.slots
    elif verdict is Verdict.OUT_OF_SCOPE:
        intent, slots = None, {}
    known = {name: value for name, value in (slots or {}).items() if not has_placeholder(value)}
    return Correction(verdict=verdict, text=text or turn.text, intent=intent, slots=known)


def _own(intent: str | None, source: str) -> str | None:
    return None if source == "command" else intent  # "yes" and "cancel" are no intents of the domain


def _page(name: str) -> Callable[[], Awaitable[Response]]:
    content = (files("rejoinder.serve") / "static" / name).read_bytes()  # once: no request reaches the file system

    async def page() -> Response:
        return Response(content, headers=_HEADERS, media_type=f"{_TYPES[name]}; charset=utf-8")

    return page


def _ask(question: Callable[[], Answer]) -> Answer:
    """What the store answers; where it does not, a response that says so, and not what it was about."""
    try:
        return question()
    except SQLAlchemyError as error:
        raise ApiError(f"the store does not answer ({reason(error)})", code="store_failed", status=503) from error


def _missing(what: str) -> ApiError:
    return ApiError(f"there is no such {what}", code="not_found", status=404)
