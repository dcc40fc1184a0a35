"""The report in a real browser: it opens without a complaint, asks for nothing, draws, plays and filters."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
OVERLAPS = """() => {
  const touching = [];
  for (const svg of document.querySelectorAll("svg.chart")) {
    const boxes = [...svg.querySelectorAll("text")].map((one) => [one, one.getBoundingClientRect()]);
    const texts = boxes.filter(([, box]) => box.width);
    texts.forEach(([one, a], n) => texts.slice(n + 1).forEach(([other, b]) => {
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
        touching.push(`${svg.getAttribute("aria-label")}: "${one.textContent}" and "${other.textContent}"`);
    }));
  }
  return touching;
}"""
BRIGHTNESS = "() => Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
OUTSIDE = """() => [...document.querySelectorAll("svg.chart")].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && (box.left < frame.left - 8 || box.right > frame.right + 8);
  }).map((one) => `${svg.getAttribute("aria-label")}: ${one.textContent}`);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium to open the report: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


def opened(browser: "Browser", path: Path, *, width: int = 1280, scheme: str = "light") -> tuple["Page", list[str]]:
    """A page, and everything that it complains of or asks for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith("data:") or request.is_navigation_request()
            else complaints.append(f"asks for {request.url[:200]}")
        ),
    )
    page.goto(path.as_uri())
    return page, complaints


@pytest.fixture(scope="module")
def report(run_folder: Path) -> Path:
    return run_folder / "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_opens_whole_at_every_size(browser: "Browser", report: Path, width: int, scheme: str) -> None:
    page, complaints = opened(browser, report, width=width, scheme=scheme)
    assert page.title().startswith("Corner Cafe")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    charts = page.locator("svg.chart:visible")
    assert charts.count() >= 10
    for box in charts.evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())"):
        assert box["width"] > 150
        assert box["height"] > 30
    # All tabs at once: what is hidden is drawn as well as what is seen.
    page.evaluate("document.querySelectorAll('[role=tabpanel]').forEach(one => { one.hidden = false; })")
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate("window.broken") is None
    assert complaints == []
    # Light or dark as the system is, until one chooses.
    assert (page.evaluate(BRIGHTNESS) > 128) is (scheme == "light")
    page.get_by_role("button", name="Light or dark").click()
    assert (page.evaluate(BRIGHTNESS) > 128) is (scheme == "dark")
    page.close()


def test_audio_plays_and_its_waveform_follows(browser: "Browser", report: Path) -> None:
    page, complaints = opened(browser, report)
    first, second = page.locator(".turn audio").nth(0), page.locator(".turn audio").nth(1)
    first.evaluate("audio => audio.play()")
    page.wait_for_function("() => document.querySelector('.turn audio').currentTime > 0.2")
    assert first.evaluate("audio => audio.duration") > 1
    assert page.locator(".turn .head").first.evaluate("head => parseFloat(head.style.left)") > 0
    second.evaluate("audio => audio.play()")
    page.wait_for_function("() => document.querySelector('.turn audio').paused")
    page.locator(".turn .wave-box").first.click(position={"x": 150, "y": 20})
    page.wait_for_function("() => !document.querySelector('.turn audio').paused")
    assert first.evaluate("audio => audio.currentTime / audio.duration") > 0.2
    assert complaints == []
    page.close()


def test_failed_turns_are_filtered_and_searched(browser: "Browser", report: Path) -> None:
    page, _ = opened(browser, report)
    form = page.locator(".filters")
    cards, attempts = page.locator(".turn:visible"), page.locator(".attempt:visible")
    assert cards.count() == 30
    page.get_by_role("button", name="Show more").click()
    assert cards.count() == 60
    form.get_by_label("Condition").select_option("noise10")
    assert 0 < cards.count() <= 30
    assert set(cards.evaluate_all("all => all.map(one => one.dataset.condition)")) == {"noise10"}
    form.get_by_label("System").select_option("base")
    assert set(attempts.evaluate_all("all => all.map(one => one.dataset.system)")) == {"base"}
    form.get_by_label("Lost by").select_option("turn taking")
    assert set(attempts.evaluate_all("all => all.map(one => one.dataset.stage)")) <= {"turn taking"}
    for name in ("Condition", "System", "Lost by"):
        form.get_by_label(name).select_option("")
    form.get_by_label("Search").fill("FOOTBALL night")
    assert cards.count() > 0
    assert all("football" in text for text in cards.locator("h3").all_inner_texts())
    form.get_by_label("Search").fill("nobody said this")
    assert cards.count() == 0
    assert page.locator(".matches").inner_text() == "no turns match"
    page.close()


def test_tabs_are_worked_with_the_keyboard_and_all_printed(browser: "Browser", report: Path) -> None:
    page, _ = opened(browser, report)
    tabs = page.locator("#understanding [role=tablist]").first.locator("[role=tab]")
    panel = page.locator("#understanding .tabs").first.locator("[role=tabpanel]:visible")
    before = panel.get_attribute("id")
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    assert tabs.nth(1).get_attribute("aria-selected") == "true"
    assert panel.count() == 1
    assert panel.get_attribute("id") != before
    page.emulate_media(media="print")  # which shows what tabs hide
    assert page.locator("[role=tabpanel]:visible").count() == page.locator("[role=tabpanel]").count()
    assert page.locator("audio:visible").count() == 0
    page.close()
