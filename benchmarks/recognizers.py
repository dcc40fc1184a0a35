"""Recognizers fine-tuned on a domain, before and after: a cafe without recordings, a pharmacy's terms, AN4's letters.

What is trained on: sentences of the domain spoken by the training voices, and AN4's training set. What is measured on:
the cafe's 40 customers, the pharmacy's terms spoken by voices that are kept out of training, AN4's test set; noise is
that of `noise` in the data folder, where it is there, and never trained on.
"""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import AN4_DOMAIN, CAFE, PHARMACY, an4_manifest, data_folder
from benchmarks.corpus import an4 as an4_recordings
from benchmarks.corpus import cafe as cafe_recordings
from rejoinder import audio
from rejoinder.adapt.hearing import ears_of, hear, term_error, term_forms, word_error_rate
from rejoinder.adapt.recognition import RecognitionAdaptation, RecognitionRecipe
from rejoinder.adapt.run import Outcome, adapt
from rejoinder.adapt.synthetic import domain_sentences, speak
from rejoinder.adapt.voices import held_out_voices
from rejoinder.assistant import Assistant, AssistantOptions
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.evaluate.sets import TestSet, spoken
from rejoinder.progress import Progress

CONDITIONS = ("clean", "phone", "noise10")

N_TERM_SENTENCES = 200
TEST_SEED = 77
"""Of the sentences that the pharmacy is tested with; training draws with another."""

N_BOOTSTRAP = 2_000

BASE = AssistantOptions(cache=False, bias=False, adapted=False)
INSTANT = AssistantOptions(cache=False, adapted=False)


def cafe(work: Path, progress: Progress) -> dict[str, Any]:
    """Orders fully understood, by condition; the recognizer is adapted without a recording."""
    folder = _copy(CAFE, work)
    recipe = RecognitionRecipe(n_sentences=1200, n_replayed=300)
    outcome = adapt(RecognitionAdaptation(Domain.load(folder), canaries=_canaries(), recipe=recipe), progress=progress)
    options = {"base": BASE, "instant": INSTANT, "deep": _deep(outcome)}
    figures = {name: _understood(folder, option, name, progress) for name, option in options.items()}
    return {"cafe_understood": figures | _about(outcome), "canary_wer": {"cafe": _canary(outcome)}}


def pharmacy(work: Path, progress: Progress) -> dict[str, Any]:
    """Terms that are not recognized, as voices speak them that nothing was trained on."""
    folder = _copy(PHARMACY, work)
    domain = Domain.load(folder)
    sentences = domain_sentences(domain, n=N_TERM_SENTENCES, seed=TEST_SEED)
    test = spoken("terms", speak(sentences, voices=held_out_voices(), folder=None, seed=TEST_SEED, progress=progress))
    outcome = adapt(RecognitionAdaptation(domain, canaries=_canaries()), progress=progress)
    figures: dict[str, Any] = {}
    for name, options in {"base": BASE, "instant": INSTANT, "deep": _deep(outcome)}.items():
        with closing(Assistant.load(folder, options=options)) as assistant:
            (heard,) = hear(ears_of(assistant), [(test, "clean")], progress=progress)
            figures[name] = term_error(heard, term_forms(domain))
            figures[f"{name}_wer"] = word_error_rate(heard)
    about = {"voices": [voice.name for voice in held_out_voices()], "n_sentences": len(test.recordings)}
    canary = _canary(outcome)
    return {"pharmacy_term_error": figures | about | _about(outcome), "canary_wer": {**canary, "pharmacy": canary}}


def an4(work: Path, progress: Progress) -> dict[str, Any]:
    """Word error rate on AN4's test set, plain decoding; trained on its training set alone."""
    manifest = an4_manifest("train")
    if manifest is None:
        return {"an4_wer": {"skipped": "AN4 is not in the data folder"}}
    folder = _copy(AN4_DOMAIN, work)
    lines = [json.dumps({"audio_filepath": str(one.path), "text": one.text}) for one in an4_recordings("test")]
    (folder / "recordings.jsonl").write_text("\n".join(lines))  # what the gate measures on; else it keeps some of train
    recipe = RecognitionRecipe.for_recordings()
    outcome = adapt(RecognitionAdaptation(Domain.load(folder), manifests=[manifest], recipe=recipe), progress=progress)
    figures: dict[str, Any] = {}
    test = TestSet("AN4 test", tuple(an4_recordings("test")))
    for name, options in {"base": BASE, "instant": INSTANT, "deep": _deep(outcome, bias=False)}.items():
        with closing(Assistant.load(folder, options=options)) as assistant:
            (heard,) = hear(ears_of(assistant), [(test, "clean")], progress=progress)
            figures[name] = word_error_rate(heard)
    resampled = np.random.default_rng(0).choice(len(heard), (N_BOOTSTRAP, len(heard)))
    rates = [word_error_rate([heard[n] for n in sample]) for sample in resampled]
    figures["deep_95%"] = [round(float(bound), 4) for bound in np.percentile(rates, [2.5, 97.5])]
    return {"an4_wer": figures | _about(outcome), "canary_wer": {"an4": _canary(outcome)}}


def _understood(folder: Path, options: AssistantOptions, name: str, progress: Progress) -> dict[str, float]:
    """Share of the cafe's orders whose intent and every slot are right, by condition."""
    test, noises = TestSet(f"orders, {name}", tuple(cafe_recordings())), _noises()
    with closing(Assistant.load(folder, options=options)) as assistant:
        sets = [(test, through) for through in CONDITIONS]
        heard = dict(zip(CONDITIONS, hear(ears_of(assistant), sets, noises=noises, progress=progress), strict=True))
    return {through: float(np.mean([bool(one.understood) for one in orders])) for through, orders in heard.items()}


def _copy(domain: Path, work: Path) -> Path:
    """A copy of a domain without what was built there: the benchmark leaves the examples as they are."""
    return Path(shutil.copytree(domain, work / domain.name, ignore=shutil.ignore_patterns("build"), dirs_exist_ok=True))


def _deep(outcome: Outcome, *, bias: bool = True) -> AssistantOptions:
    """The adapted model, promoted or not."""
    return AssistantOptions(cache=False, bias=bias, candidates={Stage.ASR: outcome.folder})


def _about(outcome: Outcome) -> dict[str, Any]:
    card = outcome.card
    return {"minutes": card.minutes, "verdict": card.verdict, "reason": card.reason}


def _canary(outcome: Outcome) -> dict[str, float]:
    return {"before": outcome.card.before["canary_wer"], "after": outcome.card.after["canary_wer"]}


def _canaries() -> list[Path]:
    """General recordings that are measured on, besides what ships."""
    manifest = an4_manifest("test")
    return [manifest] if manifest else []


def _noises() -> list[Any]:
    folder = data_folder("noise")
    return [audio.load(path) for path in sorted(folder.glob("*.flac"))] if folder else []
