"""The command line: what it prints, where, and with which exit code, above all when something is wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from rejoinder.assistant import Assistant
from rejoinder.audio import SAMPLE_RATE
from rejoinder.cli import main
from rejoinder.cli.answers import Answer, Question, answer_all, as_record, as_text, reply_paths
from rejoinder.cli.commands import Commands, _spread
from rejoinder.errors import DomainError, ModelError
from tests.cli.command import run
from tests.fakes import fake_pipeline

DOMAIN = """
name: shop
intents:
  hours:
    patterns: ["when (are you|do you) open"]
    examples: ["when are you open", "what are your opening hours", "are you open today"]
    reply: We are open from nine to five.
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A domain with one intent."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "domain.yaml").write_text(DOMAIN)
    return folder


class TestHelp:
    def test_lists_every_command_in_a_section(self) -> None:
        shown = run("--help").stdout
        for name in main.commands:
            assert f"\n  {name} " in shown

    @pytest.mark.parametrize(
        "name",
        [*("init", "check", "ask", "talk", "adapt", "evaluate", "loadtest", "demo", "models", "doctor", "bench")],
    )
    def test_every_command_has_an_example(self, name: str) -> None:
        shown = run(name, "--help").stdout
        assert f"  rejoinder {name}" in shown
        assert "Example" in shown

    def test_as_a_module(self) -> None:
        shown = subprocess.run(
            [sys.executable, "-m", "rejoinder", "--version"], capture_output=True, text=True, check=True
        )
        assert shown.stdout.startswith("rejoinder, version ")

    def test_unknown_command_suggests_one(self) -> None:
        result = run("chek")
        assert result.exit_code == 2
        assert "chek" in result.stderr


