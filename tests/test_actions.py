"""Actions as they run: real modules in a real folder, webhooks on a real server."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rejoinder.actions import COMPUTE_TIMEOUT_S, MOST_HUNG_CALLS, MOST_RESPONSE_BYTES, ActionRunner
from rejoinder.domain import Action, Domain, Intent
from rejoinder.errors import ActionError, DomainError

SECRET = "Xarelto"

SHOP = """
import time
from .prices import PRICES

orders = []

def price(slots):
    return {"price": PRICES[slots["drink"]]}

def order(slots):
    orders.append(slots)
    return {"number": len(orders), "ready": True, "late": False, "total": 2.5, "note": None}

def nothing(slots):
    slots.clear()

def hang(slots):
    time.sleep(60)

def leave(slots):
    raise SystemExit(3)

def wrong(slots):
    return [slots]

def nested(slots):
    return {"slots": slots}

async def later(slots):
    return {}

number = 3
"""


def a_domain(folder: Path, **files: str) -> Domain:
    for name, text in {"shop": SHOP, "prices": "PRICES = {'latte': 3}\n", **files}.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return Domain("shop", folder)


def runner(domain: Domain, *calls: str) -> ActionRunner:
    """A runner that has loaded these functions, each as an intent's action."""
    intents = {call: Intent(call, action=Action("act", call=call)) for call in calls}
    return ActionRunner.load(Domain(domain.name, domain.folder, intents=intents))


def act(call: str, timeout_s: float = 10) -> Action:
    return Action("act", call=call, timeout_s=timeout_s)


# -- loading ----------------------------------------------------------------------------------------------------------


def test_functions_of_the_domain_folder_run(tmp_path: Path) -> None:
    actions = runner(a_domain(tmp_path), "shop:order", "shop:price", "shop:nothing")
    assert actions.compute("shop:price", {"drink": "latte"}) == {"price": "3"}
    slots = {"drink": "latte"}
    assert actions.run(act("shop:order"), slots) == {"number": "1", "ready": "yes", "late": "no", "total": "2.5"}
    assert actions.run(act("shop:nothing"), slots) == {}
    assert slots == {"drink": "latte"}


def test_compute_functions_are_loaded_too(tmp_path: Path) -> None:
    domain = a_domain(tmp_path)
    domain = Domain(domain.name, domain.folder, intents={"price": Intent("price", compute="shop:price")})
    assert ActionRunner.load(domain).compute("shop:price", {"drink": "latte"}) == {"price": "3"}


def test_nothing_is_imported_where_nothing_is_named(tmp_path: Path) -> None:
    before = set(sys.modules)
    ActionRunner.load(Domain("empty", tmp_path / "absent", intents={"hours": Intent("hours")}))
    assert set(sys.modules) == before


def test_domains_share_no_modules_and_no_path(tmp_path: Path) -> None:
    path = list(sys.path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = runner(a_domain(tmp_path / "one", shop="def who(slots): return {'name': 'one'}"), "shop:who")
    two = runner(a_domain(tmp_path / "two", shop="def who(slots): return {'name': 'two'}"), "shop:who")
    again = runner(a_domain(tmp_path / "one", shop="def who(slots): return {'name': 'one again'}"), "shop:who")
    said = [actions.run(act("shop:who"), {})["name"] for actions in (one, two, again)]
    assert said == ["one", "two", "one again"]
    assert sys.path == path
    assert "shop" not in sys.modules


def test_modules_may_lie_in_folders(tmp_path: Path) -> None:
    (tmp_path / "tills").mkdir()
    (tmp_path / "tills" / "front.py").write_text("from ..prices import PRICES\ndef price(slots): return PRICES\n")
    assert runner(a_domain(tmp_path), "tills.front:price").run(act("tills.front:price"), {}) == {"latte": "3"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("shp:order", r"'shp:order'.*no .*shp\.py \(known: prices, shop\)"),
        ("shop:odrer", r"shop\.py: intent 'shop:odrer' names 'odrer'.*known: .*order.*price"),
        ("shop:number", r"shop\.py: 'number' .*must be a plain function"),
        ("shop:later", r"'later' .*not async def"),
        ("broken:f", r"broken\.py:2: importing raised ZeroDivisionError: division by zero"),
        ("syntax:f", r"syntax\.py:1: "),
        ("missing:f", r"missing\.py:1: importing raised ModuleNotFoundError: No module named 'nowhere'"),
        ("leaving:f", r"leaving\.py:1: importing raised SystemExit"),
        ("deep:f", r"broken\.py:2: importing raised ZeroDivisionError"),
    ],
)
def test_what_cannot_be_loaded_is_named(tmp_path: Path, call: str, message: str) -> None:
    domain = (
        a_domain(tmp_path)
        if call.startswith("sh")
        else a_domain(
            tmp_path,
            broken="x = 1\ny = 1 / 0\n",
            syntax="def f(:\n",
            missing="import nowhere\n",
            leaving="raise SystemExit\n",
            deep="from .broken import y\n",
        )
    )
    with pytest.raises(DomainError, match=message):
        runner(domain, call)


