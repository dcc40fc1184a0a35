"""A voice learnt from a speaker: Asterisk's prompts (Allison Smith, CC BY-SA 3.0), which Debian packages.

apt install asterisk-core-sounds-en-g722 asterisk-core-sounds-en && pip install G722
"""

import gzip
import os
import re
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import CAFE
from rejoinder import audio
from rejoinder.adapt.voice.adaptation import VoiceAdaptation
from rejoinder.domain import Domain
from rejoinder.progress import Progress
from rejoinder.text import normalize

SOUNDS = Path("usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
INSTALL = "apt install asterisk-core-sounds-en-g722 asterisk-core-sounds-en && pip install G722"
CONSENT = (
    "Allison Smith published these prompts under CC BY-SA 3.0; used here to measure, never to ship or to speak for her"
)

LEAST_S = 0.8
N_MINUTES = 15
"""Of the prompts; what is held out comes from them, too."""


def voice(folder: Path, progress: Progress) -> dict[str, Any]:
    """Figures of the donor and of the voice that was learnt, with the minutes that each part took.

    "skipped" says what to type where the prompts are not there; Debian's packages may also be unpacked into the folder
    that `$REJOINDER_ASTERISK` names.
    """
    root = Path(os.environ.get("REJOINDER_ASTERISK", "/"))
    if not (root / SOUNDS).is_dir() or not (root / TEXTS).is_file() or find_spec("G722") is None:
        return {"voice": {"skipped": f"needs Asterisk's prompts; type: {INSTALL}"}}
    recordings = folder / "recordings"
    _unpack(root, recordings)
    adaptation = VoiceAdaptation(Domain.load(CAFE), recordings=recordings, consent=CONSENT)
    timer = _Timer()
    data = adaptation.gather(progress)
    before = adaptation.measure(None, progress)
    timer.lap("gather and measure the donor")
    adaptation.learn_donor(progress)
    timer.lap("learn a decoder from the donor, once")
    model = adaptation.train(folder, progress)
    timer.lap("train")
    after = adaptation.measure(model, progress)
    timer.lap("measure")
    figures = {
        "grade": adaptation.recipe["grade"],
        "recorded_minutes": data["train"]["minutes"],
        "before": {name: round(value, 4) for name, value in before.items()},
        "after": {name: round(value, 4) for name, value in after.items()},
        "minutes": timer.minutes,
    }
    return {"voice": figures}


class _Timer:
    """Minutes by part."""

    def __init__(self) -> None:
        self.minutes: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, part: str) -> None:
        """What has just ended is called `part`."""
        now = time.monotonic()
        self.minutes[part] = round((now - self._last) / 60, 1)
        self._last = now


def _unpack(root: Path, folder: Path) -> None:
    """Decode what is speech and said once, in a folder as LJSpeech has it."""
    from G722 import G722  # type: ignore[import-not-found]  # only this benchmark uses it

    wavs = folder / "wavs"
    wavs.mkdir(parents=True, exist_ok=True)
    lines: dict[str, str] = {}
    seconds = 0.0
    for name, text in _prompts(root / TEXTS):
        encoded = root / SOUNDS / f"{name}.g722"
        if not encoded.is_file() or normalize(text) in lines or seconds > 60 * N_MINUTES:
            continue
        samples = np.asarray(G722(16_000, 64_000).decode(encoded.read_bytes()), np.int16)
        if len(samples) >= LEAST_S * 16_000:
            key = name.replace("/", "_")
            audio.save(wavs / f"{key}.wav", audio.from_int16(samples), 16_000)
            lines[normalize(text)] = f"{key}|{text}"
            seconds += len(samples) / 16_000
    (folder / "metadata.csv").write_text("\n".join(lines.values()) + "\n", encoding="utf-8")


def _prompts(path: Path) -> list[tuple[str, str]]:
    """Names and texts, without those that describe a sound or carry markup."""
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        parted = [line.strip().partition(":") for line in file if not line.startswith(";")]
    found = [(name.strip(), text.strip(" .")) for name, _, text in parted]
    return [(name, text) for name, text in found if normalize(text) and not re.search(r"[][<>@=*(){}|]", text)]
