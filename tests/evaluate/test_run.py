"""Whole evaluations, in processes of their own: what they leave, and that nothing is measured twice or lost."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from rejoinder import build
from rejoinder.audio import SAMPLE_RATE, save
from rejoinder.domain import Domain
from rejoinder.errors import AudioError, ModelError, RejoinderError
from rejoinder.evaluate import records
from rejoinder.evaluate.records import Played, Run, Turn, Wait, read_run
from rejoinder.evaluate.run import Evaluation, evaluate
from rejoinder.evaluate.sets import Recording, TestSet, domain_tests
from rejoinder.evaluate.systems import systems
from rejoinder.evaluate.tasks import ENDINGS, EvaluationOptions, Part
from rejoinder.evaluate.turntaking import SETTINGS, Ending

pytestmark = pytest.mark.model

DOMAIN = """
name: shop
intents:
  hours:
    patterns: ["when are you open"]
    reply: From nine to five.
  place:
    patterns: ["where are you"]
    reply: In the high street.
"""

CONVERSATIONS = """
conversations:
  - name: hours
    turns: [{caller: when are you open, says: nine to five}]
  - name: place
    turns: [{caller: where are you, says: on the moon}]
"""

QUICK = EvaluationOptions(conditions=("clean", "phone"), parts=frozenset((Part.TURNS,)), n_processes=1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    """A domain whose two callers are a voice and noise; caches of its own."""
    from rejoinder.tts.hibari import HibariSynthesizer
    from rejoinder.tts.synthesizer import spoken

    folder = tmp_path_factory.mktemp("shop")
    (folder / "domain.yaml").write_text(DOMAIN)
    (folder / "tests").mkdir()
    (folder / "tests" / "calls.yaml").write_text(CONVERSATIONS)
    save(folder / "1.wav", spoken(HibariSynthesizer.load(), "When are you open?"))
    save(folder / "2.wav", np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE).astype(np.float32))
    lines = (
        {"audio_filepath": "1.wav", "text": "when are you open", "intent": "hours"},
        {"audio_filepath": "2.wav", "intent": "place"},
    )
    (folder / "recordings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REJOINDER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Domain.load(folder)


def run(
    shop: Domain, out: Path | None, options: EvaluationOptions = QUICK, names: tuple[str, ...] = ("base",)
) -> Evaluation:
    return evaluate(shop, systems(shop, names), domain_tests(shop), options=options, out=out)


@pytest.fixture(scope="module")
def done(shop: Domain, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Two systems, two conditions, a moment of load."""
    parts = frozenset((Part.TURNS, Part.ENDPOINTING, Part.LATENCY))
    options = replace(QUICK, parts=parts, callers=(2,), latency_s=1.0)
    return run(shop, tmp_path_factory.mktemp("runs") / "one", options, ("base", "instant"))