class TestErrors:
    @pytest.fixture
    def group(self) -> Commands:
        """Commands that fail in each way."""
        failing = Commands("failing")
        raised: dict[str, BaseException] = {
            "ours": ModelError("what is wrong; type: this"),
            "disk": OSError(28, "No space left on device", "/some/file"),
            "ctrl-c": KeyboardInterrupt(),
        }
        for name, error in raised.items():

            def fail(error: BaseException = error) -> None:
                raise error

            failing.add_command(click.Command(name, callback=fail))
        return failing

    @pytest.mark.parametrize(
        ("name", "exit_code", "stderr"),
        [
            ("ours", 1, "Error: what is wrong; type: this\n"),
            ("disk", 1, "Error: /some/file: No space left on device\n"),
            ("ctrl-c", 130, ""),
        ],
    )
    def test_one_line_and_an_exit_code(self, group: Commands, name: str, exit_code: int, stderr: str) -> None:
        result = CliRunner().invoke(group, [name])
        assert (result.exit_code, result.stdout, result.stderr.lstrip("\n")) == (exit_code, "", stderr)

    @pytest.mark.parametrize("args", [("-v", "ask", "nowhere", "hello"), ("ask", "nowhere", "hello", "-v")])
    def test_verbose_shows_where(self, args: tuple[str, ...]) -> None:
        with pytest.raises(DomainError):
            run(*args)

    def test_reader_that_goes_away(self) -> None:
        ran = subprocess.run(
            f"{sys.executable} -m rejoinder models --json | true",
            shell=True,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in ran.stderr

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
    def test_output_on_a_full_disk(self) -> None:
        with Path("/dev/full").open("w") as full:
            ran = subprocess.run(
                [sys.executable, "-m", "rejoinder", "models"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert ran.returncode == 1
        assert "No space left on device" in ran.stderr
        assert "Traceback" not in ran.stderr


class TestInitAndCheck:
    def test_scaffold_is_a_valid_domain(self, tmp_path: Path) -> None:
        made = run("init", tmp_path / "mine")
        assert made.exit_code == 0, made.stderr
        assert "domain.yaml" in made.stdout
        assert f"rejoinder check {tmp_path / 'mine'}" in made.stdout
        checked = run("check", tmp_path / "mine")
        assert checked.exit_code == 0, checked.stderr
        assert "all right" in checked.stdout

    def test_init_overwrites_nothing(self, shop: Path) -> None:
        result = run("init", shop)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert (shop / "domain.yaml").read_text() == DOMAIN

    def test_check_counts(self, shop: Path) -> None:
        result = run("check", shop)
        assert result.exit_code == 0, result.stderr
        assert "1  intent\n" in result.stdout
        assert "3  examples\n" in result.stdout

    def test_check_names_file_and_line_of_every_problem(self, shop: Path) -> None:
        (shop / "domain.yaml").write_text(DOMAIN + "    slots: {drink: required}\ncolour: red\n")
        result = run("check", shop)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert f"{shop}/domain.yaml:8: " in result.stderr
        assert f"{shop}/domain.yaml:9: " in result.stderr

    @pytest.mark.parametrize("command", ["check", "ask"])
    def test_missing_domain(self, tmp_path: Path, command: str) -> None:
        result = run(command, tmp_path / "nowhere", *(["hello"] if command == "ask" else []))
        assert result.exit_code == 1
        assert "nowhere" in result.stderr
        assert "rejoinder init" in result.stderr

    def test_pronunciation_that_cannot_be_read(self, shop: Path) -> None:
        (shop / "domain.yaml").write_text(DOMAIN + "terms:\n  - {written: Xarelto, spoken: /zə7ɹɛltoʊ/}\n")
        result = run("check", shop)
        assert result.exit_code == 1
        assert "7" in result.stderr


class TestAskArguments:
    @pytest.mark.parametrize(
        ("args", "spread"),
        [
            ("d --audio a b --json", "d --audio a --audio b --json"),
            ("d --json --audio a", "d --json --audio a"),
            ("d --audio a --audio b c", "d --audio a --audio b --audio c"),
            ("d --audio=a q", "d --audio=a q"),
            ("d q1 q2", "d q1 q2"),
        ],
    )
    def test_audio_takes_many_files(self, args: str, spread: str) -> None:
        assert list(_spread("--audio", args.split())) == spread.split()

    @pytest.mark.parametrize("args", [[], ["--json"], ["--audio"], ["--audio", "--json"]])
    def test_nothing_to_ask(self, shop: Path, args: list[str]) -> None:
        result = run("ask", shop, *args)
        assert result.exit_code == 2
        assert "--audio" in result.stderr

    def test_one_file_for_two_replies(self, shop: Path) -> None:
        result = run("ask", shop, "one", "two", "--out", "both.wav")
        assert result.exit_code == 2
        assert "name a folder" in result.stderr

    def test_out_that_cannot_be_made(self, shop: Path) -> None:
        result = run("ask", shop, "one", "--out", shop / "domain.yaml" / "replies")
        assert result.exit_code == 1
        assert "cannot make this folder" in result.stderr


class TestAnswers:
    @pytest.fixture
    def silence(self, tmp_path: Path) -> Question:
        """A recording in which nothing is said."""
        soundfile.write(tmp_path / "silence.wav", np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)
        return Question(file=str(tmp_path / "silence.wav"))

    def answers(self, *questions: Question, out: Path | None = None, together: bool = False) -> list[Answer]:
        return list(answer_all(Assistant(fake_pipeline()), questions, out=out, together=together))

    def test_record_of_a_typed_question(self) -> None:
        (answer,) = self.answers(Question(text="a large latte"))
        record = json.loads(json.dumps(as_record(answer)))
        assert {"understand", "synthesize"} <= record.pop("timings_ms").keys()
        assert record == {
            "file": None,
            "question": "a large latte",
            "transcript": "a large latte",
            "intent": "order",
            "slots": {"drink": "latte", "size": "large"},
            "confidence": 0.95,
            "source": "pattern",
            "reply": "Large latte, shall I order it?",
        }

    def test_record_of_a_file(self, silence: Question) -> None:
        (answer,) = self.answers(silence)
        record = as_record(answer)
        assert list(record) == [
            *("file", "transcript", "intent", "slots", "confidence", "source", "reply", "timings_ms"),
        ]
        assert (record["file"], record["transcript"], record["intent"]) == (silence.file, "", None)

    def test_bad_file_among_many(self, silence: Question) -> None:
        bad = Question(file="nowhere.wav")
        first, failed, last = self.answers(silence, bad, silence)
        assert as_record(failed) == {"file": "nowhere.wav", "error": "nowhere.wav: no such file"}
        assert as_text(failed) == ""
        assert first.error is last.error is None

    def test_conversations(self) -> None:
        asked = (Question(text="a large latte"), Question(text="yes"))
        apart, together = self.answers(*asked)[1], self.answers(*asked, together=True)[1]
        assert apart.reply is not None
        assert together.reply is not None
        assert together.reply.text == "Your order number is 12."
        assert apart.reply.text != together.reply.text

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
    def test_reply_that_cannot_be_written_is_not_lost(self, tmp_path: Path) -> None:
        (tmp_path / "reply-1.wav").symlink_to("/dev/full")
        (answer,) = self.answers(Question(text="when are you open"), out=tmp_path)
        record = as_record(answer)
        assert record["reply"] == "From seven to six, every day of the week."
        assert record["error"] == f"{tmp_path}/reply-1.wav: cannot be written (No space left on device)"
        assert "audio" not in record

    def test_text_names_everything(self, tmp_path: Path) -> None:
        (answer,) = self.answers(Question(text="a large latte"), out=tmp_path)
        shown = click.unstyle(as_text(answer))
        for part in ("a large latte", "order  drink=latte", "0.95", "shall I order it?", "understand ", "reply-1.wav"):
            assert part in shown
        assert soundfile.info(tmp_path / "reply-1.wav").frames > 0

    def test_no_reply_overwrites_another_or_its_question(self) -> None:
        asked = [Question(file="rec/a.wav"), Question(file="other/a.wav"), Question(file="a-reply.wav"), Question("hi")]
        paths = reply_paths(asked, Path("rec"))
        assert len(set(paths)) == len(asked)
        assert not {str(path) for path in paths} & {question.file for question in asked}
        assert reply_paths(asked[:1], Path("x.wav")) == [Path("x.wav")]


class TestMachine:
    def test_models(self) -> None:
        lines = run("models").stdout.splitlines()
        assert lines[0].split()[:3] == ["NAME", "ROLE", "SIZE"]
        assert any(line.startswith("moonshine-tiny") and "MIT" in line and "yes" in line for line in lines)

    def test_models_for_programs(self) -> None:
        records = [json.loads(line) for line in run("models", "--json").stdout.splitlines()]
        hibari = next(record for record in records if record["name"] == "hibari")
        assert hibari["present"] is True
        assert hibari["licence"] == "Apache-2.0"

    def test_fetch_what_is_unknown(self) -> None:
        result = run("models", "fetch", "hibary")
        assert result.exit_code == 1
        assert "did you mean 'hibari'?" in result.stderr

    def test_doctor_for_programs(self) -> None:
        result = run("doctor", "--json")
        records = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.exit_code == any(record["status"] == "failed" for record in records)
        assert {"Python", "ONNX Runtime", "device", "model hibari", "verdict"} <= {record["name"] for record in records}

    def test_device_that_is_not_there(self) -> None:
        result = run("--device", "cuda", "doctor")
        assert result.exit_code == 1
        assert "--device cpu" in result.stdout

    def test_bench_needs_the_checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("rejoinder.cli.demo.__file__", str(tmp_path / "a/b/c/d/demo.py"))
        result = run("bench")
        assert result.exit_code == 1
        assert "source checkout" in result.stderr


@pytest.mark.model
class TestAsk:
    @pytest.fixture
    def speech(self, shop: Path, tmp_path: Path) -> Path:
        """A sentence spoken by the assistant itself: "We are open from nine to five."."""
        result = run("ask", shop, "when are you open", "--out", tmp_path / "speech.wav")
        assert result.exit_code == 0, result.stderr
        return tmp_path / "speech.wav"

    @pytest.fixture
    def recordings(self, speech: Path, tmp_path: Path) -> Path:
        """Recordings as callers and microphones leave them, and files that are none."""
        folder = tmp_path / "recordings"
        folder.mkdir()
        samples, rate = soundfile.read(speech, dtype="float32")
        noise = np.random.default_rng(0).normal(0, 0.05, 2 * SAMPLE_RATE).astype(np.float32)
        fine: dict[str, tuple[Any, int]] = {
            "silence": (np.zeros(2 * SAMPLE_RATE, np.float32), SAMPLE_RATE),
            "noise": (noise, SAMPLE_RATE),
            "click": (np.ones(8, np.float32), SAMPLE_RATE),
            "clipped": (np.clip(samples * 20, -1, 1), rate),
            "stereo": (np.stack([samples, samples], axis=1), rate),
            "rate_8000": (samples[::3], rate // 3),
            "rate_96000": (np.repeat(samples, 4), 4 * rate),
        }
        for name, (content, sample_rate) in fine.items():
            soundfile.write(folder / f"{name}.wav", content, sample_rate)
        whole = (folder / "stereo.wav").read_bytes()
        (folder / "truncated.wav").write_bytes(whole[: len(whole) * 2 // 3])
        (folder / "bad_header.wav").write_bytes(whole[:30])
        (folder / "bad_empty.wav").write_bytes(b"")
        (folder / "bad_text.wav").write_text("this is not audio")
        soundfile.write(folder / "bad_no_samples.wav", np.zeros(0, np.float32), SAMPLE_RATE)
        return folder

    def test_every_kind_of_recording(self, shop: Path, recordings: Path, tmp_path: Path) -> None:
        files = [*sorted(recordings.iterdir()), recordings / "bad_missing.wav", recordings]
        result = run("ask", shop, "--audio", *files, "--json", "--out", tmp_path / "replies")
        records = {Path(record["file"]).stem: record for record in map(json.loads, result.stdout.splitlines())}
        assert len(records) == len(files)
        bad = {name for name, record in records.items() if "error" in record}
        assert bad == {name for name in records if name.startswith("bad_") or name == "recordings"}
        assert result.exit_code == 1
        assert result.stderr.count("Error: ") == len(bad)
        assert "Traceback" not in result.stderr
        for name in records.keys() - bad:
            assert records[name]["reply"], name
            assert soundfile.info(records[name]["audio"]).frames > 0
        for name in ("silence", "noise", "click"):
            assert records[name]["transcript"] == "", name
            assert records[name]["intent"] is None, name
        for name in ("stereo", "rate_8000", "rate_96000"):
            assert "open" in records[name]["transcript"].lower(), name

    def test_questions(self, shop: Path) -> None:
        result = run("ask", shop, "when are you open", "--json", "how tall is mount everest", "--device", "cpu")
        opening, everest = map(json.loads, result.stdout.splitlines())
        assert result.exit_code == 0
        assert result.stderr == ""
        assert (opening["intent"], opening["reply"]) == ("hours", "We are open from nine to five.")
        assert list(opening) == [
            *("file", "question", "transcript", "intent", "slots", "confidence", "source", "reply", "timings_ms")
        ]
        assert everest["intent"] is None

    def test_answer_from_the_knowledge_names_its_source(self, shop: Path) -> None:
        (shop / "visiting.md").write_text(
            "# Dogs\n\nDogs are welcome outside.\n\n# Parking\n\nThere is free parking.\n"
        )
        (shop / "domain.yaml").write_text(DOMAIN + "knowledge: visiting.md\n")
        result = run("ask", shop, "are dogs welcome", "--json")
        record = json.loads(result.stdout)
        assert (record["intent"], record["source"]) == (None, "visiting.md#Dogs")
        assert record["reply"] == "Dogs are welcome outside."

    def test_missing_model(self, shop: Path) -> None:
        (shop / "domain.yaml").write_text(DOMAIN + "models: {recognizer: 'file:/nowhere'}\n")
        result = run("ask", shop, "hello")
        assert result.exit_code == 1
        assert "no such folder (/nowhere)" in result.stderr

    def test_cache_that_cannot_be_written(self, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "cache").write_text("a file where the folder should be")
        monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path / "cache"))
        result = run("ask", shop, "when are you open")
        assert result.exit_code == 0, result.stderr
        assert "We are open" in result.stdout

    def test_without_bias(self, shop: Path, speech: Path) -> None:
        result = run("ask", shop, "--no-bias", "--audio", speech)
        assert result.exit_code == 0
        assert "open" in result.stdout


@pytest.mark.model
def test_demo(tmp_path: Path) -> None:
    result = run("demo", "--out", tmp_path / "replies")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "replies").glob("*.wav"))) == 5
    assert "orderDrink" in result.stdout
    assert "after the turn's end" in result.stdout
    assert "rejoinder talk" in result.stdout
