"""A conversation by microphone: what reaches the session, the loudspeaker and the screen. No sound device is needed."""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import click
import numpy as np
import pytest

from rejoinder.audio import frames
from rejoinder.doctor import Status, examine
from rejoinder.errors import AudioError
from rejoinder.events import Event, PartialTranscript, ReplyAudio, ReplyDone, Samples, SessionEnded, TurnEnded
from rejoinder.session import Session, SessionOptions
from rejoinder.talk import FRAME_SAMPLES, Loudspeaker, Transcript, converse, open_sounddevice
from rejoinder.workers import Workers
from tests.fakes import FakeVad, fake_pipeline, silence, speak


@dataclass
class Tape:
    """A speaker that plays in no time, or, once told, never ends."""

    playing: bool = False
    samples: list[Samples] = field(default_factory=list)
    n_flushed: int = 0

    def play(self, samples: Samples, sample_rate: int) -> None:
        assert sample_rate == 24_000
        self.samples.append(samples)

    def flush(self) -> None:
        self.n_flushed += 1


async def spoken(*audio: Samples) -> AsyncIterator[Samples]:
    for frame in frames(np.concatenate(audio), FRAME_SAMPLES):
        yield frame


@pytest.fixture
def session() -> Session:
    """A session that is done with each frame before it takes the next."""
    return Session(fake_pipeline(), Workers(1), FakeVad(), options=SessionOptions(lockstep=True))  # type: ignore[arg-type]


class TestConverse:
    async def test_whole_conversation(self, session: Session) -> None:
        shown: list[Event] = []
        tape = Tape()
        await converse(session, spoken(speak("when are you open"), silence(2)), tape, show=shown.append)
        assert [event.text for event in shown if isinstance(event, TurnEnded)] == ["when are you open"]
        replies = [event.samples for event in shown if isinstance(event, ReplyAudio)]
        assert len(tape.samples) == len(replies) == 2
        assert isinstance(shown[-1], SessionEnded)

    async def test_interruption_silences_the_speaker(self, session: Session) -> None:
        shown: list[Event] = []
        tape = Tape()
        call = spoken(speak("when are you open"), silence(1.2), speak("a large latte"), silence(2))
        await converse(session, call, tape, show=shown.append)
        assert ReplyDone in {type(event) for event in shown if getattr(event, "interrupted", False)}
        assert tape.n_flushed == 1

    async def test_caller_is_not_heard_over_a_loudspeaker(self, session: Session) -> None:
        shown: list[Event] = []
        tape = Tape(playing=True)
        call = spoken(speak("when are you open"), silence(2))

        def show(event: Event) -> None:
            shown.append(event)
            tape.playing = not isinstance(event, SessionEnded)

        await converse(session, call, tape, show=show, listen_while_speaking=False)
        assert [type(event) for event in shown] == [SessionEnded]

    async def test_microphone_that_breaks(self, session: Session) -> None:
        async def broken() -> AsyncIterator[Samples]:
            yield silence(0.1)
            raise AudioError("unplugged")

        with pytest.raises(AudioError, match="unplugged"):
            await converse(session, broken(), Tape(), show=Transcript("cafe"))


class TestTranscript:
    async def test_shows_words_meaning_and_latency(self, session: Session, capsys: pytest.CaptureFixture[str]) -> None:
        call = spoken(speak("a large latte"), silence(2))
        await converse(session, call, Tape(), show=Transcript("cafe"))
        shown = click.unstyle(capsys.readouterr().out)
        assert "      you  a large latte\n" in shown
        assert "order drink=latte size=large (0.95)" in shown
        assert "     cafe  Large latte, shall I order it?\n" in shown
        assert " ms after the turn's end, " in shown
        assert "\r" not in shown

    def test_rewrites_partial_words_in_place(self, capsys: pytest.CaptureFixture[str]) -> None:
        show = Transcript("cafe", live=True)
        show(PartialTranscript("a large", 1, 0.5))
        show(PartialTranscript("a large latte", 2, 0.8))
        shown = capsys.readouterr().out
        assert "\n" not in shown
        assert shown.count("\r") == 2


class TestLoudspeaker:
    def test_plays_in_order_and_then_silence(self) -> None:
        speaker = Loudspeaker(24_000)
        speaker.play(np.full(3, 0.1, np.float32), 24_000)
        speaker.play(np.full(3, 0.2, np.float32), 24_000)
        blocks = np.full((2, 4, 1), 9.0, np.float32)
        for block in blocks:
            speaker.fill(block)
        np.testing.assert_allclose(blocks.ravel(), [0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.0, 0.0], rtol=1e-6)
        assert not speaker.playing

    def test_flush(self) -> None:
        speaker = Loudspeaker(24_000)
        speaker.play(np.ones(100, np.float32), 24_000)
        assert speaker.playing
        speaker.flush()
        assert not speaker.playing

    def test_device_with_another_rate(self) -> None:
        speaker = Loudspeaker(48_000)
        speaker.play(np.ones(2400, np.float32), 24_000)
        block = np.zeros((4800, 1), np.float32)
        speaker.fill(block)
        assert block[2400] == pytest.approx(1.0, abs=0.05)


def test_without_sounddevice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioError, match="pip install sounddevice"):
        open_sounddevice()
    microphone = next(finding for finding in examine(device="cpu") if finding.name == "microphone")
    assert microphone.status is Status.OPTIONAL
