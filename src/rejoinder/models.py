"""The way from the name or source of a pretrained model to verified files on disk.

A source is `pkg:package/folder` (files that a Python package carries, found without importing it),
`hf:owner/repository[/folder][@revision]` (the local cache of the Hugging Face hub) or `file:/a/folder`. Nothing is
downloaded unless `fetch` is called or `REJOINDER_ALLOW_DOWNLOAD=1` is set.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rejoinder.errors import ModelError, one_of
from rejoinder.model_table import MODELS, Model, ModelFile

N_SHA256_DIGITS = 64

DEVICES = ("auto", "cpu", "cuda")
"""Where models can run."""


def resolve(name: str, *, verify: bool = True) -> Path:
    """The folder that holds a model's files, complete and verified.

    `name` is a name from the table or a source (`pkg:…`, `hf:…`, `file:…`). Every file of a named model is checked by
    size and sha256, and a large file of the hub by the sha256 that the hub gave it; what `pkg:` and `file:` point to is
    taken as it is. A check is remembered in the cache folder until the file changes: hashing 80 MB would otherwise be a
    good part of a cold start. Raises `ModelError`, saying what to type.
    """
    if ":" in name:
        return _source_folder(name)
    model = _lookup(name)
    if any(file.parts for file in model.files):
        return _assembled(model, verify=verify)
    folder = _model_folder(model)
    for file in model.files:
        _check(folder / file.path, file, verify=verify, model=model, remedy=f"type: {model.repair_command}")
    return folder


def check_installed(model: Model, *, thoroughly: bool = False) -> None:
    """Raise `ModelError` unless the files that the packages carry are there and whole; `thoroughly` reads every byte.

    Unlike `resolve` it remembers and assembles nothing.
    """
    folder = _model_folder(model)
    remedy = f"type: {model.repair_command}"
    for file in model.files:
        pieces = _pieces(file, folder)
        _check_size(file, pieces, model=model, remedy=remedy)
        if thoroughly and sha256_of(*pieces) != file.sha256:
            raise _damaged(model, pieces[0], remedy)


def fetch(name: str) -> Path:
    """Download an `hf:` source into the hub's cache, or check that a named model is installed; returns its folder."""
    return _hub_folder(name, download=True) if name.startswith("hf:") else resolve(name)


