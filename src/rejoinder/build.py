"""Where a domain's own models are kept: `<domain>/build/<stage>/<id>/`, whole or not at all.

    build/
    ├── .gitignore                  models are made again, not committed
    └── asr/
        ├── promoted.json           {"id": …, "history": […]}: which model the assistant opens; the way back
        ├── 20261123-164502-1f3a9c/ the model's files and `card.json`: where it comes from and what it scored
        ├── work-9be0d1c2a7f4/      an adaptation under way, or one that was interrupted: the same command goes on here
        └── .lock                   held by the adaptation that is running

A model's folder appears by one rename, after everything in it is on the disk; whatever interrupts an adaptation leaves
the promoted model as it was. The sha256 of each file stands in the card and is checked when the model is opened.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from rejoinder.errors import ModelError
from rejoinder.models import has_content, sha256_of

FOLDER = "build"
CARD = "card.json"
PROMOTED = "promoted.json"
WORK = "work-"

PROMOTED_VERDICT, ASIDE_VERDICT = "promoted", "kept aside"

_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_UNFINISHED = ".part-"


class Stage(StrEnum):
    """What of an assistant can be adapted."""

    ASR = "asr"
    """The recognizer."""
    NLU = "nlu"
    """Intents and slots."""
    READER = "reader"
    """Answers from the knowledge."""
    VOICE = "voice"


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of an adapted model: written beside its files, and shown by `rejoinder adapt --status`.

    `before` and `after` are measures by name (see `adapt.gate`). All that `data` and `recipe` hold can be written as
    JSON.
    """

    id: str
    stage: Stage
    base: str
    """The pretrained model that it was tuned from: a name of the model table or a source."""
    created: str
    """UTC, as ISO 8601."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained and measured on: sets by name, with their sizes and hashes."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ASIDE_VERDICT
    """"promoted" or "kept aside": what the gate said when it was made; a rollback does not change it."""
    reason: str = ""
    """The verdict in words, with the figures."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """The sha256 of each file by its path in the folder; `publish` fills it in."""
    minutes: float = 0.0
    """How long the adaptation took, the measuring included."""
    consent: str | None = None
    """For a voice: the speaker's consent, in the words that were given."""

    def to_json(self) -> str:
        """The card as it is written."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Card":
        """Read a card; raises `ModelError` when it is missing or not a card."""
        from pydantic import TypeAdapter

        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else "is no card of an adapted model"
            raise ModelError(f"{path}: {what}; delete its folder") from error


def now() -> str:
    """The moment as cards have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id(created: str, *made_from: str) -> str:
    """A model's name: when it was made (see `now`), and six digits of the hash of that and what it was made from."""
    moment = datetime.fromisoformat(created).strftime("%Y%m%d-%H%M%S")
    return f"{moment}-{digest(created, *made_from)[:6]}"


