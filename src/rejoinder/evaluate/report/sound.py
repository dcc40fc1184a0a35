"""Recordings within a page: embedded while there is room for them, then linked; each with its waveform."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import numpy as np

from rejoinder import audio
from rejoinder.errors import AudioError
from rejoinder.evaluate.report.charts import waveform
from rejoinder.evaluate.report.components import swatch
from rejoinder.evaluate.report.markup import Html, tag
from rejoinder.events import Samples

EMBEDDED_MOST = 24_000_000
"""Bytes of audio files that a page takes in; in base64 they are a third more. Mail and chat still take such a page."""

N_PEAKS = 160
"""Points of a waveform."""

TYPES = {".flac": "audio/flac", ".wav": "audio/wav", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}
"""Formats that browsers play."""

Moment = tuple[float, str, str]
"""Seconds, a colour of the style sheet, and what happens there."""


@dataclass
class Sounds:
    """The recordings that a page takes in, in the order in which they are asked for."""

    folder: Path
    """The page's, to which names are relative."""
    within: Sequence[Path]
    """Folders of runs: a record may name no file outside of them."""
    n_left: int = EMBEDDED_MOST
    n_linked: int = field(default=0, init=False)

    def path_of(self, name: str | None) -> Path | None:
        """The file of that name, if it is a recording of a run."""
        if not name or "\0" in name:
            return None
        path = (self.folder / name).resolve()
        inside = any(path.is_relative_to(folder.resolve()) for folder in self.within)
        return path if inside and path.suffix in TYPES and path.is_file() else None

    def content_of(self, name: str | None) -> str:
        """Recordings of equal content have equal keys; empty where there is none."""
        path = self.path_of(name)
        return sha256(path.read_bytes()).hexdigest() if path else ""

    def player(self, name: str | None, label: str) -> Html | None:
        """The browser's own player; None where there is no recording."""
        path = self.path_of(name)
        if path is None or name is None:
            return None
        n_bytes = path.stat().st_size
        if n_bytes <= self.n_left:
            self.n_left -= n_bytes
            encoded = base64.b64encode(path.read_bytes()).decode("ascii")
            source = f"data:{TYPES[path.suffix]};base64,{encoded}"
        else:
            self.n_linked += 1
            source = quote(Path(name).as_posix())
        return tag("audio", controls=True, preload="none", src=source, aria_label=label)

    def player_with_wave(self, name: str | None, label: str, moments: Sequence[Moment]) -> Html | None:
        """A player under the waveform, in which moments are marked."""
        player, path = self.player(name, label), self.path_of(name)
        if player is None or path is None:
            return None
        try:
            samples = audio.load(path)
        except AudioError:
            return tag("div", player, class_="sound")
        length_s = len(samples) / audio.SAMPLE_RATE
        marks = [(at / length_s, colour, tip) for at, colour, tip in moments if 0 <= at <= length_s]
        drawn = waveform(peaks(samples), marks, label=f"Waveform: {'; '.join(tip for _, _, tip in marks)}")
        key = tag("ul", [tag("li", swatch(colour), tip) for _, colour, tip in marks], class_="moments")
        box = tag("div", drawn, tag("span", class_="head"), class_="wave-box")
        return tag("div", box, key if marks else None, player, class_="sound")


def peaks(samples: Samples, n: int = N_PEAKS) -> list[float]:
    """The loudest sample of each n-th of a recording, scaled so that the loudest of all is 1."""
    starts = np.linspace(0, len(samples), min(n, len(samples)), endpoint=False).astype(int)
    loudest = np.maximum.reduceat(np.abs(samples), starts)
    return [round(float(peak), 3) for peak in loudest / max(float(loudest.max()), 1e-3)]
