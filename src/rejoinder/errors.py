"""The exceptions that Rejoinder raises.

    RejoinderError
    ├── DomainError         a domain folder that is wrong: file, line, what, the choices
    ├── AudioError          audio that cannot be read or used
    ├── ModelError          a model that is missing, damaged or unknown
    ├── MissingExtraError   an optional part that is not installed; says what to type
    ├── ActionError         an action or webhook of the domain that failed
    ├── SettingsError       settings of the server that are wrong or unsafe: which, where from, the choices
    └── AdaptError          an adaptation that cannot go on: its data, the disk, the memory, a training that diverged
        └── ManifestError   a manifest that is wrong: file, line, what

Every message says what is wrong, where, which choices there are and what to type next.
"""

from importlib.util import find_spec


class RejoinderError(Exception):
    """Anything that a user of Rejoinder can put right."""


class DomainError(RejoinderError):
    """A domain folder that is wrong."""


class AudioError(RejoinderError):
    """Audio that cannot be read or used."""


class ModelError(RejoinderError):
    """A model that is missing, damaged or unknown."""


class MissingExtraError(RejoinderError):
    """An optional part of Rejoinder that is not installed."""


class ActionError(RejoinderError):
    """An action or webhook of the domain that failed or took too long."""


class SettingsError(RejoinderError):
    """Settings of the server that are wrong or unsafe."""


class AdaptError(RejoinderError):
    """An adaptation that cannot go on; what was done so far is kept."""


class ManifestError(AdaptError):
    """A manifest that is wrong."""


def require_extra(extra: str, module: str) -> None:
    """Raise `MissingExtraError` unless `module`, which `extra` installs, can be imported."""
    if find_spec(module) is None:
        raise MissingExtraError(f"this needs the '{extra}' extra; type: pip install 'rejoinder[{extra}]'")


def one_of(choices: "list[str] | tuple[str, ...]", *, n_most: int = 12) -> str:
    """The choices as they stand in an error message: `known: a, b, c, … (3 more)`."""
    shown = sorted(choices)[:n_most]
    more = f", … ({len(choices) - n_most} more)" if len(choices) > n_most else ""
    return f"known: {', '.join(shown) or 'none'}{more}"