def digest(*parts: object) -> str:
    """The sha256 of values that can be written as JSON; tells work on other data or by another recipe apart."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def stage_folder(domain_folder: Path, stage: Stage) -> Path:
    """Where the models of a stage are kept; it need not exist."""
    return domain_folder / FOLDER / stage


def promoted(domain_folder: Path, stage: Stage) -> Path | None:
    """The folder of the model that the assistant opens in place of the base; None where nothing is promoted.

    Its files are checked against the card; a check is remembered until a file changes. Raises `ModelError` when
    something is missing or damaged, and says how to go back.
    """
    current = promoted_id(domain_folder, stage)
    if current is None:
        return None
    folder = stage_folder(domain_folder, stage) / current
    remedy = f"type: rejoinder adapt {domain_folder} {stage} --rollback"
    if not folder.is_dir():
        raise ModelError(f"{folder}: the promoted model is missing; {remedy}")
    for name, sha256 in Card.read(folder / CARD).hashes.items():
        path = folder / name
        try:
            whole = has_content(path, sha256)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
        if not whole:
            raise ModelError(f"{path}: is damaged: its sha256 is not the card's; {remedy}")
    return folder


def promoted_id(domain_folder: Path, stage: Stage) -> str | None:
    """The name of the promoted model, which may have been deleted since; None where nothing is promoted."""
    return _read_promoted(domain_folder, stage)[0]


def promoted_card(domain_folder: Path, stage: Stage) -> Card | None:
    """The card of the promoted model; None where nothing is promoted."""
    current = promoted_id(domain_folder, stage)
    return None if current is None else Card.read(stage_folder(domain_folder, stage) / current / CARD)


def cards(domain_folder: Path, stage: Stage) -> tuple[Card, ...]:
    """The cards of every model of a stage, the oldest first; a folder without a card that can be read is left out."""
    found = []
    for path in stage_folder(domain_folder, stage).glob(f"*/{CARD}"):
        with suppress(ModelError):
            if _ID.fullmatch(path.parent.name):
                found.append(Card.read(path))
    return tuple(sorted(found, key=lambda card: card.created))


def publish(scratch: Path, domain_folder: Path, card: Card) -> Path:
    """Make a finished folder one of the domain's models: hash its files, write the card, rename it to its place.

    `scratch` must lie in the domain's folder, for a rename does not cross disks; `unfinished` and `work` give such.
    It is gone afterwards. Returns the model's folder, which holds exactly what `scratch` held and the card. Promotes
    nothing.
    """
    if not _ID.fullmatch(card.id):
        raise ValueError(f"'{card.id}' is not an id; make it with new_id")
    files = sorted(path for path in scratch.rglob("*") if path.is_file() and path != scratch / CARD)
    hashes = {path.relative_to(scratch).as_posix(): sha256_of(path) for path in files}
    (scratch / CARD).write_text(replace(card, hashes=hashes).to_json(), encoding="utf-8")
    for path in (*files, scratch / CARD):
        _to_disk(path)
    _to_disk(scratch)
    target = made(domain_folder, card.stage) / card.id
    scratch.rename(target)
    _to_disk(target.parent)
    return target


def promote(domain_folder: Path, stage: Stage, model_id: str) -> None:
    """Let the assistant open this model from now on; the one before comes back by `rollback`."""
    if not (stage_folder(domain_folder, stage) / model_id / CARD).is_file():
        known = ", ".join(card.id for card in cards(domain_folder, stage)) or "none"
        raise ModelError(f"{stage_folder(domain_folder, stage)}: there is no model '{model_id}' (known: {known})")
    current, history = _read_promoted(domain_folder, stage)
    if current != model_id:
        _write_promoted(domain_folder, stage, model_id, (*history, current) if current else history)


def rollback(domain_folder: Path, stage: Stage) -> Card | None:
    """Go back to the model that was promoted before; returns its card, None for the base.

    Models that were deleted since are passed over. Raises `ModelError` when nothing is promoted.
    """
    current, history = _read_promoted(domain_folder, stage)
    if current is None:
        raise ModelError(f"{domain_folder}: no {stage} model is promoted; the assistant opens the base already")
    earlier_ids = list(history)
    while earlier_ids:
        earlier = earlier_ids.pop()
        path = stage_folder(domain_folder, stage) / earlier / CARD
        if path.is_file():
            card = Card.read(path)
            _write_promoted(domain_folder, stage, earlier, earlier_ids)
            return card
    _write_promoted(domain_folder, stage, None, ())
    return None


@contextmanager
def unfinished(domain_folder: Path, stage: Stage) -> Iterator[Path]:
    """An empty folder to put a model together in, then to `publish`; what is left of it at the end is deleted."""
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=made(domain_folder, stage)))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def work(domain_folder: Path, stage: Stage, key: str) -> Iterator[Path]:
    """The folder of an adaptation that can be resumed: checkpoints, and the model once it is finished.

    `key` is the `digest` of base, data and recipe: the same adaptation finds its folder again however it ended, a
    changed one starts anew. While it is open no other process can adapt the stage, and what killed ones left half
    written is deleted. Raises `ModelError` when another process is at it.
    """
    folder = made(domain_folder, stage)
    with locked(folder / ".lock", f"{folder}: another process is adapting this stage; wait for it to end"):
        for left in folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        target = folder / f"{WORK}{key[:12]}"
        target.mkdir(exist_ok=True)
        yield target


def interrupted(domain_folder: Path, stage: Stage) -> tuple[Path, ...]:
    """The folders of adaptations that did not come to an end: the command that began one goes on from there."""
    return tuple(sorted(stage_folder(domain_folder, stage).glob(f"{WORK}*")))


def forget_work(domain_folder: Path, stage: Stage) -> None:
    """Delete the folders of `interrupted`: checkpoints are several times as large as the model."""
    for folder in interrupted(domain_folder, stage):
        shutil.rmtree(folder, ignore_errors=True)


def made(domain_folder: Path, name: str) -> Path:
    """The folder of a stage, or of something else that can be made again, made where it was not there."""
    folder = domain_folder / FOLDER / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("# Adapted models: rejoinder adapt makes them again.\n*\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{folder}: cannot be made ({error.strerror}); adapted models are kept there") from error
    return folder


def _read_promoted(domain_folder: Path, stage: Stage) -> tuple[str | None, tuple[str, ...]]:
    """The id of the promoted model, and those that were before it, the latest last."""
    path = stage_folder(domain_folder, stage) / PROMOTED
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        current, history = record["id"], tuple(record["history"])
        ids: Iterable[str] = history if current is None else (current, *history)
        if not all(_ID.fullmatch(one) for one in ids):
            raise ValueError("not the name of a model")
    except (FileNotFoundError, NotADirectoryError):
        return None, ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: is damaged ({error}); delete it to go back to the base model") from error
    return current, history


def _write_promoted(domain_folder: Path, stage: Stage, current: str | None, history: Iterable[str]) -> None:
    path = made(domain_folder, stage) / PROMOTED
    scratch = path.with_name(f"{_UNFINISHED}{PROMOTED}")
    scratch.write_text(json.dumps({"id": current, "history": [*history]}, indent=2) + "\n", encoding="utf-8")
    _to_disk(scratch)
    scratch.replace(path)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk: a power cut may follow the rename."""
    if path.is_dir() and sys.platform == "win32":  # it opens no folders
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, taken: str) -> Iterator[None]:
    """Hold a lock that the operating system lets go when the process ends, however it ends."""
    with path.open("a+") as file:
        try:
            _lock(file)
        except OSError as error:
            raise ModelError(taken) from error
        yield


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
