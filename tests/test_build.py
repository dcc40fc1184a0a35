"""The store of adapted models: whole or not at all, checked when opened, and always a way back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rejoinder import build
from rejoinder.build import Card, Stage
from rejoinder.errors import ModelError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder of the test's own: what was verified before must not matter."""
    monkeypatch.setenv("REJOINDER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


def published(domain: Path, number: int, *, stage: Stage = Stage.ASR) -> Card:
    """A model that holds its number, made in the minute of that number."""
    created = f"2026-11-23T10:{number:02}:00+00:00"
    card = Card(build.new_id(created, str(number)), stage, "moonshine-tiny", created, after={"domain_error": 0.1})
    with build.unfinished(domain, stage) as scratch:
        (scratch / "model.onnx").write_text(f"model {number}")
        (scratch / "parts").mkdir()
        (scratch / "parts" / "tokens.txt").write_text("a b c")
        folder = build.publish(scratch, domain, card)
    return Card.read(folder / build.CARD)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestPublish:
    def test_a_model_and_its_card(self, domain: Path) -> None:
        card = published(domain, 1)
        folder = domain / "build" / "asr" / card.id
        assert card.id.startswith("20261123-100100-")
        assert names(folder) == {"model.onnx", "parts", "card.json"}
        assert set(card.hashes) == {"model.onnx", "parts/tokens.txt"}
        assert card.after == {"domain_error": 0.1}
        assert build.cards(domain, Stage.ASR) == (card,)
        assert names(folder.parent) == {card.id}, "nothing is left over"

    def test_it_is_not_committed(self, domain: Path) -> None:
        published(domain, 1)
        assert (domain / "build" / ".gitignore").read_text().splitlines()[-1] == "*"

    def test_it_promotes_nothing(self, domain: Path) -> None:
        published(domain, 1)
        assert build.promoted(domain, Stage.ASR) is None
        assert build.promoted_card(domain, Stage.ASR) is None

    def test_only_under_an_id(self, domain: Path) -> None:
        with build.unfinished(domain, Stage.ASR) as scratch, pytest.raises(ValueError, match="new_id"):
            build.publish(scratch, domain, Card("../../elsewhere", Stage.ASR, "base", build.now()))

    def test_a_run_that_fails_leaves_nothing(self, domain: Path) -> None:
        def fail() -> None:
            with build.unfinished(domain, Stage.ASR) as scratch:
                (scratch / "model.onnx").write_text("half")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert names(domain / "build" / "asr") == set()

    def test_a_folder_that_cannot_be_written(self, domain: Path) -> None:
        (domain / "build").write_text("a file where the folder should be")
        with pytest.raises(ModelError, match="build/asr: cannot be made"), build.unfinished(domain, Stage.ASR):
            pass


class TestPromote:
    def test_the_latest_and_the_way_back(self, domain: Path) -> None:
        first, second = published(domain, 1), published(domain, 2)
        for card in (first, second):
            build.promote(domain, Stage.ASR, card.id)
            assert build.promoted(domain, Stage.ASR) == domain / "build" / "asr" / card.id
            assert build.promoted_card(domain, Stage.ASR) == card
        assert build.rollback(domain, Stage.ASR) == first
        assert build.promoted_card(domain, Stage.ASR) == first
        assert build.rollback(domain, Stage.ASR) is None
        assert build.promoted(domain, Stage.ASR) is None
        with pytest.raises(ModelError, match="no asr model is promoted"):
            build.rollback(domain, Stage.ASR)
        assert build.cards(domain, Stage.ASR) == (first, second), "the models themselves are kept"

    def test_twice_is_once(self, domain: Path) -> None:
        card = published(domain, 1)
        build.promote(domain, Stage.ASR, card.id)
        build.promote(domain, Stage.ASR, card.id)
        assert build.rollback(domain, Stage.ASR) is None

    def test_stages_do_not_touch(self, domain: Path) -> None:
        card = published(domain, 1, stage=Stage.VOICE)
        build.promote(domain, Stage.VOICE, card.id)
        assert build.promoted(domain, Stage.ASR) is None
        with pytest.raises(ModelError, match=f"no model '{card.id}' \\(known: none\\)"):
            build.promote(domain, Stage.ASR, card.id)

    def test_rollback_passes_over_what_was_deleted(self, domain: Path) -> None:
        made = [published(domain, number) for number in (1, 2, 3)]
        for card in made:
            build.promote(domain, Stage.ASR, card.id)
        gone = domain / "build" / "asr" / made[1].id
        gone.rename(domain / "elsewhere")
        assert build.rollback(domain, Stage.ASR) == made[0]


class TestDamage:
    @pytest.fixture
    def model(self, domain: Path) -> Path:
        card = published(domain, 1)
        build.promote(domain, Stage.ASR, card.id)
        folder = build.promoted(domain, Stage.ASR)
        assert folder is not None
        return folder

    def test_a_changed_file_is_found(self, domain: Path, model: Path) -> None:
        (model / "model.onnx").write_text("model 2")
        with pytest.raises(ModelError, match=r"model\.onnx: is damaged.*adapt .* asr --rollback"):
            build.promoted(domain, Stage.ASR)
        assert build.rollback(domain, Stage.ASR) is None

    def test_a_missing_file_is_found(self, domain: Path, model: Path) -> None:
        (model / "model.onnx").unlink()
        with pytest.raises(ModelError, match=r"model\.onnx: cannot be read"):
            build.promoted(domain, Stage.ASR)

    def test_a_missing_model_is_found(self, domain: Path, model: Path) -> None:
        model.rename(domain / "elsewhere")
        with pytest.raises(ModelError, match=r"is missing.*--rollback"):
            build.promoted(domain, Stage.ASR)
        assert build.rollback(domain, Stage.ASR) is None

    @pytest.mark.parametrize("card", ["", "{}", "[]", '{"id": 3, "stage": "asr", "base": "b", "created": "now"}'])
    def test_a_card_that_is_none(self, domain: Path, model: Path, card: str) -> None:
        (model / "card.json").write_text(card)
        with pytest.raises(ModelError, match=r"card\.json: is no card"):
            build.promoted(domain, Stage.ASR)
        assert build.cards(domain, Stage.ASR) == ()

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", '{"id": "../../..", "history": []}', '{"id": null, "history": [1]}', '{"id": null}']
    )
    def test_a_damaged_record_says_how_to_go_back(self, domain: Path, model: Path, content: str) -> None:
        record = model.parent / "promoted.json"
        record.write_text(content)
        with pytest.raises(ModelError, match="delete it to go back"):
            build.promoted(domain, Stage.ASR)
        record.unlink()
        assert build.promoted(domain, Stage.ASR) is None


