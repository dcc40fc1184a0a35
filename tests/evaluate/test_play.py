"""Conversations played through sessions: typed, spoken and heard, interrupted, left alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE, save
from rejoinder.domain import Domain
from rejoinder.evaluate import turntaking
from rejoinder.evaluate.conversation import Conversation, Expected, Manner, Turn, domain_conversations
from rejoinder.evaluate.play import Callers, Mode, play_all
from rejoinder.evaluate.records import Played, PlayedTurn
from rejoinder.evaluate.rehearsal import Rehearsal
from rejoinder.events import Samples, Understanding
from rejoinder.vad import CHUNK_SAMPLES
from tests.fakes import FakeActions, FakeRecognizer, FakeSynthesizer, FakeUnderstander, FakeVad, fake_pipeline, speak

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
BOTH: tuple[Mode, ...] = ("text", "audio")


class FakeVoice(FakeSynthesizer):
    """Speaks what `FakeRecognizer` reads back."""

    def __init__(self) -> None:
        super().__init__(sample_rate=SAMPLE_RATE)

    def synthesize(self, text: str) -> Iterator[Samples]:
        self.spoken.append(text)
        yield speak(text)


@pytest.fixture(autouse=True)
def _fake_ears(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have fake speech taken for speech."""

    def loud(samples: Samples) -> tuple[float, float]:
        at = np.flatnonzero(np.abs(samples) > 0.05)
        return (float(at[0]) / SAMPLE_RATE, float(at[-1]) / SAMPLE_RATE) if len(at) else (0.0, 0.0)

    if request.node.get_closest_marker("model") is None:
        monkeypatch.setattr("rejoinder.assistant.Vad", SimpleNamespace(load=FakeVad))
        monkeypatch.setattr(turntaking, "speech_span", loud)


def assistant(**stages: object) -> Assistant:
    return Assistant(fake_pipeline(**{"synthesizer": FakeVoice(), **stages}))  # type: ignore[arg-type]


def conversation(*turns: Turn, **settings: object) -> Conversation:
    return Conversation("a call", "tests/calls.yaml", 3, turns, **settings)  # type: ignore[arg-type]


def says(text: str, **expected: object) -> Turn:
    return Turn(text, expected=Expected(**expected))  # type: ignore[arg-type]


def play(mode: Mode, *turns: Turn, of: Assistant | None = None, **settings: object) -> Played:
    (played,) = play_all(of or assistant(), [conversation(*turns, **settings)], system="base", mode=mode)
    return played


def failed(played: Played) -> list[tuple[str, str]]:
    return [(check.what, check.got) for turn in played.turns for check in turn.checks if not check.ok]


@pytest.mark.parametrize("mode", BOTH)
def test_an_order_from_the_greeting_to_the_action(mode: Mode) -> None:
    actions = FakeActions()
    played = play(
        mode,
        Turn(expected=Expected(says=("Hello",))),
        says(
            "a large latte", intent="order", slots={"drink": "latte", "size": "large"}, says=("shall I",), action="none"
        ),
        says("yes", action="place_order", says=("number is 12",), not_says=("sorry",), ends="none"),
        of=assistant(actions=actions),
    )
    assert (played.ok, played.error, failed(played)) == (True, None, [])
    assert (played.system, played.file, played.name, played.mode) == ("base", "tests/calls.yaml", "a call", mode)
    assert [turn.caller for turn in played.turns] == ["(the call begins)", "a large latte", "yes"]
    assert [turn.heard for turn in played.turns] == ["", "a large latte", "yes"]
    assert played.turns[2].reply == "Your order number is 12."
    assert actions.ran == [("place_order", {"drink": "latte", "size": "large"})]


@pytest.mark.parametrize("mode", BOTH)
def test_what_is_not_as_expected_is_told_and_the_conversation_goes_on(mode: Mode) -> None:
    played = play(
        mode, says("a latte", intent="hours", slots={"drink": "tea"}, says=("tea",)), says("yes", says=("12",))
    )
    assert not played.ok
    assert failed(played) == [
        ("intent", "order"),
        ("slots", "drink: latte"),
        ("says", "Latte, shall I order it?"),
    ]
    assert len(played.turns) == 2


