"""The owner's page in a real browser: it lists, corrects, forgets and asks for the key, and complains of nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI

from rejoinder.domain import Domain
from rejoinder.domain.corrections import read_corrections
from rejoinder.serve.api_errors import add_handlers
from rejoinder.serve.app import listen
from rejoinder.serve.security import Keys, add_key
from rejoinder.serve.settings import Settings
from rejoinder.serve.store.database import Store
from rejoinder.serve.store.review import OWNER, router
from tests.serve.store.test_learning import DOMAIN, FLAC
from tests.serve.store.turns import turn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--autoplay-policy=no-user-gesture-required")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
    chromium = which("chromium") or which("chromium-browser") or which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium to open the page: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
        yield running
        running.close()


@contextmanager
def served(folder: Path, keys: Keys | None = None) -> Iterator[tuple[str, Store]]:
    (folder / "domain.yaml").write_text(DOMAIN)
    store = Store.open(f"sqlite:///{folder / 'calls.db'}")
    store.add(turn(text="can I pop by <b>now</b>", intent="order", confidence=0.3), FLAC)
    store.add(turn("call_b", text="my parking ticket", intent=None, source="none", slots={}))
    app = FastAPI()
    add_handlers(app)
    app.include_router(router(store, Domain.load(folder), keys))
    running = uvicorn.Server(uvicorn.Config(app, log_config=None))
    with listen(Settings(port=0)) as taken:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{taken.getsockname()[1]}", store
        finally:
            running.should_exit = True
            thread.join()
            store.close()


def opened(browser: "Browser", url: str, *, width: int = 1280) -> tuple["Page", list[str]]:
    """The page, and everything that it complains of."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("console", lambda message: complaints.append(message.text) if "401" not in message.text else None)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{url}/review")
    return page, complaints


def test_turns_are_corrected_heard_and_forgotten(browser: "Browser", tmp_path: Path) -> None:
    with served(tmp_path) as (url, store):
        page, complaints = opened(browser, url)
        page.get_by_text("2 turns to look at").wait_for()
        cards = page.locator("article")
        ticket, pop = cards.nth(0), cards.nth(1)
        assert ticket.locator("q").inner_text() == "my parking ticket"
        assert pop.locator("q").inner_text() == "can I pop by <b>now</b>"
        assert ticket.get_by_role("button", name="Listen").is_hidden()
        with page.expect_response("**/audio") as heard:
            pop.get_by_role("button", name="Listen").click()
        assert heard.value.headers["content-length"] == str(len(FLAC))
        assert pop.get_by_label("size").input_value() == "large"
        pop.get_by_label("What was said").fill("can I pop by now")
        pop.get_by_label("What was meant").select_option("hours")
        assert pop.get_by_label("size").count() == 0
        pop.get_by_role("button", name="Save").click()
        pop.get_by_text("Corrected: corrections.jsonl").wait_for()
        assert [one.intent for one in read_corrections(tmp_path)] == ["hours", "hours"]
        ticket.get_by_role("button", name="Forget").click()
        page.get_by_text("The call is forgotten").wait_for()
        assert [one.turn.call for one in store.latest()] == ["call_a"]
        assert complaints == []
        page.close()


def test_the_page_asks_for_the_key_of_the_owner(browser: "Browser", tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.txt", OWNER)
    with served(tmp_path, Keys.load(tmp_path / "keys.txt")) as (url, _):
        page, complaints = opened(browser, url, width=390)
        field = page.get_by_label("The key named owner")
        field.fill("rj-wrong")
        page.get_by_role("button", name="Open").click()
        page.get_by_text("not known here").wait_for()
        field.fill(key)
        page.get_by_role("button", name="Open").click()
        page.get_by_text("2 turns to look at").wait_for()
        assert field.is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert complaints == []
        page.close()