# -- functions that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("shop:price", r"action 'act' \(shop:price\) raised KeyError at .*shop\.py:8$"),
        ("shop:leave", r"raised SystemExit at .*shop\.py:21$"),
        ("shop:wrong", r"returned list; it must be a mapping"),
        ("shop:nested", r"returned a mapping of str to dict"),
        ("shop:absent", r"is not loaded \(known: .*shop:wrong"),
    ],
)
def test_a_failure_names_the_line_and_not_the_value(tmp_path: Path, call: str, message: str) -> None:
    actions = runner(a_domain(tmp_path), "shop:price", "shop:leave", "shop:wrong", "shop:nested")
    with pytest.raises(ActionError, match=message) as failure:
        actions.run(act(call), {"drink": SECRET})
    assert SECRET not in str(failure.value)
    assert failure.value.__cause__ is None
    assert failure.value.__context__ is None


def test_an_action_may_say_itself_what_failed(tmp_path: Path) -> None:
    till = "from rejoinder.errors import ActionError\ndef f(slots): raise ActionError('the till is out of paper')\n"
    with pytest.raises(ActionError, match=r"^the till is out of paper$"):
        runner(a_domain(tmp_path, till=till), "till:f").run(act("till:f"), {})


def test_a_hanging_function_is_left_behind(tmp_path: Path) -> None:
    actions = runner(a_domain(tmp_path), "shop:hang", "shop:order")
    with pytest.raises(ActionError, match=r"took longer than 0\.05 s"):
        actions.run(act("shop:hang", timeout_s=0.05), {})
    with pytest.raises(ActionError, match=rf"compute 'shop:hang' took longer than {COMPUTE_TIMEOUT_S:g} s"):
        actions.compute("shop:hang", {})
    assert actions.run(act("shop:order"), {})["number"] == "1"


def test_hanging_calls_do_not_pile_up() -> None:
    let_go = threading.Event()
    n_begun = threading.Semaphore(0)

    def hang(_slots: dict[str, str]) -> None:
        n_begun.release()
        let_go.wait(60)

    actions = ActionRunner({"till:hang": hang})
    for _ in range(MOST_HUNG_CALLS):
        with pytest.raises(ActionError, match="took longer"):
            actions.run(act("till:hang", timeout_s=0.01), {})
        assert n_begun.acquire(timeout=10)
    with pytest.raises(ActionError, match=f"{MOST_HUNG_CALLS} earlier calls of it still hang"):
        actions.run(act("till:hang"), {})
    assert not n_begun.acquire(blocking=False)
    let_go.set()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert actions.run(act("till:hang"), {}) == {}
        except ActionError:
            time.sleep(0.01)  # the threads have yet to see that they may go on
        else:
            return
    pytest.fail("the calls came back, yet the function is still refused")


def test_many_callers_at_once_are_not_taken_for_hanging_calls() -> None:
    together = threading.Barrier(3 * MOST_HUNG_CALLS)
    actions = ActionRunner({"till:order": lambda slots: (together.wait(60), {"table": slots["table"]})[1]})
    answers: list[str] = []
    callers = [
        threading.Thread(
            target=lambda n=n: answers.append(actions.run(act("till:order", 60), {"table": str(n)})["table"])
        )
        for n in range(together.parties)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert sorted(map(int, answers)) == list(range(together.parties))


# -- webhooks ---------------------------------------------------------------------------------------------------------


@dataclass
class Hook:
    """A server on this machine; `answer` is what it does with a request."""

    url: str
    bodies: list[Any] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler], None] = lambda request: reply(request)
    let_go: threading.Event = field(default_factory=threading.Event)

    def action(self, timeout_s: float = 10) -> Action:
        return Action("order", webhook=f"{self.url}/hooks/key-{SECRET}", timeout_s=timeout_s)


