"""The README is true: its commands and its Python are run, in a copy of the example folders.

A fenced `sh` or `python` block is run unless the line before it is `<!-- not run: reason -->`. In `sh`, each line that
begins with `rejoinder` is; targets of `make` are looked up in the Makefile. All share one folder, in their order.
"""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from rejoinder.domain import Domain

ROOT = Path(__file__).parents[1]

BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>sh|python)\n(?P<code>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block of the README and the line it begins at."""

    line: int
    language: str
    code: str
    reason: str | None
    """Why it is not run."""


def blocks(text: str) -> list[Block]:
    return [
        Block(text[: match.start("code")].count("\n") + 1, match["language"], match["code"], match["reason"])
        for match in BLOCK.finditer(text)
    ]


def commands(code: str) -> list[list[str]]:
    """The command lines of a `sh` block: continuation lines joined, prompts and comments dropped."""
    joined = code.replace("\\\n", " ")
    lines = (shlex.split(line.removeprefix("$ "), comments=True) for line in joined.splitlines())
    return [line for line in lines if line]


def test_blocks_are_found() -> None:
    text = (
        "# A\n```sh\n$ rejoinder ask cafe \\\n  'a b'  # why\n```\n"
        "<!-- not run: slow -->\n```python\nx = 1\n```\n```yaml\na: 1\n```\n"
    )
    shell, python = blocks(text)
    assert (shell.line, shell.reason, commands(shell.code)) == (3, None, [["rejoinder", "ask", "cafe", "a b"]])
    assert (python.line, python.reason, python.code) == (8, "slow", "x = 1\n")


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for block in blocks((ROOT / "README.md").read_text()):
        for command in commands(block.code) if block.language == "sh" else []:
            if command[0] == "make":
                assert set(command[1:]) <= targets, f"README.md:{block.line}"


def test_the_domain_that_is_shown_is_valid(tmp_path: Path) -> None:
    shown = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert shown
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge" / "page.md").write_text("# Hours\nFrom nine to five.\n")
    for text in shown:
        (tmp_path / "domain.yaml").write_text(text)
        assert Domain.load(tmp_path).intents


@pytest.mark.model
@pytest.mark.timeout(300)
def test_readme_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    ran = 0
    for block in blocks((ROOT / "README.md").read_text()):
        if block.reason:
            continue
        runs = [["-c", block.code]] if block.language == "python" else []
        if block.language == "sh":
            rejoinder = [command[1:] for command in commands(block.code) if command[0] == "rejoinder"]
            runs = [["-m", "rejoinder", *expanded(arguments, tmp_path)] for arguments in rejoinder]
        for arguments in runs:
            done = subprocess.run(
                [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, f"README.md:{block.line}: {arguments}\n{done.stdout}\n{done.stderr}"
            ran += 1
    assert ran > 3


def expanded(arguments: list[str], folder: Path) -> list[str]:
    """Arguments with `*` replaced by the files that match, as a shell does."""
    return [
        name
        for argument in arguments
        for name in (sorted(str(path) for path in folder.glob(argument)) if "*" in argument else [argument])
    ]