def package_folder(package: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package '{package}' is not installed; type: rejoinder doctor")
    return Path(next(iter(spec.submodule_search_locations)))


def cache_folder() -> Path:
    """Where Rejoinder keeps what it can make again: `$REJOINDER_CACHE`, else the operating system's place for caches.

    It need not exist yet, and may turn out to be read-only or full.
    """
    if chosen := os.environ.get("REJOINDER_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rejoinder"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "rejoinder" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rejoinder"


def providers(device: str = "auto") -> list[str]:
    """ONNX Runtime's execution providers for a device: "auto" (CUDA where it works, else the CPU), "cpu" or "cuda"."""
    if device not in DEVICES:
        raise ModelError(f"unknown device '{device}' ({one_of(DEVICES)})")
    if device == "cpu":
        return ["CPUExecutionProvider"]
    import onnxruntime

    built_in = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if built_in and _n_cuda_devices() > 0:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "auto":
        return ["CPUExecutionProvider"]
    if built_in:
        raise ModelError("device 'cuda': no NVIDIA GPU or driver found; check with nvidia-smi, or use --device cpu")
    raise ModelError(
        "device 'cuda': the installed ONNX Runtime has no CUDA; "
        "type: pip uninstall onnxruntime && pip install onnxruntime-gpu, or use --device cpu"
    )


def session_options(n_threads: int = 1) -> Any:
    """ONNX Runtime's options as every model here is opened: so many threads for one call, and only errors logged."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _n_cuda_devices() -> int:
    """GPUs that the NVIDIA driver offers: an ONNX Runtime built with CUDA lists it on machines without one, too."""
    import ctypes

    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    n_devices = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(n_devices)) != 0:
        return 0
    return n_devices.value


def _lookup(name: str) -> Model:
    if name in MODELS:
        return MODELS[name]
    near = get_close_matches(name, MODELS, n=1)
    meant = f"; did you mean '{near[0]}'?" if near else ""
    raise ModelError(f"unknown model '{name}'{meant} ({one_of(tuple(MODELS))}; or a source: pkg:…, hf:…, file:…)")


def _source_folder(source: str) -> Path:
    """The folder behind a source; only that it is there is checked."""
    scheme, _, rest = source.partition(":")
    if scheme == "hf":
        return _hub_folder(source, download=os.environ.get("REJOINDER_ALLOW_DOWNLOAD") == "1")
    if scheme == "pkg":
        package, _, inside = rest.partition("/")
        folder = package_folder(package) / inside
    elif scheme == "file":
        folder = Path(rest)
    else:
        raise ModelError(f"unknown source '{source}' ({one_of(('pkg:…', 'hf:…', 'file:…'))})")
    if not folder.is_dir():
        raise ModelError(f"{source}: no such folder ({folder})")
    return folder


def _model_folder(model: Model) -> Path:
    if missing := model.missing_packages:
        raise ModelError(
            f"model '{model.name}' is not installed (package {', '.join(missing)}); type: {model.install_command}"
        )
    return _source_folder(model.source)


def _pieces(file: ModelFile, folder: Path) -> list[Path]:
    """The installed files that make up this one, in order."""
    if not file.parts:
        return [folder / file.path]
    return [_source_folder(part.rpartition("/")[0]) / part.rpartition("/")[2] for part in file.parts]


def _check(path: Path, file: ModelFile, *, verify: bool, model: Model, remedy: str) -> None:
    """Raise `ModelError` unless the file is there, whole, and, on `verify`, has the content that the table says."""
    _check_size(file, [path], model=model, remedy=remedy)
    if verify and not has_content(path, file.sha256):
        raise _damaged(model, path, remedy)


def _check_size(file: ModelFile, pieces: list[Path], *, model: Model, remedy: str) -> None:
    try:
        n_bytes = sum(piece.stat().st_size for piece in pieces)
    except OSError as error:
        raise ModelError(f"model '{model.name}': {error.filename} is missing; {remedy}") from error
    if n_bytes != file.n_bytes:
        raise ModelError(f"model '{model.name}': {pieces[0]} has {n_bytes} bytes, not {file.n_bytes}; {remedy}")


def _damaged(model: Model, path: Path, remedy: str) -> ModelError:
    return ModelError(f"model '{model.name}': {path} is damaged: its sha256 is not the table's; {remedy}")


def sha256_of(*pieces: Path) -> str:
    """The hash of the pieces' contents, one after the other."""
    digest = hashlib.sha256()
    for piece in pieces:
        with piece.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def has_content(path: Path, sha256: str) -> bool:
    """Whether the file's content has this hash; a yes is remembered for as long as its size and date stay."""
    stat = path.stat()
    key = f"{path.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}\n{sha256}"
    # One empty file for each check, not one list of all: processes that start together need no lock.
    remembered = cache_folder() / "verified" / hashlib.sha256(key.encode()).hexdigest()
    with suppress(OSError):
        if remembered.exists():
            return True
    if sha256_of(path) != sha256:
        return False
    with suppress(OSError):  # a read-only or full cache costs time at the next start, nothing else
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.touch()
    return True


def _assembled(model: Model, *, verify: bool) -> Path:
    """The folder in the cache where a model that comes in parts is put together, once."""
    target = cache_folder() / "models" / f"{model.name}-{model.files[0].sha256[:12]}"
    if not target.is_dir():
        _assemble(model, target)
    remedy = f"delete the folder {target} and try again"
    for file in model.files:
        _check(target / file.path, file, verify=verify, model=model, remedy=remedy)
    return target


def _assemble(model: Model, target: Path) -> None:
    """Write the whole model beside `target` and rename it there, so that another process never sees half of it."""
    folder = _model_folder(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            whole = Path(scratch) / "model"
            whole.mkdir()
            for file in model.files:
                with (whole / file.path).open("wb") as out:
                    for piece in _pieces(file, folder):
                        with piece.open("rb") as stream:
                            shutil.copyfileobj(stream, out)
            whole.rename(target)
    except OSError as error:
        if target.is_dir():  # another process was faster
            return
        raise ModelError(
            f"model '{model.name}': cannot be put together in {target.parent} ({error.strerror or error}); "
            f"make room for {model.n_bytes / 1e6:.0f} MB there or set REJOINDER_CACHE to another folder"
        ) from error


def _hub_folder(source: str, *, download: bool) -> Path:
    """The folder of a repository of the Hugging Face hub, from the local cache unless `download`, verified."""
    address, _, revision = source.removeprefix("hf:").partition("@")
    owner, _, rest = address.partition("/")
    repository, _, inside = rest.partition("/")
    if not owner or not repository:
        raise ModelError(f"source '{source}': write hf:owner/repository, for example hf:UsefulSensors/moonshine-tiny")
    wanted = f"{inside}/*" if inside else None
    try:
        folder = _snapshot(f"{owner}/{repository}", revision or None, wanted, download=download) / inside
    except FileNotFoundError as error:
        raise ModelError(
            f"source '{source}' is not on this machine; type, where there is a network: rejoinder models fetch {source}"
        ) from error
    except OSError as error:
        raise ModelError(f"source '{source}': {error}") from error
    if not folder.is_dir():
        raise ModelError(f"source '{source}': the repository has no folder '{inside}' on this machine")
    for path in folder.rglob("*"):
        blob = path.resolve()  # the hub's cache names each large file by its sha256
        if path.is_file() and len(blob.name) == N_SHA256_DIGITS and not has_content(blob, blob.name):
            raise ModelError(f"source '{source}': {path.name} is damaged; delete {blob} and fetch it again")
    return folder


def _snapshot(repository: str, revision: str | None, wanted: str | None, *, download: bool) -> Path:
    """Where the hub's client keeps a repository; raises `OSError`, `FileNotFoundError` if it would have to download."""
    if find_spec("huggingface_hub") is None:
        raise OSError("needs the hub's client; type: pip install huggingface_hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=wanted, local_files_only=not download)
        )
    except HFValidationError as error:
        raise OSError(f"not a repository's name ({error})") from error
    except LocalEntryNotFoundError as error:
        if download:
            raise OSError("the hub cannot be reached; check the network and try again") from error
        raise FileNotFoundError(repository) from error
