"""The instant tier, made ahead: what `Assistant.load` fits of a domain, and how the voice says the domain's terms."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from rejoinder.adapt.pronunciation import Tuned, keep, tune
from rejoinder.asr.biasing import bias_phrases
from rejoinder.assistant import Assistant, AssistantOptions, fixed_replies, load_voice
from rejoinder.build import FOLDER
from rejoinder.progress import Progress, silent
from rejoinder.tts.hibari import HibariSynthesizer
from rejoinder.tts.lexicon import TUNED, compile_lexicon
from rejoinder.tts.vits import VitsSynthesizer

_FITTING, _SPEAKING = "fitting recognition, intents and knowledge", "speaking the replies that never change"


def fit(folder: str | Path, *, device: str = "auto", progress: Progress = silent) -> tuple[str, ...]:
    """Fit and cache all that needs no training, and tune how terms are pronounced; what was done, a line each.

    Every assistant of the domain that is loaded from now on starts with it. Raises `DomainError` and `ModelError` as
    `Assistant.load` does.
    """
    options = AssistantOptions(device=device)
    progress(_FITTING, 0, 1)
    with closing(Assistant.load(folder, options=options)) as assistant:
        progress(_FITTING, 1, 1)
        tuned = _tuned(assistant, options, progress)
    with closing(Assistant.load(folder, options=options)) as assistant:  # with the new pronunciations
        progress(_SPEAKING, 0, 1)
        assistant.warm()
        progress(_SPEAKING, 1, 1)
    return tuple(_report(assistant, tuned))


def _tuned(assistant: Assistant, options: AssistantOptions, progress: Progress) -> tuple[Tuned, ...]:
    """Tune the terms' pronunciations and keep those that are clearly heard better."""
    domain, pipeline = assistant.domain, assistant.pipeline
    voice = load_voice(domain, options)
    if not domain.terms or not isinstance(voice, HibariSynthesizer | VitsSynthesizer):  # others know their own lexicon
        return ()
    tuned = tune(domain.terms, voice, pipeline.recognizer, pipeline.bias, progress=progress)
    path = domain.folder / FOLDER / TUNED
    if path.is_file() or any(one.is_changed or not one.is_settled for one in tuned):
        keep(tuned, path)
    return tuned


def _report(assistant: Assistant, tuned: tuple[Tuned, ...]) -> Iterator[str]:
    domain = assistant.domain
    yield f"recognition listens for {_counted(len(bias_phrases(domain)), 'term and value', 'terms and values')}"
    yield f"understanding tells {_counted(len(domain.intents), 'intent', 'intents')} apart"
    yield f"{_counted(len(domain.passages), 'passage', 'passages')} of the knowledge can be found"
    n_written = len(compile_lexicon(domain.terms).pronunciations)
    yield f"the voice says {_counted(n_written, 'term', 'terms')} as the domain writes it"
    yield f"{_counted(len(fixed_replies(domain)), 'reply is', 'replies are')} spoken ahead"
    if changed := [one for one in tuned if one.is_changed]:
        yield f"{_counted(len(changed), 'term is', 'terms are')} now pronounced so as to be understood better:"
        yield from (f"  {one.term.written}: /{one.best.phonemes}/ ({one.best.origin})" for one in changed)
    if unsettled := [one for one in tuned if not one.is_settled]:
        yield f"{_counted(len(unsettled), 'term is', 'terms are')} hard to understand; listen, and write 'spoken' for:"
        yield from (f"  {one.term.written}, heard as '{one.best.heard}'" for one in unsettled)
    if changed or unsettled:
        yield f"kept in {domain.folder / FOLDER / TUNED}, where you can change it"


def _counted(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
