"""`rejoinder adapt … --deep` as a process of its own: what it prints, and what survives when it is cut short."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rejoinder import Assistant, build
from rejoinder.build import Stage
from rejoinder.cli import main
from tests.adapt.asr.small import moonshine_folder
from tests.adapt.shop import make_manifest, make_quick, make_shop

pytestmark = pytest.mark.model

PROGRAM = """
import sys
from pytest import MonkeyPatch
from tests.adapt.shop import make_quick
make_quick(MonkeyPatch())
from rejoinder.cli import main
sys.argv[0] = "rejoinder"
main()
"""

CHECKPOINT = "checkpoint.safetensors"


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins of `make_quick`, and a cache of the test's own."""
    monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path / "cache"))
    make_quick(monkeypatch)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_shop(tmp_path / "shop")


@pytest.fixture
def command(shop: Path, tmp_path: Path) -> list[str]:
    base = moonshine_folder(tmp_path / "small")
    settings = ["n_sentences=12", "n_replayed=4", "checkpoint_every_s=0"]
    recipe = [part for setting in settings for part in ("--recipe", setting)]
    return ["adapt", str(shop), "asr", "--deep", "--base", f"file:{base}", "--device", "cpu", *recipe]


def run(command: list[str]) -> Result:
    """Run the command in this process; errors that it does not handle are raised."""
    result = CliRunner().invoke(main, command)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@contextmanager
def started(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """The command as a process of its own, killed at the end whatever happens."""
    call = [sys.executable, "-c", PROGRAM, *command]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def newest_checkpoint_ns(shop: Path) -> int:
    """When the training last kept a checkpoint; 0 for never."""
    kept = (shop / "build" / "asr").rglob(CHECKPOINT)
    return max((path.stat().st_mtime_ns for path in kept), default=0)


@contextmanager
def interrupted_after(shop: Path, kept_ns: int) -> Iterator[None]:
    """Press Ctrl-C in this process as soon as there is a checkpoint that is newer."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            if newest_checkpoint_ns(shop) > kept_ns:
                os.kill(os.getpid(), signal.SIGINT)
                return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


@pytest.mark.timeout(600)  # on a busy machine
def test_killed_interrupted_and_brought_to_an_end(
    command: list[str], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command += ["--epochs", "8"]
    with started(command) as process:
        while not newest_checkpoint_ns(shop):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert build.cards(shop, Stage.ASR) == ()
    assert build.promoted(shop, Stage.ASR) is None

    monkeypatch.setattr(sys, "argv", ["rejoinder", *command])
    with interrupted_after(shop, newest_checkpoint_ns(shop)):
        result = run(command)
    assert result.exit_code == 130, result.stderr
    assert "Interrupted: nothing was promoted. To go on from here, type:" in result.stderr
    assert f"rejoinder adapt {shop} asr --deep" in result.stderr
    assert result.stdout == ""
    assert build.cards(shop, Stage.ASR) == ()
    assert len(build.interrupted(shop, Stage.ASR)) == 1

    result = run(command)
    assert result.exit_code == 3, result.stderr
    (card,) = build.cards(shop, Stage.ASR)
    assert "some of them in an earlier run" in result.stdout
    assert "errors on the domain" in result.stdout
    assert f"Kept aside: {card.reason}" in result.stdout
    assert f"It is in {shop / 'build' / 'asr' / card.id}" in result.stdout
    assert "rollback" not in result.stdout
    assert build.interrupted(shop, Stage.ASR) == ()
    assert build.promoted(shop, Stage.ASR) is None


def test_a_disk_that_fills_up(command: list[str], shop: Path) -> None:
    Assistant.load(shop).close()  # what the cache keeps is larger than the checkpoint
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        result = run(command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert "the checkpoint cannot be written" in last
    assert "make room there and type the same command" in last
    assert build.cards(shop, Stage.ASR) == ()


class TestBadManifests:
    """Whatever is wrong with the owner's recordings is said before anything is trained, each line named."""

    def refused(self, command: list[str], manifest: Path) -> str:
        result = run([*command, "--manifest", str(manifest)])
        assert (result.exit_code, result.stdout) == (1, ""), result.stderr
        assert "Error: " in result.stderr
        return result.stderr

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            ("", "train.jsonl: holds no utterances"),
            ('{"audio_filepath": "missing.wav", "text": "a"}', "train.jsonl:1: "),
            ('{"audio_filepath": "0.wav", "text": "a box", "sample_rate": 48000}', '"sample_rate" is 48000 Hz'),
            ('{"audio_filepath": "0.wav"}', 'train.jsonl:1: "text" must be what is said'),
        ],
    )
    def test_lines(self, command: list[str], tmp_path: Path, lines: str, words: str) -> None:
        manifest = make_manifest(tmp_path / "calls", n=1)
        manifest.write_text(lines)
        assert words in self.refused(command, manifest)

    def test_missing(self, command: list[str], tmp_path: Path) -> None:
        assert "nowhere.jsonl: cannot be read" in self.refused(command, tmp_path / "nowhere.jsonl")

    def test_a_recording_of_the_test_set(self, command: list[str], shop: Path) -> None:
        (shop / "train.jsonl").write_text('{"audio_filepath": "0.wav", "text": "give me a large box please"}\n')
        stderr = self.refused(command, shop / "train.jsonl")
        assert "1 of the 2 test recordings are in the training data too" in stderr
        assert str(shop / "0.wav") in stderr

    def test_characters_that_cannot_be_written(self, command: list[str], tmp_path: Path) -> None:
        manifest = make_manifest(tmp_path / "calls", n=12, text="ein großer Kaffee für 3 €")
        stderr = self.refused(command, manifest)
        assert "12 of 24 utterances cannot be learned" in stderr
        assert "the recognizer cannot write" in stderr
