"""What is measured and compared: the same domain with other models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rejoinder import build
from rejoinder.assistant import AssistantOptions
from rejoinder.domain import Domain
from rejoinder.errors import ModelError, one_of
from rejoinder.evaluate.records import BASE, DEEP, INSTANT

NAMES = (BASE, INSTANT, DEEP)
"""Systems that every domain may have."""


@dataclass(frozen=True, slots=True)
class System:
    """An assistant of the domain, as it is to be loaded."""

    name: str
    options: AssistantOptions
    models: Mapping[str, str]
    """By stage: what reports say of it."""


def default_system(domain: Domain, options: AssistantOptions | None = None) -> System:
    """The assistant that callers meet: with the promoted models, where there are any."""
    return system(domain, DEEP if _promoted(domain) else INSTANT, options)


def systems(domain: Domain, names: Sequence[str], options: AssistantOptions | None = None) -> tuple[System, ...]:
    """The systems of these names, each once; raises `ModelError` for one that there is not."""
    return tuple(system(domain, name, options) for name in dict.fromkeys(names))


def system(domain: Domain, name: str, options: AssistantOptions | None = None) -> System:
    """One of `NAMES`, or the id of an adapted model with whatever else is promoted; raises `ModelError`.

    `options` says the rest: device and threads.
    """
    options = options or AssistantOptions()
    promoted = _promoted(domain)
    if name == BASE:
        options, promoted = replace(options, bias=False, adapted=False), {}
    elif name == INSTANT:  # tuned pronunciations belong to it, and are left out only together with the models
        options, promoted = replace(options, adapted=not promoted), {}
    elif name != DEEP:
        stage = _stage_of(domain, name)
        options = replace(options, candidates={stage: build.stage_folder(domain.folder, stage) / name})
        promoted[stage.value] = name
    elif not promoted:
        raise ModelError(
            f"{domain.folder}: no adapted model is in use, so there is no '{DEEP}' to measure; "
            f"type: rejoinder adapt {domain.folder} --deep"
        )
    own = {stage: f"{model} (adapted)" for stage, model in promoted.items()}
    recognizer = f"{domain.models.recognizer}{'' if options.bias else ', without the domain'}"
    stages = {"asr": recognizer, "nlu": domain.models.encoder, "voice": domain.models.voice}
    return System(name, options, {**stages, **own})


def _promoted(domain: Domain) -> dict[str, str]:
    """The ids of the models in use, by stage."""
    ids = ((stage, build.promoted_id(domain.folder, stage)) for stage in build.Stage)
    return {stage.value: model for stage, model in ids if model is not None}


def _stage_of(domain: Domain, model: str) -> build.Stage:
    """The stage that an adapted model is of."""
    known = {card.id: stage for stage in build.Stage for card in build.cards(domain.folder, stage)}
    if model not in known:
        choices = one_of((*NAMES, *known))
        raise ModelError(f"there is no system '{model}' ({choices}; rejoinder adapt {domain.folder} --status)")
    return known[model]
