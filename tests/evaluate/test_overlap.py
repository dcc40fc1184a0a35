"""Speaking over a reply: what stops it, when, and what does not."""

from pathlib import Path

import numpy as np
import pytest

from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE
from rejoinder.evaluate import overlap
from rejoinder.evaluate.overlap import Overlap, behaviour, overlaps
from rejoinder.evaluate.records import append, read
from rejoinder.evaluate.tasks import OVERLAPS
from rejoinder.events import Samples
from rejoinder.tts.synthesizer import spoken
from tests.fakes import fake_pipeline, silence, speak


@pytest.mark.usefixtures("fake_ears")
class TestOverlaps:
    @pytest.fixture(autouse=True)
    def _voices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def said(words: str) -> list[tuple[str, Samples]]:
            return [(words, np.concatenate([silence(0.32), speak(words)]))]

        monkeypatch.setattr(overlap, "_backchannels", lambda: said("okay right"))
        monkeypatch.setattr(overlap, "_interruptions", lambda: said("stop"))

    def test_a_backchannel_lets_it_go_on_and_words_stop_it(self) -> None:
        assistant = Assistant(fake_pipeline())
        told: list[tuple[object, ...]] = []
        recordings = {"1.flac": speak("when are you open")}
        found = overlaps(assistant, recordings, system="base", progress=lambda *what: told.append(what))
        assistant.close()
        assert [(one.said, one.is_backchannel) for one in found] == [
            ("okay right", True),
            ("stop", False),
            ("1.flac", False),
        ]
        backchannel, short, recording = found
        assert (backchannel.stopped_s, backchannel.heard) == (None, "okay right")
        assert short.stopped_s is None or short.stopped_s > 0.1
        assert recording.stopped_s is not None
        assert 0.25 < recording.stopped_s < 0.8, "from its first sample, the silence before it aside"
        assert recording.heard
        assert told[-1] == ("speaking over replies", 3, 3)

    def test_recordings_are_no_more_than_tell_something(self) -> None:
        assistant = Assistant(fake_pipeline())
        recordings = {f"{n}.flac": speak("when are you open") for n in range(overlap.MOST_RECORDINGS + 3)}
        found = overlaps(assistant, recordings, system="base")
        assistant.close()
        assert len(found) == 2 + overlap.MOST_RECORDINGS


def test_figures_by_system() -> None:
    found = [
        Overlap("base", "yeah", is_backchannel=True, stopped_s=None),
        Overlap("base", "okay", is_backchannel=True, stopped_s=0.5),
        *(Overlap("base", "stop", is_backchannel=False, stopped_s=seconds) for seconds in (0.3, 0.4, 0.5, None)),
        Overlap("deep", "stop", is_backchannel=False, stopped_s=None),
    ]
    figures = behaviour(found)
    base = figures["base"]
    assert (base.n_backchannels, base.n_wrongly_stopped, base.n_interruptions, base.n_missed) == (2, 1, 4, 1)
    assert base.stop_p50_ms == pytest.approx(400)
    assert base.stop_p95_ms == pytest.approx(490)
    assert (figures["deep"].stop_p50_ms, figures["deep"].n_missed) == (0.0, 1)
    assert behaviour([]) == {}


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = [Overlap("base", "yeah", is_backchannel=True, stopped_s=None, heard="Yeah.")]
    append(tmp_path, OVERLAPS, *found)
    assert list(read(tmp_path, OVERLAPS, Overlap)) == found


@pytest.mark.model
def test_the_voices_that_are_installed_say_what_is_to_be_said() -> None:
    voices = dict(overlap._voices())
    assert "hibari" in voices
    for voice in voices.values():
        said = spoken(voice, overlap.INTERRUPTIONS[0])
        assert 0.4 * SAMPLE_RATE < len(said) < 3 * SAMPLE_RATE
        assert said.dtype == np.float32
