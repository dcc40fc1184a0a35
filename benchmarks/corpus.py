"""The recordings that benchmarks and tests use: those that ship, and larger sets where they are there."""

import json
import os
from pathlib import Path

from rejoinder.evaluate.sets import Recording

ROOT = Path(__file__).parent.parent
CAFE = ROOT / "examples" / "cafe"
PHARMACY = ROOT / "examples" / "pharmacy"
AN4_DOMAIN = ROOT / "benchmarks" / "an4"


def data_folder(name: str) -> Path | None:
    """A larger set, looked for in `$REJOINDER_DATA`, then in `../shared/data`; None where it is absent."""
    for folder in (os.environ.get("REJOINDER_DATA"), ROOT.parent / "shared" / "data"):
        if folder and (Path(folder) / name).is_dir():
            return Path(folder) / name
    return None


def cafe() -> list[Recording]:
    """Forty customers' orders, with what they ordered."""
    rows = [json.loads(line) for line in (CAFE / "recordings.jsonl").read_text().splitlines()]
    return [Recording(CAFE / row["audio_filepath"], None, row["intent"], row["slots"]) for row in rows]


def an4_manifest(part: str) -> Path | None:
    """The manifest of AN4's "train" or "test" part; None where the set is absent."""
    folder = data_folder("an4")
    return folder / f"{part}.jsonl" if folder else None


def an4(part: str = "test") -> list[Recording]:
    """AN4's spelled names, numbers and commands with their words; empty where the set is absent."""
    manifest = an4_manifest(part)
    if manifest is None:
        return []
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    return [Recording(manifest.parent / row["audio_filepath"], row["text"]) for row in rows]
