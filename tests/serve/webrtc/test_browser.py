"""Chromium calls by WebRTC with a real recording as its microphone."""

from pathlib import Path

import pytest
from fastapi.responses import HTMLResponse

from rejoinder import audio
from rejoinder.serve.app import create_app
from tests.fakes import fake_pipeline
from tests.serve.live import serving
from tests.serve.page.browsing import ALLOWED, FAKE_DEVICE, RECORDING, WAIT_MS, browser, chromium, microphone
from tests.serve.realtime.serving import FakeAssistant, SureRecognizer
from tests.serve.webrtc.test_calls import Humming

PAGE = Path(__file__).with_name("page.html")

ENERGY = """async () => [...(await window.peer.getStats()).values()]
    .find((report) => report.type === "inbound-rtp" && report.kind === "audio").totalAudioEnergy"""


def test_a_browser_speaks_and_hears_the_answer(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright; type: make install")
    chromium()
    assistant = FakeAssistant(fake_pipeline(recognizer=SureRecognizer(), synthesizer=Humming()))
    app = create_app(assistant)
    app.get("/calling", response_class=HTMLResponse)(PAGE.read_text)
    calls = app.state.calls
    said = microphone(tmp_path / "said.wav", 2.0, audio.load(RECORDING), 10.0)
    with (
        serving(app) as url,
        playwright.sync_playwright() as driver,
        browser(driver, ALLOWED, FAKE_DEVICE, said) as one,
    ):
        page = one.new_page()
        page.goto(f"{url}/calling")
        page.click("#call")
        page.wait_for_function(
            "window.events.some((event) => event.type === 'output_audio_buffer.stopped')", timeout=WAIT_MS
        )
        kinds = page.evaluate("window.events.map((event) => event.type)")
        assert kinds[0] == "session.created"
        assert "conversation.item.input_audio_transcription.completed" in kinds
        assert "error" not in kinds
        assert page.evaluate(ENERGY) > 0.001
        assert calls.admission.n_inside == 1
    assert calls.admission.n_inside == 0