def test_typed_replies_are_not_spoken_unless_they_are_timed() -> None:
    voice = FakeVoice()
    plain = play("text", says("a latte"), of=assistant(synthesizer=voice))
    assert (voice.spoken, plain.turns[0].took_ms) == ([], None)
    timed = play("text", says("a latte", within_ms=60_000), of=assistant(synthesizer=voice))
    assert voice.spoken == ["Latte, shall I order it?"]
    assert (timed.ok, timed.turns[0].took_ms is not None) == (True, True)


def test_aloud_the_time_is_from_the_last_sample_of_speech() -> None:
    turn = play("audio", says("a latte")).turns[0]
    assert turn.took_ms is not None
    assert 224 <= turn.took_ms <= 1_500  # no turn ends before 0.224 s of silence


@pytest.mark.parametrize(("at_s", "interrupted"), [(1.0, True), (30.0, False)])
@pytest.mark.parametrize("mode", BOTH)
def test_words_at_a_moment_of_the_reply(mode: Mode, at_s: float, interrupted: bool) -> None:
    change = Turn("a large latte", at_s=at_s, expected=Expected(says=("Large latte",)))
    played = play(mode, says("when are you open"), change)
    assert played.ok
    aloud = play(mode, says("when are you open"), Turn("a large latte", at_s=at_s, expected=Expected(interrupted=True)))
    assert aloud.ok is (interrupted or mode == "text")  # typed, nobody can tell


def test_a_backchannel_does_not_interrupt_and_is_not_typed() -> None:
    turns = [says("when are you open"), Turn("okay", at_s=1.0, expected=Expected(interrupted=False, says=("none",)))]
    spoken, typed = play("audio", *turns, says("a latte", intent="order")), play("text", *turns)
    assert spoken.ok
    assert [(check.what, check.got) for check in spoken.turns[1].checks] == [
        ("says", "(nothing)"),
        ("interrupted", "no"),
    ]
    assert typed.turns[1] == PlayedTurn("okay", "", "", (), None)


@pytest.mark.parametrize("mode", BOTH)
def test_a_silence_brings_prompts_and_at_last_the_end(mode: Mode) -> None:
    played = play(
        mode,
        says("a latte"),
        Turn(silence_s=9.0, expected=Expected(says=("none",))),
        Turn(silence_s=3.0, expected=Expected(says=("still there",))),
        Turn(silence_s=25.0, expected=Expected(ends="idle")),
    )
    assert failed(played) == []
    assert played.turns[1].caller == "(silent for 9 s)"


def test_a_call_that_is_over_before_its_last_turn() -> None:
    played = play("text", says("a latte"), Turn(silence_s=40.0), says("yes"))
    assert played.error == "the call was over before turn 3 (idle)"
    assert (played.ok, len(played.turns)) == (False, 2)


def test_what_goes_wrong_in_one_conversation_spares_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    broken = conversation(Turn(recording=tmp_path / "broken.wav"))
    first, second = play_all(assistant(), [broken, conversation(says("a latte"))], system="", mode="audio")
    assert "broken.wav: not audio that can be read" in (first.error or "")
    assert second.ok


def test_a_stage_that_fails_is_an_error() -> None:
    played = play("audio", says("a latte"), of=assistant(recognizer=FakeRecognizer(fail=lambda _: True)))
    assert played.error == "recognition failed: RuntimeError"


def test_recordings_are_played_and_for_text_transcribed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "latte.wav"
    save(path, np.concatenate([speak("a latte"), np.zeros(CHUNK_SAMPLES * 20, np.float32)]))
    heard: list[Path | None] = []

    def transcribe(_callers: Callers, turn: Turn) -> str:
        heard.append(turn.recording)
        return "a latte"

    monkeypatch.setattr(Callers, "transcribe", transcribe)
    assert play("text", Turn(recording=path, expected=Expected(intent="order"))).ok
    assert play("text", Turn("a latte", recording=path, expected=Expected(intent="order"))).ok
    assert heard == [path]  # where the words are given, they are typed


@pytest.mark.parametrize("mode", BOTH)
def test_actions_that_are_pretended_do_not_run(mode: Mode) -> None:
    actions = FakeActions()
    turns = [says("a latte"), says("yes", says=("number is 99",), action="place_order")]
    assert play(mode, *turns, of=assistant(actions=actions), pretend={"place_order": {"number": "99"}}).ok
    turns = [says("a latte"), says("yes", says=("did not work",), action="fails")]
    assert play(mode, *turns, of=assistant(actions=actions), pretend={"place_order": None}).ok
    assert actions.ran == []


