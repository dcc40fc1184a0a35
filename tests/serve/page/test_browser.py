"""The page in a real browser, with a real recording as microphone: every state, by voice, by hand and by keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rejoinder import Assistant, audio
from rejoinder.serve.app import create_app
from rejoinder.serve.security import add_key
from rejoinder.serve.settings import Settings
from tests.fakes import FakeActions
from tests.serve.live import serving
from tests.serve.page.browsing import ALLOWED, CAFE, FAKE_DEVICE, RECORDING, Wire, browser, chromium, microphone, visit
from tests.serve.page.serving import assistant

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

QUESTION = "when are you open"
ANSWER = "From seven to six, every day of the week."

SMALL_TARGETS = """() => [...document.querySelectorAll("button, input, select, summary")].filter((one) => {
  const box = one.getBoundingClientRect();
  return box.width && getComputedStyle(one).visibility !== "hidden" && (box.height < 43.5 || box.width < 43.5);
}).map((one) => one.outerHTML.slice(0, 80))"""

CONTRASTS = """() => {
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (color) => {
    const [r, g, b] = color.map((value) => channel(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] > 250) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const one of document.querySelectorAll("body *")) {
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const style = getComputedStyle(one);
    const box = one.getBoundingClientRect();
    if (!text || box.width < 2 || style.visibility === "hidden" || one.closest(":disabled")) continue;
    const [a, b] = [light(rgba(style.color)), light(ground(one))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${one.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""

RESAMPLED = """async ([from, to, hertz]) => {
  const { Resampler } = await import("/static/page/resampler.js");
  const resampler = new Resampler(from, to);
  const input = Float32Array.from({ length: from }, (_, n) => Math.sin((2 * Math.PI * hertz * n) / from));
  const output = [];
  for (let at = 0; at < from; at += 128) output.push(...resampler.push(input.slice(at, at + 128)));
  output.push(...resampler.finish());
  return output;
}"""


@pytest.fixture(scope="module")
def playwright() -> Iterator["Playwright"]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
    chromium()
    with sync_api.sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def actions() -> FakeActions:
    return FakeActions()


@pytest.fixture(scope="module")
def url(actions: FakeActions) -> Iterator[str]:
    with serving(create_app(assistant(actions))) as url:
        yield url


@pytest.fixture(scope="module")
def silent(playwright: "Playwright", tmp_path_factory: pytest.TempPathFactory) -> Iterator["Browser"]:
    """A browser whose microphone hears nothing."""
    quiet = microphone(tmp_path_factory.mktemp("microphone") / "silence.wav", 60.0)
    with browser(playwright, ALLOWED, FAKE_DEVICE, quiet) as opened:
        yield opened


def test_a_recording_is_heard_understood_and_answered_aloud(playwright: "Playwright", url: str, tmp_path: Path) -> None:
    recording = microphone(tmp_path / "question.wav", 3.0, audio.load(RECORDING), 30.0)
    with browser(playwright, ALLOWED, FAKE_DEVICE, recording) as opened:
        seen = visit(opened, url)
        seen.press("Start talking")
        seen.until_text(".reply", "Hello, how can I help?")
        seen.until_state("Hearing you")
        seen.until_text("#words", QUESTION)
        seen.until_text(".turn q", QUESTION)
        seen.until_text(".intent", "hours")
        seen.until_text(".reply", ANSWER)
        seen.until_state("Speaking")
        seen.page.wait_for_function("() => Number(document.body.style.getPropertyValue('--voice')) > 0.3")
        seen.until_state("Listening")
        assert [message["reply"] for message in seen.sent if message["type"] == "played"] == [1, 2]
        # From the last sample of speech at the microphone to the first one at the loudspeaker: every stage has its row.
        seen.page.locator(".latency summary").click()
        rows = seen.page.locator(".latency th").all_inner_texts()
        assert rows[:4] == ["Your pause", "Recognize", "Understand", "Respond"]
        assert rows[-1] == "To your loudspeaker"
        assert seen.page.locator(".confidence").get_attribute("value") == "0.9"
        assert seen.complaints == []


@pytest.mark.model
def test_the_cafe_answers_a_customer_in_the_browser(playwright: "Playwright", tmp_path: Path) -> None:
    recording = microphone(tmp_path / "order.wav", 5.0, audio.load(RECORDING), 60.0)
    with (
        serving(create_app(Assistant.load(CAFE))) as url,
        browser(playwright, ALLOWED, FAKE_DEVICE, recording) as opened,
    ):
        seen = visit(opened, url)
        seen.page.get_by_role("heading", name="Corner Cafe").wait_for()
        seen.press("Start talking")
        seen.until_text(".turn q", "twenty ounce house coffee")
        seen.until_text(".slots", "house coffee")
        seen.until_text(".turn:has(q) .reply", "house coffee")
        seen.until_text(".latency summary", "last word to first sound")
        seen.until_state("Listening")
        played = [message["reply"] for message in seen.sent if message["type"] == "played"]
        assert played == [1, 2]
        assert seen.complaints == []


def test_the_voice_interrupts_and_the_reply_falls_silent(playwright: "Playwright", url: str, tmp_path: Path) -> None:
    speech = audio.load(RECORDING)[: 2 * audio.SAMPLE_RATE]
    recording = microphone(tmp_path / "interruption.wav", 3.0, speech, 1.4, speech, 30.0)
    with browser(playwright, ALLOWED, FAKE_DEVICE, recording) as opened:
        seen = visit(opened, url)
        seen.press("Start talking")
        seen.until_text(".notes", "Interrupted after")
        heard_s = float(seen.page.locator(".notes .warn").first.inner_text().split()[-2])
        assert 0.0 < heard_s < 2.7  # the whole reply's length
        seen.page.wait_for_function("() => document.querySelectorAll('.turn q').length === 2")
        seen.until_state("Listening")
        assert seen.complaints == []


def test_what_the_assistant_says_is_not_fed_back_to_it(silent: "Browser", url: str) -> None:
    seen = visit(silent, url)
    # The session is spared even what a loudspeaker leaks: the browser is asked to cancel it.
    seen.page.evaluate("""() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = (wanted) => { window.wanted = wanted.audio; return ask(wanted); };
    }""")
    seen.press("Start talking")
    seen.until_state("Speaking")
    seen.until_state("Listening")
    assert seen.until_played() == 1
    samples = np.frombuffer(b"".join(seen.heard), "<i2")
    assert len(samples) > audio.SAMPLE_RATE
    assert np.abs(samples.astype(int)).max() <= 1  # dither
    assert seen.page.locator(".turn q").count() == 0
    wanted = seen.page.evaluate("window.wanted")
    assert all(wanted[name] for name in ("echoCancellation", "noiseSuppression", "autoGainControl"))
    seen.page.close()


def test_typing_needs_no_microphone(silent: "Browser", url: str) -> None:
    seen = visit(silent, url)
    seen.press("When are you open")  # an example of what can be said
    seen.until_text(".turn q", "When are you open")
    seen.type(QUESTION)
    seen.until_text(".reply", ANSWER)
    seen.until_text(".latency summary", "to first sound")
    assert seen.until_played() >= 1
    assert seen.page.locator(".reply", has_text="Hello").count() == 0  # nobody is greeted who has begun to type
    assert seen.heard == []
    assert seen.complaints == []
    seen.page.close()


def test_a_refused_microphone_is_explained_and_typing_still_works(playwright: "Playwright", url: str) -> None:
    with browser(playwright, FAKE_DEVICE) as opened:
        seen = visit(opened, url)
        seen.press("Start talking")
        seen.until_state("The microphone is blocked")
        seen.page.get_by_role("button", name="Try again").wait_for()
        assert "Typing works" in seen.page.locator("#hint").inner_text()
        seen.type(QUESTION)
        seen.until_text(".reply", ANSWER)
        assert seen.complaints == []


def test_no_microphone_is_explained(playwright: "Playwright", url: str) -> None:
    with browser(playwright, ALLOWED) as opened:
        seen = visit(opened, url)
        if seen.page.evaluate("navigator.mediaDevices.enumerateDevices().then((all) => all.length)"):
            pytest.skip("this machine has a microphone")
        seen.press("Start talking")
        seen.until_state("No microphone found")
        assert seen.complaints == []


def test_a_lost_connection_comes_back_and_nothing_is_lost(silent: "Browser", url: str, actions: FakeActions) -> None:
    wire = Wire(url)
    seen = visit(silent, wire.url)
    seen.type("a latte")
    seen.until_text(".reply", "Latte, shall I order it?")
    seen.until_played()
    wire.cut()
    seen.until_state("Reconnecting…")
    assert seen.page.locator("#link").inner_text() == "Reconnecting…"
    seen.type("yes")  # is kept until there is somebody to hear it
    wire.mend()
    seen.until_text(".remark", "Reconnected. The conversation goes on.")
    seen.until_text(".reply", "Your order number is 12.")
    assert seen.page.locator(".turn q").all_inner_texts() == ["a latte", "yes"]
    assert actions.ran == [("place_order", {"drink": "latte"})]
    seen.page.close()
    wire.close()


def test_words_that_were_cut_off_are_sent_again(playwright: "Playwright", url: str, tmp_path: Path) -> None:
    recording = microphone(tmp_path / "question.wav", 3.0, audio.load(RECORDING), 30.0)
    wire = Wire(url)
    with browser(playwright, ALLOWED, FAKE_DEVICE, recording) as opened:
        seen = visit(opened, wire.url)
        seen.press("Start talking")
        seen.until_text("#words", QUESTION)
        wire.cut()
        seen.until_state("Reconnecting…")
        wire.mend()
        seen.until_text(".turn q", QUESTION)
        seen.until_text(".reply", ANSWER)
        assert seen.page.locator(".turn q").count() == 1
    wire.close()


def test_a_server_that_was_restarted_begins_anew_and_the_transcript_stays(silent: "Browser") -> None:
    with serving(create_app(assistant())) as first, serving(create_app(assistant())) as second:
        wire = Wire(first)
        seen = visit(silent, wire.url)
        seen.type(QUESTION)
        seen.until_text(".reply", ANSWER)
        wire.cut()
        wire.lead_to(second)
        wire.mend()
        seen.until_text(".remark", "The server has forgotten the conversation")
        assert seen.page.locator(".turn q").all_inner_texts() == [QUESTION]
        seen.page.close()
        wire.close()


def test_a_full_server_is_tried_again_until_there_is_room(silent: "Browser") -> None:
    with serving(create_app(assistant(), Settings(max_sessions=1))) as url:
        inside, outside = visit(silent, url), visit(silent, url)
        inside.type(QUESTION)
        inside.until_text(".reply", ANSWER)
        outside.type(QUESTION)
        outside.until_state("All lines are busy")
        inside.type(QUESTION)  # is not disturbed
        inside.page.locator(".reply").nth(1).wait_for()
        inside.press("End")
        outside.until_text(".reply", ANSWER)
        inside.page.close()
        outside.page.close()


def test_a_key_is_asked_for_where_the_server_has_keys(silent: "Browser", tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.txt", "kiosk")
    with serving(create_app(assistant(), Settings(keys=tmp_path / "keys.txt"))) as url:
        seen = visit(silent, url)
        field = seen.page.get_by_label("API key")
        for given in ("rj-wrong", "not even a key, ü", key):
            field.wait_for()
            field.fill(given)
            seen.press("Continue")
        seen.page.locator("h1", has_text="cafe").wait_for()
        seen.type(QUESTION)
        seen.until_text(".reply", ANSWER)
        assert key not in seen.page.content()
        assert key not in seen.page.url
        seen.page.close()


def test_over_plain_http_from_elsewhere_replies_can_be_read(playwright: "Playwright", tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.txt", "kiosk")
    with (
        serving(create_app(assistant(), Settings(keys=tmp_path / "keys.txt"))) as url,
        browser(playwright, ALLOWED, FAKE_DEVICE, "--host-resolver-rules=MAP page.test 127.0.0.1") as opened,
    ):
        seen = visit(opened, url.replace("127.0.0.1", "page.test"))
        seen.page.get_by_label("API key").fill(key)
        seen.press("Continue")
        seen.page.get_by_role("heading", name="cafe").wait_for()
        seen.press("Start talking")
        seen.until_state("No microphone over plain HTTP")
        seen.type(QUESTION)
        seen.until_text(".reply", ANSWER)
        assert seen.until_played() == 1  # as far as the session has to know
        assert not [one for one in seen.complaints if "401" not in one]


DRAFTED = {
    **{"at_s": 4.3, "speech_end_s": 4.0, "pause_s": 0.064, "decision_s": 0.004, "measured_s": 0.33},
    **{"draft_hit": True, "timings_s": {"recognize": 0.08, "understand": 0.006, "respond": 0.0004, "wait": 0.002}},
}


def test_the_waterfall_adds_up(silent: "Browser", url: str) -> None:
    seen = visit(silent, url)
    stages = "async (turn) => (await import('/static/page/waterfall.js')).stages(turn)"
    drawn = seen.page.evaluate(stages, DRAFTED)
    rows = {row["id"]: row for row in drawn["stages"]}
    assert list(rows) == ["pause", "recognize", "understand", "respond", "first", "play"]
    assert drawn["total_s"] == pytest.approx(0.33)
    assert rows["pause"]["to_s"] == pytest.approx(0.298)  # what was waited for after the decision is not the pause
    assert (rows["first"]["from_s"], rows["first"]["to_s"]) == pytest.approx((0.298, 0.302))
    assert (rows["play"]["from_s"], rows["play"]["to_s"]) == pytest.approx((0.302, 0.33))
    assert (rows["recognize"]["from_s"], rows["recognize"]["to_s"]) == pytest.approx((0.064, 0.144))
    assert [rows[name]["ahead"] for name in ("recognize", "understand", "respond")] == [True, True, True]
    typed = seen.page.evaluate(stages, {**DRAFTED, "isTyped": True, "draft_hit": False})
    assert [row["id"] for row in typed["stages"]] == ["understand", "respond", "first", "play"]
    assert not any(row.get("ahead") for row in typed["stages"])
    seen.page.close()


def test_all_of_it_works_by_keyboard(silent: "Browser", url: str) -> None:
    seen = visit(silent, url)
    seen.page.get_by_role("button", name="When are you open").wait_for()
    order = []
    for _ in range(6):
        seen.page.keyboard.press("Tab")
        order.append(
            seen.page.evaluate(
                "[document.activeElement.id || document.activeElement.className,"
                " getComputedStyle(document.activeElement).outlineStyle,"
                " getComputedStyle(document.activeElement.parentElement).boxShadow]"
            )
        )
    assert [name for name, *_ in order] == ["skip", "settings-open", "talk", "text", "round", "example"]
    assert all(outline != "none" or shadow != "none" for _, outline, shadow in order)
    seen.page.locator("#settings-open").focus()
    seen.page.keyboard.press("Enter")
    seen.page.get_by_role("dialog", name="Settings").wait_for()
    assert seen.page.get_by_label("Microphone", exact=True).locator("option").count() >= 1
    seen.page.keyboard.press("Escape")
    seen.page.locator("#talk").focus()
    seen.page.keyboard.press("Enter")
    seen.until_state("Speaking")
    seen.page.keyboard.press("Escape")  # stops the reply
    seen.until_text(".notes", "Interrupted after")
    seen.page.locator("#mute").focus()
    seen.page.keyboard.press("Space")
    seen.until_state("Muted")
    assert seen.page.locator("#mute").get_attribute("aria-pressed") == "true"
    seen.page.locator("#talk").focus()
    seen.page.keyboard.press("Enter")
    seen.until_state("The conversation is over")
    assert "The conversation is over" in seen.page.get_by_role("status").inner_text()
    assert seen.complaints == []
    seen.page.close()


@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 800, "dark"), (360, 740, "light"), (360, 740, "dark")])
def test_it_fits_and_can_be_read_everywhere(silent: "Browser", url: str, width: int, height: int, scheme: str) -> None:
    seen = visit(silent, url, width=width, height=height, scheme=scheme)
    seen.page.get_by_role("button", name="When are you open").wait_for()
    for begun in (False, True):
        if begun:
            seen.type(QUESTION)
            seen.until_text(".latency summary", "to first sound")
            seen.page.locator(".latency summary").first.click()
            seen.until_state("Ready to read")
        for box in ("document.documentElement", "document.querySelector('#conversation')"):
            assert seen.page.evaluate(f"{box}.scrollWidth - {box}.clientWidth") <= 0
        assert seen.page.evaluate(SMALL_TARGETS) == []
        seen.page.wait_for_timeout(300)  # until nothing fades any more
        assert seen.page.evaluate(CONTRASTS) == []
    brightness = seen.page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (brightness > 128) is (scheme == "light")
    assert seen.complaints == []
    seen.page.close()


@pytest.mark.parametrize(
    ("rates", "hertz"), [((48_000, 16_000), 1000), ((24_000, 44_100), 3000), ((22_050, 48_000), 440)]
)
def test_resampling_keeps_a_tone_as_it_is(silent: "Browser", url: str, rates: tuple[int, int], hertz: int) -> None:
    seen = visit(silent, url)
    output = np.array(seen.page.evaluate(RESAMPLED, [*rates, hertz]))
    assert abs(len(output) - rates[1]) <= 2
    expected = np.sin(2 * np.pi * hertz * np.arange(len(output)) / rates[1])
    middle = slice(200, -200)  # the tone begins and ends abruptly
    assert np.abs(output - expected)[middle].max() < 0.005
    seen.page.close()


def test_resampling_lets_nothing_through_that_the_lower_rate_cannot_hold(silent: "Browser", url: str) -> None:
    seen = visit(silent, url)
    output = np.array(seen.page.evaluate(RESAMPLED, [48_000, 16_000, 11_000]))
    assert np.abs(output[200:-200]).max() < 0.002
    seen.page.close()
