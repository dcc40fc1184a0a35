"""What the server tells of itself when Home Assistant asks."""

from typing import Any

from rejoinder import __version__
from rejoinder.domain import Domain
from rejoinder.serve.wyoming.wire import WireEvent

_PROGRAM = "rejoinder"


def info(domain: Domain) -> WireEvent:
    """The services of a domain: recognition, speech, understanding, answers."""
    about = domain.description or f"The assistant of {domain.name}"
    models = domain.models
    heard = _program("Speech recognition", [_model(domain, models.recognizer, about)])
    spoken = _program("Speech synthesis", [_model(domain, models.voice, about)], key="voices")
    understood = [_model(domain, domain.name, about)]
    return WireEvent(
        "info",
        {
            "asr": [{**heard, "supports_transcript_streaming": True, "requires_external_vad": True}],
            "tts": [{**spoken, "supports_synthesize_streaming": True}],
            "intent": [_program("What is meant", understood)],
            "handle": [_program("The assistant's answers", understood)],
            "wake": [],
            "mic": [],
            "snd": [],
        },
    )


def _program(description: str, models: list[dict[str, Any]], *, key: str = "models") -> dict[str, Any]:
    return {**_artifact(_PROGRAM, description, made_by="Rejoinder"), key: models}


def _model(domain: Domain, name: str, description: str) -> dict[str, Any]:
    return {**_artifact(name, description, made_by=name), "languages": [domain.language]}


def _artifact(name: str, description: str, *, made_by: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "version": __version__,
        "installed": True,
        "attribution": {"name": made_by, "url": ""},
    }