def test_a_domain_without_models(domain: Path) -> None:
    for stage in Stage:
        assert build.promoted(domain, stage) is None
        assert build.cards(domain, stage) == ()
        assert build.interrupted(domain, stage) == ()
    assert names(domain) == set(), "looking makes no folder"


class TestWork:
    def test_the_same_adaptation_finds_its_folder_again(self, domain: Path) -> None:
        key = build.digest("base", ["data"], {"epochs": 2})
        with build.work(domain, Stage.ASR, key) as folder:
            (folder / "checkpoint").write_text("step 7")
        with build.work(domain, Stage.ASR, build.digest("base", ["data"], {"epochs": 3})) as other:
            assert names(other) == set()
        with build.work(domain, Stage.ASR, key) as folder:
            assert (folder / "checkpoint").read_text() == "step 7"
        assert len(build.interrupted(domain, Stage.ASR)) == 2
        assert build.cards(domain, Stage.ASR) == ()
        build.forget_work(domain, Stage.ASR)
        assert build.interrupted(domain, Stage.ASR) == ()

    def test_a_digest_tells_values_apart(self) -> None:
        values = [("a", "b"), ("ab",), (["a"], "b"), (["a", "b"],), ({"a": 1},), ({"a": 1.5},), ({"b": 1},)]
        assert len({build.digest(*one) for one in values}) == len(values)
        assert build.digest({"a": 1, "b": 2}) == build.digest({"b": 2, "a": 1})

    @pytest.fixture
    def killed(self, domain: Path) -> Iterator[subprocess.Popen[str]]:
        """Another process in the middle of an adaptation; to be killed."""
        code = f"""
import pathlib, time
from rejoinder import build
domain = pathlib.Path({str(domain)!r})
with build.work(domain, build.Stage.ASR, "key"), build.unfinished(domain, build.Stage.ASR) as scratch:
    (scratch / "model.onnx").write_text("half a mod")
    print("ready", flush=True)
    time.sleep(60)
"""
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()
        process.communicate()

    def test_one_at_a_time(self, domain: Path, killed: "subprocess.Popen[str]") -> None:
        with pytest.raises(ModelError, match="another process is adapting"), build.work(domain, Stage.ASR, "other"):
            pass
        with build.work(domain, Stage.NLU, "key"):
            pass  # another stage may go on
        killed.kill()
        killed.wait()
        with build.work(domain, Stage.ASR, "other"):
            pass

    def test_what_a_killed_one_left_is_never_a_model(self, domain: Path, killed: "subprocess.Popen[str]") -> None:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        stage = domain / "build" / "asr"
        left = [name for name in names(stage) if name.startswith(".part-")]
        assert len(left) == 1
        assert build.cards(domain, Stage.ASR) == ()
        with build.work(domain, Stage.ASR, "key"):
            assert not [name for name in names(stage) if name.startswith(".part-")]


def test_promoting_writes_the_record_whole_or_not_at_all(domain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = published(domain, 1), published(domain, 2)
    build.promote(domain, Stage.ASR, first.id)

    def full(path: Path, text: str, *, encoding: str) -> int:
        assert text.encode(encoding)
        path.open("w").close()  # what a full disk leaves
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        build.promote(domain, Stage.ASR, second.id)
    monkeypatch.undo()
    assert json.loads((domain / "build" / "asr" / "promoted.json").read_text())["id"] == first.id
    assert build.promoted_card(domain, Stage.ASR) == first
