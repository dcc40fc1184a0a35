"""`rejoinder adapt` on the command line: what it shows, refuses, and leaves behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

from rejoinder import build
from rejoinder.build import Card, Stage
from tests.cli import command

DOMAIN = """
name: shop
slots:
  size: [small, large]
intents:
  order:
    slots: {size: {required: true, ask: Which size?}}
    patterns: ["(I want|give me) a {size} (box|bag)"]
    reply: A {size} one.
  hours:
    examples: [when are you open, what are your opening hours, are you open today]
    reply: We are open from nine to five.
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "domain.yaml").write_text(DOMAIN)
    return folder


def run(*args: object) -> Result:
    """Run `rejoinder adapt` in this process."""
    return command.run("adapt", *args)


def made(shop: Path, minute: int, *, verdict: str, stage: Stage = Stage.ASR) -> Card:
    """A model of the domain, as an adaptation leaves it."""
    created = f"2026-11-23T10:{minute:02}:00+00:00"
    measures = {"domain_error": 0.3}, {"domain_error": 0.3 - minute / 100}
    card = Card(
        build.new_id(created), stage, "moonshine-tiny", created, {}, {}, *measures, verdict, "why", minutes=4.25
    )
    with build.unfinished(shop, stage) as scratch:
        (scratch / "model.onnx").write_text(f"model {minute}")
        build.publish(scratch, shop, card)
    if verdict == "promoted":
        build.promote(shop, stage, card.id)
    return card


class TestStatus:
    def test_nothing_yet(self, shop: Path) -> None:
        result = run(shop, "--status")
        assert result.exit_code == 0
        assert f"type: rejoinder adapt {shop} --deep" in result.stdout
        assert not (shop / "build").exists()

    def test_a_row_for_each_model(self, shop: Path) -> None:
        cards = [
            made(shop, 1, verdict="promoted"),
            made(shop, 2, verdict="kept aside"),
            made(shop, 3, verdict="promoted"),
        ]
        with build.work(shop, Stage.NLU, "abc"):
            pass
        lines = run(shop, "--status").stdout.splitlines()
        assert lines[0].split() == ["STAGE", "MODEL", "STATE", "MEASURED", "TUNED", "FROM", "MINUTES"]
        for line, card, state in zip(lines[1:], cards, ("not in use", "kept aside", "in use"), strict=False):
            assert line.startswith(f"asr    {card.id}  {state} ")
            assert line.endswith("moonshine-tiny  4.2")
        assert "errors on the domain 30.0% → 27.0%" in lines[3]
        assert lines[4].startswith("nlu    work-abc")
        assert "interrupted" in lines[4]

    def test_as_json_of_one_stage(self, shop: Path) -> None:
        made(shop, 1, verdict="promoted")
        card = made(shop, 2, verdict="promoted", stage=Stage.VOICE)
        (record,) = map(json.loads, run(shop, "voice", "--status", "--json").stdout.splitlines())
        assert (record["id"], record["stage"], record["state"]) == (card.id, "voice", "in use")


class TestRollback:
    def test_step_by_step_to_the_base(self, shop: Path) -> None:
        first, _ = made(shop, 1, verdict="promoted"), made(shop, 2, verdict="promoted")
        assert run(shop, "--rollback").stdout == f"asr: {first.id} is in use again\n"
        assert run(shop, "asr", "--rollback").stdout == "asr: the base model is in use again\n"
        result = run(shop, "--rollback")
        assert result.exit_code == 1
        assert "no adapted model is in use" in result.stderr

    def test_from_a_model_that_is_gone(self, shop: Path) -> None:
        card = made(shop, 1, verdict="promoted")
        (shop / "build" / "asr" / card.id / "model.onnx").unlink()
        (shop / "build" / "asr" / card.id / "card.json").unlink()
        assert run(shop, "--rollback").stdout == "asr: the base model is in use again\n"

    def test_which_one(self, shop: Path) -> None:
        for stage in (Stage.ASR, Stage.VOICE):
            made(shop, 1, verdict="promoted", stage=stage)
        result = run(shop, "--rollback")
        assert result.exit_code == 1
        assert f"rejoinder adapt {shop} voice --rollback" in result.stderr
        assert build.promoted(shop, Stage.ASR) is not None