class TestWhatIsLeft:
    def test_a_turn_for_each_recording_condition_and_system(self, done: Evaluation) -> None:
        turns = list(records.read(done.folder, records.TURNS, Turn))
        assert sorted(turn.key for turn in turns) == sorted(
            (system, condition, name)
            for system in ("base", "instant")
            for condition in ("clean", "phone")
            for name in ("1.wav", "2.wav")
        )
        by_key = {turn.key: turn for turn in turns}
        assert by_key["instant", "clean", "1.wav"].is_understood
        assert by_key["instant", "clean", "2.wav"].understood is None, "noise is no turn"

    def test_only_what_went_wrong_can_be_listened_to(self, done: Evaluation) -> None:
        for turn in records.read(done.folder, records.TURNS, Turn):
            assert (turn.audio is not None) is (turn.is_understood is False)
            if turn.audio is not None:
                assert (done.folder / turn.audio).is_file()
        kept = [path.name for path in (done.folder / records.AUDIO).iterdir()]
        assert len([name for name in kept if name.startswith("2-")]) == 2, "the systems heard the same"

    def test_figures(self, done: Evaluation) -> None:
        heard = done.scores.heard
        assert {system: list(by_condition) for system, by_condition in heard.items()} == {
            "base": ["clean", "phone"],
            "instant": ["clean", "phone"],
        }
        assert heard["instant"]["clean"].turn_taking.n_unanswered == 1
        assert {point.setting for point in done.scores.endpointing} == set(SETTINGS)
        assert len(list(records.read(done.folder, ENDINGS, Ending))) == 2 * len(SETTINGS)
        assert {wait.system for wait in records.read(done.folder, records.WAITS, Wait)} == {"base", "instant"}
        assert done.scores.latency["instant"][0].n_callers == 2

    def test_the_run_says_what_it_was(self, done: Evaluation, shop: Domain) -> None:
        assert read_run(done.folder) == done.run
        assert done.run.minutes > 0
        assert done.run.problems == ()
        assert done.run.systems["instant"]["asr"] == "moonshine-tiny"
        assert done.run.test_set == domain_tests(shop).describe()  # type: ignore[union-attr]

    def test_a_finished_run_is_not_written_over(self, done: Evaluation, shop: Domain) -> None:
        with pytest.raises(RejoinderError, match="holds a finished run"):
            run(shop, done.folder)


