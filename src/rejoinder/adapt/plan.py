"""From what a user asks for to the `Adaptation` of each stage; what does not go together is refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rejoinder.adapt.run import Adaptation
from rejoinder.adapt.settings import with_settings
from rejoinder.adapt.workforce import THIS_PROCESS, Workforce
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError
from rejoinder.models import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptOptions:
    """What a user may ask for; see `rejoinder adapt --help`."""

    base: str | None = None
    """The pretrained model to start from; None: the domain's own, or the stage's default."""
    manifests: tuple[Path, ...] = ()
    """Recordings that the recognizer learns from."""
    canaries: tuple[Path, ...] = ()
    """Recordings of general speech that the recognizer is measured on, beside what ships."""
    questions: tuple[Path, ...] = ()
    """What the reader learns from, in SQuAD's format; none: `questions.json` in the domain's folder."""
    lora: bool = False
    n_epochs: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    """Fields of the stage's recipe by name."""
    seed: int | None = None
    device: str = "auto"
    voice_data: Path | None = None
    consent: str | None = None


def default_stages(domain: Domain, *, voice: bool) -> tuple[Stage, ...]:
    """What is adapted when no stage is named: all that the domain has data for.

    The recognizer comes first: understanding then learns from the mistakes that are left.
    """
    from rejoinder.adapt.reader.adaptation import QUESTIONS

    reader = (Stage.READER,) if (domain.folder / QUESTIONS).is_file() else ()
    return (Stage.ASR, Stage.NLU, *reader, *((Stage.VOICE,) if voice else ()))


def plan(
    domain: Domain,
    stage: Stage,
    options: AdaptOptions,
    *,
    among: Sequence[Stage] = (),
    workforce: Workforce = THIS_PROCESS,
    found: Mapping[str, str] | None = None,
) -> Adaptation:
    """The adaptation of one stage, checked but not begun; `among` are all stages that the user named.

    `found` are settings of the stage's recipe that a search came upon, beside those of `options`.

    Raises `AdaptError` for what the stage does not take or lacks, and `ModelError` when the base is not there: all
    that can be said before the first sentence is spoken.
    """
    from rejoinder.adapt.trainer import torch_device

    _check(options, among or (stage,))
    torch_device(options.device)
    if found:
        options = replace(options, settings={**options.settings, **found})
    adaptation = _PLANS[stage](domain, options, workforce)
    resolve(adaptation.base)
    return adaptation


def _recognition(domain: Domain, options: AdaptOptions, workforce: Workforce) -> Adaptation:
    from rejoinder.adapt.asr.lora import LoraOptions
    from rejoinder.adapt.recognition import RecognitionAdaptation, RecognitionRecipe

    recipe = RecognitionRecipe()
    if options.lora:
        recipe = replace(recipe, tuning=replace(recipe.tuning, lora=LoraOptions()))
    return RecognitionAdaptation(
        domain,
        base=options.base,
        manifests=options.manifests,
        canaries=options.canaries,
        recipe=with_settings(recipe, _settings(options)),
        device=options.device,
        workforce=workforce,
    )


def _understanding(domain: Domain, options: AdaptOptions, workforce: Workforce) -> Adaptation:
    from rejoinder.adapt.understanding import UnderstandingAdaptation, UnderstandingRecipe

    recipe = with_settings(UnderstandingRecipe(), _settings(options))
    return UnderstandingAdaptation(domain, base=options.base, recipe=recipe, device=options.device, workforce=workforce)


def _reading(domain: Domain, options: AdaptOptions, workforce: Workforce) -> Adaptation:
    from rejoinder.adapt.reader.adaptation import ReaderAdaptation
    from rejoinder.adapt.reader.training import ReaderRecipe

    recipe = with_settings(ReaderRecipe(), _settings(options))
    return ReaderAdaptation(
        domain,
        base=options.base,
        questions=options.questions,
        recipe=recipe,
        device=options.device,
        workforce=workforce,
    )


def _voice(domain: Domain, options: AdaptOptions, workforce: Workforce) -> Adaptation:
    from rejoinder.adapt.voice.adaptation import VoiceAdaptation
    from rejoinder.adapt.voice.training import VoiceRecipe

    if options.voice_data is None:
        raise AdaptError(
            "a voice is learned from recordings of a speaker: --voice-data FOLDER (a manifest, or as LJSpeech has it: "
            "metadata.csv and wavs/), about ten minutes of them"
        )
    return VoiceAdaptation(
        domain,
        recordings=options.voice_data,
        consent=options.consent or "",
        base=options.base,
        recipe=with_settings(VoiceRecipe(), _settings(options)),
        workforce=workforce,
    )


_PLANS: Mapping[Stage, Callable[[Domain, AdaptOptions, Workforce], Adaptation]] = {
    Stage.ASR: _recognition,
    Stage.NLU: _understanding,
    Stage.READER: _reading,
    Stage.VOICE: _voice,
}


def _settings(options: AdaptOptions) -> dict[str, str]:
    """What was set of a recipe, the options that have a name of their own included."""
    named = {"n_epochs": options.n_epochs, "seed": options.seed, "device": options.device}
    return {name: str(value) for name, value in named.items() if value is not None} | dict(options.settings)


def _check(options: AdaptOptions, stages: Sequence[Stage]) -> None:
    """Refuse options that would be ignored, or that mean something else for each stage."""
    for name, value, stage in (
        ("--manifest", options.manifests, Stage.ASR),
        ("--canary", options.canaries, Stage.ASR),
        ("--lora", options.lora, Stage.ASR),
        ("--questions", options.questions, Stage.READER),
        ("--voice-data", options.voice_data, Stage.VOICE),
        ("--consent", options.consent, Stage.VOICE),
    ):
        if value and stage not in stages:
            raise AdaptError(f"{name} is for the stage '{stage}'; type: rejoinder adapt DOMAIN {stage} --deep {name} …")
    for name, given in (("--base", options.base is not None), ("--recipe", bool(options.settings))):
        if given and len(stages) > 1:
            raise AdaptError(f"{name} is for one stage; name it: rejoinder adapt DOMAIN {stages[0]} --deep {name} …")