def test_a_rehearsed_assistant_acts(tmp_path: Path) -> None:
    (tmp_path / "domain.yaml").write_text(
        "intents: {bell: {examples: [ring, ring the bell], action: 'actions:ring', returns: [n], reply: 'Rung {n}.'}}"
    )
    (tmp_path / "actions.py").write_text("def ring(slots): return {'n': 'twice'}")
    domain = Domain.load(tmp_path)
    ring = FakeUnderstander({"ring": Understanding("ring", "bell", 1.0, {}, "pattern")})
    rehearsed = assistant(actions=Rehearsal.load(domain), domain=domain, understander=ring)
    assert play("text", says("ring", says=("Rung twice",), action="bell"), of=rehearsed).ok


def test_repetitions_are_numbered_and_progress_is_told() -> None:
    told: list[tuple[int, int, str]] = []
    conversations = [conversation(says("a latte")), conversation(says("yes"))]
    played = play_all(
        assistant(),
        conversations,
        system="",
        mode="text",
        repeat=2,
        progress=lambda _task, n, total, note="": told.append((n, total, note)),
    )
    assert [one.repeat for one in played] == [0, 1, 0, 1]
    assert told == [*((n, 4, "a call") for n in range(4)), (4, 4, "")]


class TestCallers:
    def test_the_first_time_nothing_varies_and_then_everything(self) -> None:
        callers, turn = Callers(assistant()), says("a large latte")
        plain = [callers.call(turn, np.random.default_rng(n), vary=False) for n in range(2)]
        assert np.array_equal(plain[0].samples, plain[1].samples)
        varied = [callers.call(turn, np.random.default_rng(n), vary=True) for n in (1, 1, 2)]
        assert np.array_equal(varied[0].samples, varied[1].samples)
        assert not np.array_equal(varied[0].samples[:20_000], varied[2].samples[:20_000])

    def test_pace_and_condition(self) -> None:
        callers, rng = Callers(assistant()), np.random.default_rng(0)

        def call(**manner: object) -> turntaking.Call:
            turn = Turn("a large latte please", manner=Manner(**manner))  # type: ignore[arg-type]
            return callers.call(turn, rng, vary=False)

        plain, fast, noisy = call(), call(speed=2.0), call(condition="noise10")
        assert fast.end_s - fast.begin_s == pytest.approx((plain.end_s - plain.begin_s) / 2, abs=0.05)
        assert (noisy.begin_s, noisy.end_s) == (plain.begin_s, plain.end_s)  # found before the noise hid it
        assert np.abs(noisy.samples[:1_000]).max() > 0

    def test_a_voice_that_is_not_there_is_the_conversations_error(self) -> None:
        turn = Turn("a latte", manner=Manner(voice="nobody"))
        played = play("audio", turn)
        assert "unknown model 'nobody'" in (played.error or "")


def test_an_action_that_fails_was_not_run() -> None:
    played = play(
        "text", says("a latte"), says("yes", action="place_order"), of=assistant(actions=FakeActions(fail=True))
    )
    assert failed(played) == [("action", "place_order, which failed")]


def untimed(conversations: Sequence[Conversation]) -> list[Conversation]:
    """The same on a machine of any speed."""

    def turn(one: Turn) -> Turn:
        return replace(one, expected=replace(one.expected, within_ms=None))

    return [replace(one, turns=tuple(map(turn, one.turns))) for one in conversations]


@pytest.mark.model
@pytest.mark.parametrize("name", ["cafe", "pharmacy"])
def test_the_conversations_that_ship_go_as_they_should_in_text(name: str) -> None:
    shipped = Assistant.load(EXAMPLES / name)
    played = play_all(shipped, untimed(domain_conversations(shipped.domain)), system="base", mode="text")
    assert {one.name: (one.error, failed(one)) for one in played if not one.ok} == {}


@pytest.mark.model
def test_the_cafe_aloud_interrupted_over_a_telephone_and_in_silence() -> None:
    cafe = Assistant.load(EXAMPLES / "cafe")
    wanted = ("interrupted in", "only says uh-huh", "telephone line", "silence is broken")
    chosen = [one for one in untimed(domain_conversations(cafe.domain)) if any(part in one.name for part in wanted)]
    assert len(chosen) == len(wanted)
    played = play_all(cafe, chosen, system="base", mode="audio")
    assert {one.name: (one.error, failed(one)) for one in played if not one.ok} == {}
