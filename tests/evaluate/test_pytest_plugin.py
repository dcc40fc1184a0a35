"""The plug-in for pytest: what it takes, what it leaves alone, what it says, and that it costs nothing unasked."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

# Loaded here, because pytester unloads what is loaded in the runs that it makes, and libyaml does not take that.
from rejoinder.assistant import Assistant
from rejoinder.domain import Domain
from rejoinder.errors import ModelError
from rejoinder.evaluate import junit, play, pytest_plugin  # noqa: F401
from tests.fakes import FakeVad, fake_pipeline
from tests.test_imports import HEAVY

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "no:rejoinder", "-p", "rejoinder.evaluate.pytest_plugin")  # once, whether it is installed or not

DOMAIN = """
slots: {drink: [latte, tea], size: [small, large]}
intents:
  order:
    patterns: ["a [{size}] {drink}"]
    slots: {drink: {required: true, ask: Which drink?}, size: }
    confirm: "[{size} ]{drink}, shall I order it?"
    reply: Done.
"""

CALLS = """
conversations:
  - name: a latte
    turns:
      - {caller: a latte, intent: order, says: shall I order it}
  - name: a large latte
    turns:
      - {caller: a large latte, slots: {drink: tea}, says: [latte, which tea]}
"""

loaded: list[Path] = []


@pytest.fixture
def shop(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A domain with two conversations, the second of which fails, and an assistant that needs no models."""

    def load(folder: Path) -> Assistant:
        loaded.append(folder)
        return Assistant(fake_pipeline(domain=Domain.load(folder)))

    loaded.clear()
    monkeypatch.setattr(Assistant, "load", load)
    monkeypatch.setattr("rejoinder.assistant.Vad", SimpleNamespace(load=FakeVad))
    folder = pytester.mkdir("shop")
    (folder / "domain.yaml").write_text(DOMAIN)
    (folder / "tests").mkdir()
    (folder / "tests" / "calls.yaml").write_text(CALLS)
    return folder


def run(pytester: pytest.Pytester, *arguments: object) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*PLUGIN, "-p", "no:asyncio", "-p", "no:cacheprovider", *map(str, arguments))


def test_each_conversation_is_a_test_and_the_assistant_is_loaded_once(pytester: pytest.Pytester, shop: Path) -> None:
    result = run(pytester, "--rejoinder", "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["shop/tests/calls.yaml::a latte PASSED*", "shop/tests/calls.yaml::a large latte FAILED*"]
    )
    assert loaded == [shop]


def test_a_failure_is_a_readable_dialogue(pytester: pytest.Pytester, shop: Path) -> None:
    result = run(pytester, "--rejoinder", shop)
    result.stdout.fnmatch_lines(
        [
            "*calls.yaml:6: a large latte (as text)",
            "caller     a large latte",
            "assistant  Large latte, shall I order it?",
            "  ✗ slots: drink: tea (got: drink: latte, size: large)",
            "  ✓ says: latte",
            "  ✗ says: which tea",
        ],
        consecutive=False,
    )
    assert "Traceback" not in result.stdout.str()
    assert "play_all" not in result.stdout.str()


def test_one_conversation_can_be_chosen_and_repeated_aloud(pytester: pytest.Pytester, shop: Path) -> None:
    chosen = f"{shop}/tests/calls.yaml::a large latte"
    run(pytester, "--rejoinder", chosen).assert_outcomes(failed=1)
    spoken = run(pytester, "--rejoinder", "--rejoinder-mode", "audio", "--rejoinder-repeat", 2, chosen)
    spoken.stdout.fnmatch_lines(["*a large latte (as audio)"])  # the fake voice does not speak the fake language


def test_no_repetition_at_all_is_refused(pytester: pytest.Pytester, shop: Path) -> None:
    result = run(pytester, "--rejoinder", "--rejoinder-repeat", 0, shop)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--rejoinder-repeat must be 1 or more"])


def test_unasked_it_takes_nothing_but_what_is_named(pytester: pytest.Pytester, shop: Path) -> None:
    assert run(pytester).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert run(pytester, shop).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    run(pytester, shop / "tests" / "calls.yaml").assert_outcomes(passed=1, failed=1)


def test_files_of_other_projects_are_left_alone(pytester: pytest.Pytester, shop: Path) -> None:
    other = pytester.mkdir("other")
    (other / "tests").mkdir()
    (other / "tests" / "data.yaml").write_text("[1, 2")
    (shop / "tests" / "more").mkdir()
    (shop / "tests" / "more" / "data.yaml").write_text("[1, 2")
    (shop / "data.yaml").write_text("[1, 2")
    run(pytester, "--rejoinder").assert_outcomes(passed=1, failed=1)


def test_a_mistake_in_a_file_is_a_collection_error(pytester: pytest.Pytester, shop: Path) -> None:
    (shop / "tests" / "calls.yaml").write_text("conversations: [{name: a, turns: [{caller: hi, intent: ordr}]}]")
    result = run(pytester, "--rejoinder")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*calls.yaml:1: unknown intent 'ordr' (did you mean 'order'? *"])
    (shop / "domain.yaml").write_text("nam: shop")
    run(pytester, "--rejoinder").stdout.fnmatch_lines(["*domain.yaml:1: unknown key 'nam' (did you mean 'name'? *"])


def test_an_assistant_that_cannot_be_loaded_is_said_in_a_line(
    pytester: pytest.Pytester, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_folder: Path) -> Assistant:
        raise ModelError("model 'hibari' is not installed; type: pip install hibari-tts")

    monkeypatch.setattr(Assistant, "load", broken)
    result = run(pytester, "--rejoinder", shop)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["model 'hibari' is not installed; type: pip install hibari-tts"])
    assert "Traceback" not in result.stdout.str()


def test_pytest_starts_without_anything_heavy() -> None:
    code = "import rejoinder.evaluate.pytest_plugin, sys; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "rejoinder.evaluate.pytest_plugin" in names
    assert not (set(HEAVY) - {"rich"}) & set(names)
    assert [name for name in names if name.startswith("rejoinder.")] == [
        "rejoinder.evaluate",
        "rejoinder.evaluate.pytest_plugin",
    ]
