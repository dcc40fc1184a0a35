"""The server on several nodes: what becomes of calls when replicas are replaced, and when a node dies."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from rejoinder.assistant import Assistant
from rejoinder.serve.cluster.plan import Plan, Scale
from rejoinder.serve.settings import Settings
from tests.serve.page.serving import Page, assistant, page

pytest.importorskip("ray.serve", reason="Ray is not installed")

from benchmarks.nodes import Nodes, nodes

PLAN = Plan(domain=Path("cafe"), settings=Settings(requests_per_minute=100_000))
SCALE = Scale(min_replicas=2, max_replicas=2)
QUESTION = "when are you open"

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]  # Ray's own warnings


def fake(plan: Plan) -> Assistant:  # noqa: ARG001
    """The cafe in miniature; runs on the replicas."""
    return assistant()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with nodes(2) as cluster:
        serve(PLAN)
        cluster.wait_for("cafe", 2)
        yield cluster


def serve(plan: Plan, *, name: str = "cafe", scale: Scale = SCALE, waits: bool = True) -> None:
    from ray import serve

    from rejoinder.serve.cluster.application import application

    target = serve.RunTarget(application(plan, scale, load=fake), name=name, route_prefix=f"/{name}")
    serve.run_many([target], wait_for_applications_running=waits)


def url_of(cluster: Nodes, name: str = "cafe") -> str:
    return f"http://127.0.0.1:{cluster.port}/{name}"


def test_the_app_is_served_below_its_prefix(cluster: Nodes) -> None:
    url = url_of(cluster)
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    assert httpx.get(url, follow_redirects=True).url.path == "/cafe/"
    assert "rejoinder_calls" in httpx.get(f"{url}/metrics").text


def test_a_secret_of_one_replica_is_known_to_all(cluster: Nodes) -> None:
    from rejoinder.serve.cluster.shared import SharedStates

    made = httpx.post(f"{url_of(cluster)}/v1/realtime/client_secrets", json={}).json()
    shared = asyncio.run(SharedStates.open("cafe").secrets())
    assert shared.find(made["value"]) is not None


def test_callers_of_a_node_that_dies_come_back_and_go_on(cluster: Nodes) -> None:
    url = url_of(cluster)
    with ExitStack() as opened:
        calls: list[tuple[Page, str]] = []
        for _ in range(8):
            caller = opened.enter_context(page(url, greet=False))
            token = caller.until("welcome")["resume"]
            caller.send("text", text="a latte")
            caller.until("reply_done")
            calls.append((caller, token))
        realtime = opened.enter_context(connect(url.replace("http", "ws") + "/v1/realtime"))
        assert json.loads(realtime.recv())["type"] == "session.created"

        time.sleep(0.3)  # a state is kept a moment after its reply began
        cluster.kill(cluster.workers[0])

        unharmed, lost = 0, []
        for caller, token in calls:
            try:
                caller.send("text", text="yes")
                assert caller.until("reply_started")["text"] == "Your order number is 12."
                unharmed += 1
            except WebSocketException:
                lost.append(token)
        assert unharmed
        assert lost  # calls were on both nodes
        for token in lost:
            assert _confirmed(url, token) == "Your order number is 12."


def test_no_call_is_cut_and_no_turn_lost_when_all_replicas_are_replaced(cluster: Nodes) -> None:
    cluster.add(n_cpus=3)  # there must be room for the old replicas and the new ones
    cluster.wait_for("cafe", 2)
    url = url_of(cluster)
    over = threading.Event()
    answered, lost = [], []

    def talk() -> None:
        try:
            with page(url, greet=False) as caller:
                while not over.wait(0.1):
                    caller.send("text", text=QUESTION)
                    answered.append(caller.until("reply_done"))
        except (WebSocketException, OSError, TimeoutError) as error:
            lost.append(error)

    callers = [threading.Thread(target=talk) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        serve(PLAN.model_copy(update={"models": "promoted since"}), waits=False)
        cluster.wait_for("cafe", 2, n_going=2)  # these have the calls still
        n_before = len(answered)
        time.sleep(2.5)  # longer than a replica that is to end takes new calls
    finally:
        over.set()
        for caller in callers:
            caller.join()
    assert not lost
    assert len(answered) > n_before


def test_another_domain_that_is_full_refuses_a_call_at_once_and_answers_all_else(cluster: Nodes) -> None:
    cluster.add()
    settings = Settings(requests_per_minute=100_000, max_sessions=1)
    scale = Scale(cpus=0.3, calls_per_replica=1)
    serve(PLAN.model_copy(update={"settings": settings}), name="bank", scale=scale)
    cluster.wait_for("bank", 1)
    url = url_of(cluster, "bank")
    with page(url, greet=False) as caller:
        caller.until("welcome")
        with pytest.raises(InvalidStatus) as refused, page(url):
            pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        assert httpx.get(f"{url}/readyz").json() == {"status": "full"}
        assert httpx.get(f"{url_of(cluster)}/readyz").json() == {"status": "ready"}


def test_more_calls_bring_more_replicas(cluster: Nodes) -> None:
    cluster.add()
    serve(PLAN, name="shop", scale=Scale(cpus=0.3, max_replicas=2, calls_per_replica=2))
    cluster.wait_for("shop", 1)
    with ExitStack() as opened:
        callers = [opened.enter_context(page(url_of(cluster, "shop"), greet=False)) for _ in range(4)]
        cluster.wait_for("shop", 2)
        for caller in callers:
            caller.send("text", text=QUESTION)
            caller.until("reply_done")


def _confirmed(url: str, token: str) -> str:
    """Come back to a lost call, as often as it takes, and say yes to what was asked before."""
    for _ in range(100):
        try:
            with page(url, resume=token) as caller:
                assert caller.until("welcome")["resumed"]
                caller.send("text", text="yes")
                return str(caller.until("reply_started")["text"])
        except (WebSocketException, OSError):
            time.sleep(0.1)
    raise AssertionError("nobody answered")
