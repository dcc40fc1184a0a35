"""`rejoinder evaluate` and `rejoinder loadtest` on the command line: what they show, refuse, and exit with."""

import json
from pathlib import Path

import numpy as np
import pytest

from rejoinder.audio import SAMPLE_RATE, save
from rejoinder.evaluate import records
from rejoinder.evaluate.records import Turn
from tests.cli.command import run

DOMAIN = """
name: shop
intents:
  hours:
    patterns: ["when are you open"]
    reply: From nine to five.
"""

CONVERSATIONS = """
conversations:
  - name: hours
    turns: [{caller: when are you open, says: nine to five}]
"""


def made(folder: Path, *lines: dict[str, object]) -> Path:
    """A domain with recordings as the lines say."""
    folder.mkdir(exist_ok=True)
    (folder / "domain.yaml").write_text(DOMAIN)
    if lines:
        (folder / "recordings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return made(tmp_path / "shop")


class TestRefused:
    """Bad input: one clear line, an exit code, no stack trace, nothing measured."""

    @pytest.mark.parametrize(
        ("args", "exit_code", "words"),
        [
            (["--conditions", "clean,tin"], 1, "unknown condition 'tin'"),
            (["--conditions", ","], 2, "is empty; write it like clean,phone,noise10"),
            (["--compare", "base,depe"], 1, "there is no system 'depe' (known: base, deep, instant"),
            (["--compare", "deep"], 1, "rejoinder adapt"),
            (["--only", "turns,voices"], 2, "'voices' is no part of an evaluation; write it like turns,"),
            (["--text", "--only", "turns"], 2, "take one of them"),
            (["--callers", "0"], 2, "'0' is no number of callers; write it like 1,4"),
            (["--repeat", "0"], 2, "0 is not in the range x>=1"),
            (["--fail-under", "understood"], 1, "is no threshold"),
            (["--fail-under", "tin.understood=9"], 1, "'tin' is no system and no condition"),
            (["--set", "none.jsonl"], 1, "none.jsonl: no such file; write one line for each recording"),
            (["--report"], 1, "is no run of an evaluation: it has no run.json"),
        ],
    )
    def test_a_wrong_option(self, shop: Path, args: list[str], exit_code: int, words: str) -> None:
        result = run("evaluate", shop, *args)
        assert result.exit_code == exit_code
        assert words in " ".join(result.stderr.split())
        assert "Traceback" not in result.stderr
        assert not (shop / "build").exists()

    @pytest.mark.parametrize("folders", [[], ["one", "two"]])
    def test_one_domain(self, folders: list[str]) -> None:
        result = run("evaluate", *folders)
        assert result.exit_code == 2
        assert "name one DOMAIN" in result.stderr

    @pytest.mark.parametrize("folders", [[], ["one", "two", "three"]])
    def test_one_run_or_two(self, folders: list[str]) -> None:
        result = run("evaluate", "--report", *folders)
        assert result.exit_code == 2
        assert "the folder of a run, or of two" in result.stderr

    def test_wrong_lines_of_the_set(self, tmp_path: Path) -> None:
        shop = made(tmp_path / "shop", {"audio_filepath": "1.wav", "text": "hello"})
        result = run("evaluate", shop)
        assert result.exit_code == 1
        assert f"{shop / 'recordings.jsonl'}:1: " in result.stderr
        assert "no such file" in result.stderr

    @pytest.mark.parametrize("args", [["--callers", "0"], ["--seconds", "0"], ["--bound-ms", "0"]])
    def test_a_wrong_load(self, shop: Path, args: list[str]) -> None:
        assert run("loadtest", shop, *args).exit_code == 2

    def test_a_load_without_callers(self, shop: Path) -> None:
        result = run("loadtest", shop)
        assert result.exit_code == 1
        assert f"write {shop / 'recordings.jsonl'}, a line for each:" in result.stderr
        assert '"audio_filepath"' in result.stderr


@pytest.mark.model
class TestConversationsAlone:
    """No recordings are needed."""

    def test_typed_in_seconds(self, shop: Path, tmp_path: Path) -> None:
        (shop / "tests").mkdir()
        (shop / "tests" / "calls.yaml").write_text(CONVERSATIONS)
        junit = tmp_path / "junit.xml"
        result = run("evaluate", shop, "--text", "--junit", junit, "--fail-under", "conversations=100")
        assert result.exit_code == 0, result.stderr
        assert "instant: 1 of 1 conversations went as they should" in result.stdout
        assert result.stdout.strip().startswith("shop: 1 conversation in "), "recordings are not spoken of"
        assert 'tests="1" failures="0"' in junit.read_text()
        assert result.stderr.count("recordings") == 0, "none are missed where none are needed"
        assert list((shop / "build" / "evaluations").glob("*/report.html"))


@pytest.mark.model
class TestMeasured:
    def test_from_the_command_to_the_report(self, tmp_path: Path) -> None:
        from rejoinder.tts.hibari import HibariSynthesizer
        from rejoinder.tts.synthesizer import spoken

        shop = made(
            tmp_path / "shop",
            {"audio_filepath": "1.wav", "text": "when are you open", "intent": "hours"},
            {"audio_filepath": "2.wav", "intent": "hours"},
        )
        save(shop / "1.wav", spoken(HibariSynthesizer.load(), "When are you open?"))
        save(shop / "2.wav", np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE).astype(np.float32))
        out = tmp_path / "run"
        command = ("evaluate", shop, "--conditions", "clean", "--only", "turns", "--out", out)
        result = run(*command, "--fail-under", "understood=90", "--fail-under", "understood=10")
        assert result.exit_code == 4, result.stderr
        assert "Failed: instant, clean: understood 50.0% is under 90%" in result.stderr
        assert result.stderr.count("Failed:") == 1
        row = next(line for line in result.stdout.splitlines() if line.startswith("instant  clean "))
        assert "50.0%" in row
        assert f"The report is in   {out / 'report.html'}" in result.stdout
        assert (out / "summary.md").read_text().count("understood 50.0% is under 90%") == 1
        assert {turn.utterance for turn in records.read(out, records.TURNS, Turn)} == {"1.wav", "2.wav"}

        (out / "report.html").unlink()
        assert run("evaluate", "--report", out).exit_code == 0
        assert (out / "report.html").is_file()
        assert run("evaluate", "--report", out, "--fail-under", "understood=90").exit_code == 4
        side_by_side = run("evaluate", "--report", out, out, "--out", tmp_path)
        assert side_by_side.exit_code == 0, side_by_side.stderr
        assert (tmp_path / "comparison.html").is_file()

        again = run(*command)
        assert again.exit_code == 1
        assert "holds a finished run already" in again.stderr

        (shop / "recordings.jsonl").write_text('{"audio_filepath": "1.wav", "text": "when are you open"}\n')
        load = run("loadtest", shop, "--callers", "1,2", "--seconds", "1", "--bound-ms", "60000", "--json")
        assert load.exit_code == 0, load.stderr
        levels = [json.loads(line) for line in load.stdout.splitlines()]
        assert [level["n_callers"] for level in levels] == [1, 2]
        assert all(level["n_lost"] == 0 and level["p95_ms"] > 200 for level in levels)
        table = run("loadtest", shop, "--callers", "1", "--seconds", "1", "--bound-ms", "1")
        assert "CALLERS  TURNS  P50" in table.stdout
        assert "Not even one caller is answered within 1 ms" in table.stdout