def reply(request: BaseHTTPRequestHandler, body: bytes = b'{"number": 7}', status: int = 200) -> None:
    request.send_response(status, SECRET)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@pytest.fixture(name="hook")
def start_hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            hook.answer(self)

        def do_GET(self) -> None:
            raise AssertionError("an action was turned into a GET")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hook = Hook(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield hook
        hook.let_go.set()
        server.shutdown()
        thread.join()


def test_a_webhook_gets_the_slots_and_its_answer_joins_them(hook: Hook) -> None:
    assert ActionRunner({}).run(hook.action(), {"drink": SECRET}) == {"number": "7"}
    assert hook.bodies == [{"action": "order", "slots": {"drink": SECRET}}]


def test_a_webhook_may_answer_nothing(hook: Hook) -> None:
    hook.answer = lambda request: reply(request, b"", 204)
    assert ActionRunner({}).run(hook.action(), {}) == {}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"error": "Xarelto"}', 500, "answered 500 Internal Server Error"),
        (b"", 404, "answered 404 Not Found"),
        (b"", 799, "answered 799"),
        (b"<html>Xarelto</html>", 200, "answered with 20 bytes that are not JSON"),
        (b'{"x": \xff}', 200, "not JSON"),
        (b'["Xarelto"]', 200, "returned list"),
        (b'{"Xarelto": {"Xarelto": 1}}', 200, "returned a mapping of str to dict"),
        (b'"' + b"x" * MOST_RESPONSE_BYTES + b'"', 200, f"more than {MOST_RESPONSE_BYTES} bytes"),
    ],
)
def test_a_useless_answer_is_an_error_without_what_was_said(hook: Hook, body: bytes, status: int, message: str) -> None:
    hook.answer = lambda request: reply(request, body, status)
    with pytest.raises(ActionError, match=message) as failure:
        ActionRunner({}).run(hook.action(), {"drink": SECRET})
    assert SECRET not in str(failure.value)
    assert "action 'order' (webhook at 127.0.0.1)" in str(failure.value)


def test_a_redirect_is_not_followed(hook: Hook) -> None:
    def redirect(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", f"{hook.url}/elsewhere")
        request.end_headers()

    hook.answer = redirect
    with pytest.raises(ActionError, match="answered 302 Found"):
        ActionRunner({}).run(hook.action(), {})
    assert len(hook.bodies) == 1


def test_a_webhook_that_hangs_is_left_behind(hook: Hook) -> None:
    def hang(_request: BaseHTTPRequestHandler) -> None:
        hook.let_go.wait(60)

    hook.answer = hang
    with pytest.raises(ActionError, match="took"):
        ActionRunner({}).run(hook.action(timeout_s=0.1), {})
    hook.answer = reply
    assert ActionRunner({}).run(hook.action(), {}) == {"number": "7"}


@pytest.mark.parametrize("where", ["headers", "body"])
def test_dripping_bytes_do_not_stretch_the_timeout(hook: Hook, where: str) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        if where == "body":
            request.send_response(200)
            request.send_header("Content-Length", "1000000")
            request.end_headers()
        try:
            while not hook.let_go.wait(0.02):
                request.wfile.write(b" ")
        except OSError:
            pass  # the caller has gone, as it should

    hook.answer = drip
    with pytest.raises(ActionError, match="took"):
        ActionRunner({}).run(hook.action(timeout_s=0.2), {})
    assert not hook.let_go.is_set()


def test_a_broken_answer_is_an_error(hook: Hook) -> None:
    def stop_short(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 nonsense\r\n\r\n")

    hook.answer = stop_short
    with pytest.raises(ActionError, match="broke off: BadStatusLine"):
        ActionRunner({}).run(hook.action(), {})


def test_a_refused_connection_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    action = Action("order", webhook="http://127.0.0.1:1/", timeout_s=10)
    with pytest.raises(ActionError, match=r"could not be reached: .*refused"):
        ActionRunner({}).run(action, {})


def test_other_schemes_and_empty_actions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ActionError, match="begins with http"):
        ActionRunner({}).run(Action("order", webhook=tmp_path.as_uri()), {})
    with pytest.raises(ActionError, match="neither a function to call nor a webhook"):
        ActionRunner({}).run(Action("order"), {})
