"""Runs what a domain's intents do: Python functions of the domain folder, and webhooks.

Everything is synchronous and bounded in time: the work goes to a daemon thread, which is left behind when it hangs.
Messages tell the operator what failed and where, never what the caller said: no slot value, no exception text.
"""

import inspect
import json
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from functools import lru_cache
from importlib import import_module, invalidate_caches
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import urlsplit

from rejoinder.domain import Action, Domain
from rejoinder.errors import ActionError, DomainError, one_of

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

COMPUTE_TIMEOUT_S = 0.5
"""How long a `compute` function may take: it runs in drafts, while the caller still speaks."""

MOST_RESPONSE_BYTES = 65_536
"""The longest answer of a webhook that is read."""

MOST_HUNG_CALLS = 8
"""How many calls of one function or webhook may hang at a time before further ones are refused."""

Function: TypeAlias = Callable[[dict[str, str]], Any]

_package_numbers = count()


class ActionRunner:
    """The functions and webhooks of one domain. Its methods may be called from several threads at once."""

    def __init__(self, functions: Mapping[str, Function], *, folder: Path | None = None) -> None:
        """`functions` by their names in the domain, "module:function"; `folder`, where errors point to lines."""
        self._functions = dict(functions)
        self._folder = folder
        self._n_hung: Counter[str] = Counter()
        self._lock = threading.Lock()

    @classmethod
    def load(cls, domain: Domain) -> "ActionRunner":
        """Import the modules that the domain's intents name; raises `DomainError` naming file, line and choices.

        The folder is imported as a package of its own, so that `from .menu import PRICES` works in it, and that two
        domains, or two versions of one, never share a module.
        """
        named = {
            name: intent.name
            for intent in domain.intents.values()
            for name in (intent.compute, intent.action.call if intent.action else None)
            if name is not None
        }
        if not named:
            return cls({})
        folder = domain.folder.resolve()
        package = ModuleType(f"_rejoinder_domain_{next(_package_numbers)}")
        package.__path__ = [str(folder)]
        sys.modules[package.__name__] = package
        invalidate_caches()  # a file that was written a moment ago counts
        functions = {name: _find(name, package.__name__, folder, intent) for name, intent in named.items()}
        return cls(functions, folder=folder)

    def compute(self, name: str, slots: Mapping[str, str]) -> Mapping[str, str]:
        """What the pure function `name` makes of the slots; raises `ActionError`."""
        return self._call(name, slots, COMPUTE_TIMEOUT_S, what=f"compute '{name}'")

    def run(self, action: Action, slots: Mapping[str, str]) -> Mapping[str, str]:
        """Run an action once and return its result; raises `ActionError` when it fails or takes too long.

        A webhook gets POST with `{"action": …, "slots": {…}}` and answers 2xx with a JSON object, or with nothing.
        """
        if action.call is not None:
            return self._call(action.call, slots, action.timeout_s, what=f"action '{action.name}' ({action.call})")
        if action.webhook is None:
            raise ActionError(f"action '{action.name}' has neither a function to call nor a webhook")
        url, address = action.webhook, urlsplit(action.webhook)
        what = f"action '{action.name}' (webhook at {address.hostname})"  # the rest of a URL may hold a key
        if address.scheme not in ("http", "https"):
            raise ActionError(f"{what} must have a URL that begins with http:// or https://")
        body = json.dumps({"action": action.name, "slots": dict(slots)}).encode()
        deadline = time.monotonic() + action.timeout_s
        answer = self._bounded(url, lambda: _post(url, body, deadline, what), action.timeout_s, what)
        return _as_values(answer, what)

    def _call(self, name: str, slots: Mapping[str, str], timeout_s: float, *, what: str) -> Mapping[str, str]:
        function = self._functions.get(name)
        if function is None:
            raise ActionError(f"{what} is not loaded ({one_of(list(self._functions))})")
        arguments = dict(slots)
        return _as_values(self._bounded(name, lambda: function(arguments), timeout_s, what), what)

    def _bounded(self, key: str, work: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """The result of `work`, which runs on a thread of its own for at most `timeout_s`."""
        if self._n_hung[key] >= MOST_HUNG_CALLS:
            raise ActionError(f"{what} was not run: {MOST_HUNG_CALLS} earlier calls of it still hang")
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # even SystemExit is the action's failure, not ours
                future.set_exception(error)

        threading.Thread(target=run, name=f"rejoinder {what}", daemon=True).start()
        wait([future], timeout_s)
        if not future.done():
            self._count_hung(key, 1)
            future.add_done_callback(lambda _: self._count_hung(key, -1))
            raise ActionError(f"{what} took longer than {timeout_s:g} s")
        error = future.exception()
        if error is None or isinstance(error, ActionError):
            return future.result()
        raise ActionError(f"{what} raised {type(error).__name__} at {_place(error, self._folder)}")

    def _count_hung(self, key: str, change: int) -> None:
        with self._lock:
            self._n_hung[key] += change


def _find(name: str, package: str, folder: Path, intent: str) -> Function:
    """The function `name`, "module:function", of a domain folder that is known to Python as `package`."""
    module_name, _, function_name = name.partition(":")
    file = folder.joinpath(*module_name.split(".")).with_suffix(".py")
    if not file.is_file():
        known = [path.stem for path in folder.glob("*.py")]
        raise DomainError(f"intent '{intent}' names '{name}', but there is no {file} ({one_of(known)})")
    try:
        module = import_module(f"{package}.{module_name}")
    except SyntaxError as error:
        raise DomainError(f"{error.filename}:{error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise DomainError(f"{_place(error, folder)}: importing raised {type(error).__name__}: {error}") from error
    function = getattr(module, function_name, None)
    if function is None:
        known = [key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")]
        raise DomainError(f"{file}: intent '{intent}' names '{function_name}', which is not there ({one_of(known)})")
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise DomainError(
            f"{file}: '{function_name}' of intent '{intent}' must be a plain function (def, not async def)"
        )
    return cast(Function, function)


def _place(error: BaseException, folder: Path | None) -> str:
    """`file:line` of the innermost line that an exception came through, in `folder` if any is there.

    The exception's own text is left out: it may hold what the caller said (`KeyError: 'oat milk'`).
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if folder is not None and Path(frame.filename).is_relative_to(folder)]
    return f"{(own or frames)[-1].filename}:{(own or frames)[-1].lineno}"


def _as_values(result: object, what: str) -> Mapping[str, str]:
    """A result as values for templates: text and numbers as text, true and false as yes and no, null left out."""
    if result is None:
        return {}
    if not isinstance(result, Mapping):
        raise ActionError(f"{what} returned {type(result).__name__}; it must be a mapping of names to text, or nothing")
    values: dict[str, str] = {}
    for name, value in result.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | None):
            raise ActionError(
                f"{what} returned a mapping of {type(name).__name__} to {type(value).__name__};"
                " names must be text, and values text or numbers"
            )
        if isinstance(value, bool):
            values[name] = "yes" if value else "no"
        elif value is not None:
            values[name] = str(value)
    return values


def _post(url: str, body: bytes, deadline: float, what: str) -> object:
    """POST JSON and return the JSON of the answer; raises `ActionError`. `deadline` is on the monotonic clock."""
    from http.client import HTTPException, responses
    from urllib.error import HTTPError, URLError
    from urllib.request import Request

    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "rejoinder"}
    request = Request(url, body, headers, method="POST")
    try:
        with _opener().open(request, timeout=max(deadline - time.monotonic(), 0.001)) as response:
            answer = bytearray()
            while piece := response.read1(MOST_RESPONSE_BYTES):
                answer += piece
                if len(answer) > MOST_RESPONSE_BYTES:
                    raise ActionError(f"{what} answered with more than {MOST_RESPONSE_BYTES} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError
    except HTTPError as error:
        with error:
            raise ActionError(f"{what} answered {error.code} {responses.get(error.code, '')}".rstrip()) from None
    except TimeoutError:
        raise ActionError(f"{what} took too long to answer") from None
    except URLError as error:
        raise ActionError(f"{what} could not be reached: {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise ActionError(f"{what} broke off: {type(error).__name__}") from None
    if not answer:
        return None
    try:
        return json.loads(answer)
    except ValueError:
        raise ActionError(f"{what} answered with {len(answer)} bytes that are not JSON") from None


@lru_cache(maxsize=1)
def _opener() -> "OpenerDirector":
    """HTTP without redirects: an action that ended up elsewhere, or as a GET, would be a failure taken for success."""
    from urllib.request import HTTPRedirectHandler, build_opener

    class NoRedirects(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    return build_opener(NoRedirects)
