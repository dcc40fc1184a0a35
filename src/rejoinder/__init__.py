"""Rejoinder teaches a voice assistant its owner's business and has it answer in milliseconds.

The names below are loaded when first used: importing the package loads no model runtime and no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rejoinder.assistant import Assistant as Assistant
    from rejoinder.assistant import SpokenReply as SpokenReply
    from rejoinder.domain import Domain as Domain
    from rejoinder.errors import RejoinderError as RejoinderError
    from rejoinder.session import Session as Session

__version__ = "0.1.0"

_HOMES = {
    "Assistant": "rejoinder.assistant",
    "Domain": "rejoinder.domain",
    "RejoinderError": "rejoinder.errors",
    "Session": "rejoinder.session",
    "SpokenReply": "rejoinder.assistant",
}

__all__ = ["Assistant", "Domain", "RejoinderError", "Session", "SpokenReply", "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'rejoinder' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