@pytest.mark.model
def test_instant_says_what_it_did_and_how_to_go_on(shop: Path) -> None:
    result = run(shop)
    assert result.exit_code == 0, result.stderr
    assert "recognition listens for 2 terms and values" in result.stdout
    assert "understanding tells 2 intents apart" in result.stdout
    assert f"rejoinder adapt {shop} --deep" in result.stdout
    assert not (shop / "build").exists()


class TestRefused:
    """Bad input: one clear line, an exit code, no stack trace, nothing written."""

    @pytest.mark.parametrize(
        ("args", "exit_code", "words"),
        [
            (["tts"], 2, "'tts' is not one of 'asr', 'nlu', 'reader', 'voice'"),
            (["--epochs", "0", "--deep"], 2, "0 is not in the range x>=1"),
            (["--recipe", "learning_rate", "--deep", "asr"], 2, "write NAME=VALUE"),
            (["--base", "moonshine-tiny"], 2, "--base: only fine-tuning takes this; add --deep"),
            (["--manifest", "a.jsonl", "--seed", "0"], 2, "--manifest, --seed: only fine-tuning"),
            (["nlu", "--deep", "--manifest", "a.jsonl"], 1, "--manifest is for the stage 'asr'"),
            (["asr", "--deep", "--consent", "yes"], 1, "--consent is for the stage 'voice'"),
            (["--deep", "--base", "moonshine-tiny"], 1, "--base is for one stage; name it"),
            (["--deep", "--recipe", "n_epochs=1"], 1, "--recipe is for one stage; name it"),
        ],
    )
    def test_options(self, shop: Path, args: list[str], exit_code: int, words: str) -> None:
        result = run(shop, *args)
        assert result.exit_code == exit_code
        assert words in " ".join(result.stderr.split())
        assert "Traceback" not in result.stderr
        assert not (shop / "build").exists()

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["voice"], "a voice is learned from recordings of a speaker: --voice-data FOLDER"),
            (["voice", "--voice-data", "anna"], "only with their consent"),
            (["voice", "--voice-data", "anna", "--consent", "yes"], "only with their consent"),
            (["voice", "--voice-data", "anna", "--consent", "Anna agreed on 1 May"], "anna"),
            (["reader"], "questions.json is not there"),
            (["reader", "--questions", "mine.json"], "mine.json"),
            (["asr", "--recipe", "learning_rat=1"], "did you mean 'learning_rate'?"),
            (["asr", "--recipe", "learning_rate=fast"], "learning_rate: must be a number, not 'fast'"),
            (["asr", "--base", "moonshine-tini"], "unknown model 'moonshine-tini'; did you mean 'moonshine-tiny'?"),
            (["nlu", "--base", "file:/nowhere"], "no such folder (/nowhere)"),
            (["asr", "--device", "cuda"], "PyTorch sees no CUDA device"),
        ],
    )
    def test_what_a_stage_needs(
        self, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        result = run(shop, "--deep", *args)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: "), "before anything is done"
        assert words in result.stderr
        assert not (shop / "build").exists()

    @pytest.mark.parametrize("args", [["--status"], ["--rollback"], [], ["--deep"]])
    def test_no_domain(self, tmp_path: Path, args: list[str]) -> None:
        result = run(tmp_path / "nowhere", *args)
        assert result.exit_code == 1
        assert "rejoinder init" in result.stderr

    def test_without_the_train_extra(self, shop: Path) -> None:
        code = f"""
import sys
from importlib import util
found = util.find_spec
util.find_spec = lambda name, *args: None if name == "torch" else found(name, *args)
for name in ("torch", "transformers", "safetensors", "peft"):
    sys.modules[name] = None  # importing it fails
import rejoinder.errors
rejoinder.errors.find_spec = util.find_spec
from rejoinder.cli import main
main(["adapt", {str(shop)!r}, *sys.argv[1:]])
"""

        def without_torch(*args: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)

        deep = without_torch("--deep")
        assert deep.returncode == 1
        assert deep.stderr == "Error: this needs the 'train' extra; type: pip install 'rejoinder[train]'\n"
        made(shop, 1, verdict="promoted")
        for args in (["--status"], ["--rollback"]):
            assert without_torch(*args).returncode == 0