class TestGoingOn:
    def test_what_is_there_is_not_measured_again(self, shop: Domain, tmp_path: Path) -> None:
        done = run(shop, tmp_path / "run")
        path = done.folder / records.TURNS
        lines = path.read_text().splitlines()
        kept = [json.loads(line) | {"reply": "kept"} for line in lines[:2]]
        cut_short = lines[2][: len(lines[2]) // 2]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept) + cut_short)
        (done.folder / records.RUN).write_text(
            json.dumps(asdict(replace(done.run, minutes=0.0, problems=("recognition failed",))))
        )
        again = run(shop, done.folder)
        assert again.resumed
        assert again.run.id == done.run.id
        assert again.run.minutes >= done.run.minutes
        assert again.run.problems == ("recognition failed",), "of what was measured before it was killed"
        turns = list(records.read(done.folder, records.TURNS, Turn))
        assert len({turn.key for turn in turns}) == len(turns) == len(lines)
        assert [turn.reply for turn in turns].count("kept") == 2

    @pytest.mark.timeout(600)  # the models are loaded three times, at the pace of a busy machine
    def test_after_ctrl_c_and_after_it_was_killed(self, shop: Domain, tmp_path: Path) -> None:
        out = tmp_path / "run"
        command = [
            sys.executable,
            "-m",
            "rejoinder",
            "evaluate",
            str(shop.folder),
            "--only",
            "turns",
            "--out",
            str(out),
        ]

        def stopped(by: signal.Signals, after: int) -> tuple[int, str]:
            """Stop it when it has written so many turns; how it ended, and what it said."""
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            while len(list(records.read(out, records.TURNS, Turn))) < after and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(by)
            _, said = process.communicate()
            return process.returncode, said

        code, said = stopped(signal.SIGINT, 1)
        assert code == 130, said
        assert "Interrupted. To go on from here, type:" in said
        assert "Traceback" not in said
        n_before = len(list(records.read(out, records.TURNS, Turn)))
        assert 1 <= n_before < 10
        stopped(signal.SIGKILL, n_before + 1)
        assert read_run(out).minutes == 0.0
        result = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        turns = list(records.read(out, records.TURNS, Turn))
        assert len({turn.key for turn in turns}) == len(turns) == 10
        assert json.loads(result.stdout)["folder"] == str(out)


def test_its_place_in_the_domain_is_found_again(shop: Domain) -> None:
    nothing = replace(QUICK, parts=frozenset())
    first = run(shop, None, nothing)
    assert first.folder == shop.folder / "build" / "evaluations" / first.run.id
    unfinished = replace(first.run, minutes=0.0)
    (first.folder / records.RUN).write_text(json.dumps(asdict(unfinished)))
    other = run(shop, None, replace(nothing, conditions=("clean",)))
    assert other.folder != first.folder, "it is another run"
    again = run(shop, None, nothing)
    assert (again.folder, again.resumed) == (first.folder, True)
    assert run(shop, None, nothing).folder != first.folder, "it is finished"


def test_a_recording_that_cannot_be_read_is_told_and_the_others_are_heard(shop: Domain, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF, and nothing more")
    tests = TestSet(
        "calls",
        (Recording(tmp_path / "broken.wav", "hello"), Recording(shop.folder / "1.wav", "when are you open")),
    )
    done = evaluate(shop, systems(shop, ["base"]), tests, options=QUICK, out=tmp_path / "run")
    assert [turn.utterance for turn in records.read(done.folder, records.TURNS, Turn)] == ["1.wav", "1.wav"]
    assert len(done.run.problems) == 2
    assert all("broken.wav" in problem and "not audio that can be read" in problem for problem in done.run.problems)


def test_without_recordings_the_rest_is_measured(shop: Domain, tmp_path: Path) -> None:
    options = replace(QUICK, parts=frozenset((Part.TURNS, Part.LATENCY, Part.CONVERSATIONS)), text_only=True, repeat=2)
    done = evaluate(shop, systems(shop, ["instant"]), None, options=options, out=tmp_path / "run")
    assert done.scores.heard == {}
    assert (done.scores.conversations["instant"].n, done.scores.conversations["instant"].n_ok) == (2, 1)
    played = list(records.read(done.folder, records.PLAYED, Played))
    assert [(one.name, one.mode, one.repeat) for one in played] == [
        (name, "text", repeat) for name in ("hours", "place") for repeat in (0, 1)
    ]
    assert done.run.test_set["n"] == 0


class TestRefused:
    """Before any process is begun."""

    def test_a_condition_that_there_is_not(self, shop: Domain, tmp_path: Path) -> None:
        with pytest.raises(AudioError, match="unknown condition 'tin'"):
            run(shop, tmp_path / "run", replace(QUICK, conditions=("tin",)))
        assert not (tmp_path / "run").exists()

    def test_a_folder_without_noise(self, shop: Domain, tmp_path: Path) -> None:
        with pytest.raises(AudioError, match="no recordings of noise"):
            run(shop, tmp_path / "run", replace(QUICK, noises=tmp_path))

    def test_a_folder_that_holds_something_else(self, shop: Domain, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("all of it")
        with pytest.raises(RejoinderError, match="is not empty, and no run"):
            run(shop, tmp_path)

    def test_another_run(self, shop: Domain, tmp_path: Path) -> None:
        other = Run("1", "shop", "", {}, (), {}, "", "", key="another")
        (tmp_path / records.RUN).write_text(json.dumps(asdict(other)))
        with pytest.raises(RejoinderError, match="holds the run of another domain, set or system"):
            run(shop, tmp_path)

    @pytest.mark.parametrize("text", ["{", "[]", '{"id": 1}'])
    def test_a_damaged_run(self, shop: Domain, tmp_path: Path, text: str) -> None:
        (tmp_path / records.RUN).write_text(text)
        with pytest.raises(RejoinderError, match=r"run\.json: is damaged"):
            run(shop, tmp_path)

    def test_two_at_once(self, shop: Domain, tmp_path: Path) -> None:
        nothing = replace(QUICK, parts=frozenset())
        begun = run(shop, tmp_path / "run", nothing)
        (begun.folder / records.RUN).write_text(json.dumps(asdict(replace(begun.run, minutes=0.0))))
        with (
            build.locked(begun.folder / ".lock", ""),
            pytest.raises(ModelError, match="another process is at this run"),
        ):
            run(shop, begun.folder, nothing)
