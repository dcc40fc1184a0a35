"""One recording through a live session: what is written down of it."""

from pathlib import Path

import numpy as np
import pytest

from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE, save
from rejoinder.conditions import condition
from rejoinder.evaluate.hearing import Heard, hear, is_wrong
from rejoinder.evaluate.records import TURNS, Meaning, Turn, append, read
from rejoinder.evaluate.rehearsal import rehearsed
from rejoinder.evaluate.sets import Recording
from rejoinder.evaluate.turntaking import Call
from rejoinder.events import Samples
from tests.fakes import FakeActions, FakeRecognizer, fake_pipeline, silence, speak

pytestmark = pytest.mark.usefixtures("fake_ears")

LATTE = {"drink": "latte", "size": "large"}


def heard(
    samples: Samples,
    text: str | None = None,
    intent: str | None = None,
    slots: dict[str, str] | None = None,
    **stages: object,
) -> Heard:
    """A call as the cafe in miniature hears it."""
    recording = Recording(Path("1.flac"), text, intent, slots)
    assistant = Assistant(fake_pipeline(**stages))  # type: ignore[arg-type]
    try:
        return hear(assistant, recording, Call.of(samples), system="base", condition="clean", utterance="1.flac")
    finally:
        assistant.close()


def test_a_turn_that_is_understood() -> None:
    samples = np.concatenate([silence(0.32), speak("a large latte"), silence(0.32)])
    turn = heard(samples, "a large latte", "order", LATTE).turn
    assert turn.key == ("base", "clean", "1.flac")
    assert (turn.said, turn.heard, turn.n_turns) == ("a large latte", "a large latte", 1)
    assert turn.is_understood
    assert not turn.is_cut_off
    assert turn.understood == Meaning("order", LATTE, 0.95, "pattern") == turn.of_reference
    assert (turn.whole, turn.of_whole) == (None, None), "only where the live session failed"
    assert turn.speech_end_s == pytest.approx(0.32 + 3 * 0.192, abs=0.001)
    assert turn.heard_until_s == pytest.approx(turn.speech_end_s, abs=0.033)
    assert turn.decided_s is not None
    assert 0.2 < turn.decided_s - turn.speech_end_s < 0.8
    assert turn.reply == "Large latte, shall I order it?"
    assert set(turn.took_s) == {"recognize", "understand", "respond", "first audio"}
    assert turn.confidence == pytest.approx(0.9)
    assert turn.duration_s == pytest.approx(len(samples) / SAMPLE_RATE, abs=0.001)


def test_a_turn_that_was_cut_off_and_taken_up_again_counts_once() -> None:
    turn = heard(speak("a latte ... a large latte"), None, "order", LATTE).turn
    assert turn.is_cut_off
    assert turn.n_turns == 1
    assert turn.heard == "a latte a large latte"
    assert not turn.is_understood
    assert turn.whole == "a latte a large latte", "with all of it in one piece it fares no better"
    assert turn.of_whole is not None
    assert not turn.of_whole.same_as(Meaning("order", LATTE))


def test_two_turns_of_one_recording_are_both_heard_and_the_last_one_counts() -> None:
    turn = heard(np.concatenate([speak("a latte"), silence(1.92), speak("a large latte")]), None, "order", LATTE).turn
    assert (turn.heard, turn.n_turns) == ("a latte a large latte", 2)
    assert turn.is_understood


def test_what_was_never_answered() -> None:
    turn = heard(silence(1.0), "a latte", "order", {"drink": "latte"}).turn
    assert (turn.heard, turn.understood, turn.n_turns, turn.heard_until_s) == ("", None, 0, None)
    assert turn.is_understood is False
    assert turn.whole == ""


@pytest.mark.parametrize(("words", "right"), [("what is the weather", True), ("a latte", False)])
def test_what_no_intent_covers(words: str, right: bool) -> None:
    turn = heard(speak(words), None, None, {}).turn
    assert turn.meant == Meaning(None, {})
    assert turn.is_understood is right


def test_where_only_the_words_are_known() -> None:
    right, wrong = (heard(speak("a large latte"), text) for text in ("A large latte!", "a large mocha"))
    assert right.turn.meant is None
    assert right.turn.is_understood is None
    assert right.turn.of_reference is not None
    assert [is_wrong(one.turn) for one in (right, wrong)] == [False, True]


def test_a_stage_that_fails_is_told() -> None:
    broken = FakeRecognizer(fail=lambda _: True)
    one = heard(speak("a latte"), "a latte", recognizer=broken)
    assert set(one.failures) == {"recognition failed: RuntimeError"}
    assert one.turn.heard == ""


def test_feeding_ends_with_the_first_sound_of_the_answer() -> None:
    one = heard(np.concatenate([speak("a latte"), silence(20.0)]), "a latte")
    assert one.turn.decided_s is not None
    assert one.turn.decided_s < 2.0, "or the assistant would ask whether anybody is there"
    assert one.turn.n_turns == 1


def test_what_is_kept_is_what_the_session_heard() -> None:
    samples = speak("a large latte")
    one = heard(samples)
    assert np.array_equal(one.samples, samples)


def test_an_assistant_that_is_measured_places_no_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    actions = FakeActions()
    pipeline = fake_pipeline(actions=actions)
    monkeypatch.setattr("rejoinder.evaluate.rehearsal.Rehearsal.load", lambda _: _rehearsal(actions))
    conversation = rehearsed(Assistant(pipeline)).conversation()
    conversation.ask("a large latte")
    assert "order number" in conversation.ask("yes").text
    assert actions.ran == []


def _rehearsal(actions: FakeActions) -> object:
    from rejoinder.evaluate.rehearsal import Rehearsal

    return Rehearsal({"actions:place_order": lambda slots: actions.ran.append(("place_order", slots))})


def test_turns_are_read_as_they_were_written(tmp_path: Path) -> None:
    turns = [heard(speak(words), "a latte", "order", {"drink": "latte"}).turn for words in ("a latte", "a large")]
    append(tmp_path, TURNS, *turns)
    assert list(read(tmp_path, TURNS, Turn)) == turns


@pytest.mark.model
def test_a_voice_through_a_telephone(tmp_path: Path) -> None:
    from rejoinder.tts.hibari import HibariSynthesizer
    from rejoinder.tts.synthesizer import spoken

    (tmp_path / "domain.yaml").write_text(
        "name: shop\nintents:\n  hours:\n    patterns: [when are you open]\n    reply: From nine to five.\n"
    )
    save(tmp_path / "1.wav", spoken(HibariSynthesizer.load(), "when are you open?"))
    recording = Recording(tmp_path / "1.wav", "when are you open", "hours", {})
    call = Call.of(recording.load(), condition("phone"), np.random.default_rng(0))
    assistant = Assistant.load(tmp_path)
    turn = hear(assistant, recording, call, system="instant", condition="phone", utterance="1.wav").turn
    assistant.close()
    assert turn.is_understood
    assert turn.reply == "From nine to five."
    assert not turn.is_cut_off
