"""Replies that were spoken before: kept in memory, and those of the domain itself on disk too."""

import hashlib
import logging
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Protocol
from zipfile import BadZipFile

import numpy as np

from rejoinder.events import Samples
from rejoinder.tts.lexicon import Lexicon
from rejoinder.tts.synthesizer import Synthesizer

_log = logging.getLogger(__name__)

SOUND_VERSION = 1
"""To be raised when verbalization or shaping changes how a text sounds: older recordings are then made anew."""


class CacheableSynthesizer(Synthesizer, Protocol):
    """A synthesizer that says the same text the same way as long as its fingerprint stays."""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes how a text sounds: voice, lexicon, speed."""
        ...


def fingerprint(voice_id: str, lexicon: Lexicon, speed: float) -> str:
    """The fingerprint of a voice (`file_id`) with its settings."""
    parts = [str(SOUND_VERSION), voice_id, f"{speed:g}", *map(repr, sorted(lexicon.pronunciations.items()))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def file_id(path: Path) -> str:
    """Names a model file's content by its path, size and time of change, without reading it."""
    stat = path.stat()
    return f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"


class CachedSynthesizer:
    """Wraps a synthesizer: what was said before comes at once, and the same text is never made twice at a time.

    Least recently used recordings leave the memory above `max_mb`. With a `folder`, texts given to `warm` are kept
    there as 16-bit samples; other replies never are: they may hold what is private to a caller. A disk that is full
    or read-only costs one warning in the log. Safe to call from several threads at once.
    """

    def __init__(self, inner: CacheableSynthesizer, folder: Path | None = None, *, max_mb: float = 32.0) -> None:
        self._inner = inner
        self._folder = folder
        self._n_bytes_most = round(max_mb * 2**20)
        self._recordings: OrderedDict[str, _Recording] = OrderedDict()
        self._lock = Lock()
        self._disk_works = True

    @property
    def voice(self) -> CacheableSynthesizer:
        """Who speaks, without the memory of what was said."""
        return self._inner

    @property
    def sample_rate(self) -> int:
        """Samples a second of what `synthesize` yields."""
        return self._inner.sample_rate

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Yield the audio of `text`, clause by clause, float32 of shape (n_samples,); read-only, for it is shared."""
        recording = self._recording(text)
        yield from recording.clauses()
        self._shrink()

    def warm(self, texts: Iterable[str]) -> None:
        """Make sure that `texts` are recorded, in memory and on disk."""
        for text in texts:
            recording = self._recording(text)
            clauses = list(recording.clauses())
            self._shrink()
            if recording.was_made:
                self._write(self._name(text), clauses)

    def _name(self, text: str) -> str:
        return hashlib.sha256(f"{self._inner.fingerprint}\n{text}".encode()).hexdigest()

    def _recording(self, text: str) -> "_Recording":
        name = self._name(text)
        with self._lock:
            if name in self._recordings:
                self._recordings.move_to_end(name)
                if not self._recordings[name].failed:
                    return self._recordings[name]
            stored = self._read(name)
            recording = (
                _Recording(iter(stored or ()), was_made=False) if stored else _Recording(self._inner.synthesize(text))
            )
            self._recordings[name] = recording
            return recording

    def _shrink(self) -> None:
        with self._lock:
            n_bytes = sum(recording.n_bytes for recording in self._recordings.values())
            while n_bytes > self._n_bytes_most and self._recordings:
                n_bytes -= self._recordings.popitem(last=False)[1].n_bytes

    def _read(self, name: str) -> list[Samples]:
        path = self._path(name)
        if path is None or not path.is_file():
            return []
        try:
            # numpy leaves a damaged file open when it opens it itself
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                clauses = [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
            return [(clause.astype(np.float32) / np.float32(32767)) for clause in clauses]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            _log.warning("%s is damaged and will be made anew (%s)", path, error)
            return []

    def _write(self, name: str, clauses: list[Samples]) -> None:
        path = self._path(name)
        if path is None or path.is_file() or not self._disk_works:
            return
        unfinished: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(prefix=".", suffix=".part", dir=path.parent, delete=False) as file:
                unfinished = Path(file.name)
                np.savez(file, *[np.round(clause * 32767).astype(np.int16) for clause in clauses])
            unfinished.replace(path)
        except OSError as error:
            self._disk_works = False
            _log.warning("recorded replies cannot be kept in %s (%s); going on without", self._folder, error)
            if unfinished is not None:
                with suppress(OSError):
                    unfinished.unlink()

    def _path(self, name: str) -> Path | None:
        return self._folder / f"{name}.npz" if self._folder else None


class _Recording:
    """Audio that several callers may read while it is being made: whoever needs the next clause first makes it.

    So a caller who stops half-way (a draft that was dropped) leaves nobody waiting.
    """

    def __init__(self, source: Iterator[Samples], *, was_made: bool = True) -> None:
        self.was_made = was_made
        self.failed = False
        self.n_bytes = 0
        self._source = source
        self._clauses: list[Samples] = []
        self._done = False
        self._lock = Lock()

    def clauses(self) -> Iterator[Samples]:
        """Yield every clause from the first on."""
        index = 0
        while (clause := self._clause(index)) is not None:
            yield clause
            index += 1

    def _clause(self, index: int) -> Samples | None:
        with self._lock:
            if index == len(self._clauses) and not self._done:
                self._make_next()
            return self._clauses[index] if index < len(self._clauses) else None

    def _make_next(self) -> None:
        try:
            clause = next(self._source, None)
        except BaseException:
            self.failed = True
            raise
        if clause is None:
            self._done = True
            return
        clause.setflags(write=False)
        self._clauses.append(clause)
        self.n_bytes += clause.nbytes
