"""Adapting a domain's understanding: its patterns, as they are and as the recognizer mishears them, in; a model out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rejoinder.adapt.gate import DOMAIN_ERROR
from rejoinder.adapt.hearing import CONDITIONS, Listening, Sound, domain_measures, listen, term_forms
from rejoinder.adapt.nlu import noise
from rejoinder.adapt.nlu.data import Example, domain_examples, in_scope, split, spread, unseen_sentences
from rejoinder.adapt.nlu.measure import understood
from rejoinder.adapt.nlu.model import BASE
from rejoinder.adapt.nlu.training import Recipe, fine_tune, held_out_error
from rejoinder.adapt.search import HELD_OUT_SHARE, Among, Between, Choices, Try
from rejoinder.adapt.sets import canary_sentences
from rejoinder.adapt.settings import with_settings
from rejoinder.adapt.voices import Voice, held_out_voices, training_voices
from rejoinder.adapt.workforce import THIS_PROCESS, Crew, Workforce
from rejoinder.assistant import Assistant, AssistantOptions, load_understander
from rejoinder.build import Stage, digest, promoted_card
from rejoinder.domain import Domain
from rejoinder.domain.spoken_values import REFERENCE_DAY
from rejoinder.errors import AdaptError
from rejoinder.evaluate.sets import TestSet, domain_tests
from rejoinder.models import cache_folder
from rejoinder.nlu.classifier import OUT_OF_SCOPE
from rejoinder.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderstandingRecipe:
    """What understanding is learned from, and how."""

    n_sentences: int = 2000
    """Sentences of the domain to learn from as they are written."""
    n_spoken: int = 600
    """How many of them are spoken, too, and learned from as the recognizer hears them; 0: none."""
    tuning: Recipe = field(default_factory=Recipe)


class UnderstandingAdaptation:
    """The `Adaptation` of intents and slots."""

    stage = Stage.NLU
    consent = None

    def __init__(
        self,
        domain: Domain,
        *,
        base: str | None = None,
        recipe: UnderstandingRecipe = UnderstandingRecipe(),
        device: str = "auto",
        workforce: Workforce = THIS_PROCESS,
    ) -> None:
        """`base` is any BERT-class encoder; MiniLM unless another is named."""
        self.domain = domain
        self.base = base or BASE
        self._settings = recipe
        self._options = AssistantOptions(device=device)
        self._workforce = workforce
        self._train: tuple[Example, ...] = ()
        self._test: tuple[Example, ...] = ()
        self._recordings: TestSet | None = None

    @property
    def recipe(self) -> Mapping[str, Any]:
        """How it is trained."""
        return asdict(self._settings)

    def gather(self, progress: Progress) -> Mapping[str, Any]:
        """Write the sentences, have some of them spoken, and hear them with the recognizer that is in use."""
        seed = self._settings.tuning.training.seed
        written = domain_examples(self.domain, n=self._settings.n_sentences, seed=seed)
        to_test = unseen_sentences(self.domain, written, seed=seed + 1)
        tests = domain_tests(self.domain)
        if tests is not None and any(recording.has_meaning for recording in tests.recordings):
            self._recordings = tests
        elif not to_test:
            raise AdaptError(
                f"{self.domain.folder}: there is nothing to learn from or to measure on; give the domain's intents "
                "patterns or examples"
            )
        spoken = spread(in_scope(written), self._settings.n_spoken)
        voices, strangers = training_voices(), held_out_voices() or training_voices()
        with self._workforce.crew(Listening(self.domain.folder, self._options, recognize)) as transcribe:
            heard = self._heard(transcribe, spoken, voices, progress, seed=seed)
            self._test = self._heard(transcribe, to_test, strangers, progress, seed=seed + 1, conditions=CONDITIONS)
        self._train = tuple(dict.fromkeys((*written, *heard)))
        return {
            "train": {
                "n_written": len(written),
                "n_heard": len(heard),
                "sha256": digest([asdict(example) for example in self._train]),
            },
            "recognizer": self._recognizer,
            "voices": [voice.name for voice in voices],
            "test": {
                "n_heard": len(self._test),
                "voices": [voice.name for voice in strangers],
                "sha256": digest([asdict(example) for example in self._test]),
                "recordings": self._recordings.describe() if self._recordings else None,
            },
        }

    def train(self, folder: Path, progress: Progress) -> Path:
        """Fine-tune the encoder."""
        training = partial(fine_tune, self.base, self._train, recipe=self._settings.tuning)
        return self._workforce.train(training, folder, progress)

    @property
    def choices(self) -> Choices:
        """See `Searchable`."""
        return {
            "learning_rate": Between(5e-5, 1e-3),
            "n_epochs": Among((4, 8, 12)),
            "frozen_share": Among((0.0, 0.5, 0.75)),
            "label_smoothing": Among((0.0, 0.1)),
        }

    def attempt(self) -> Try:
        """See `Searchable`: the sentences and words misread of those held out, of every intent as many."""
        train, held_out = split(self._train, share=HELD_OUT_SHARE, seed=self._settings.tuning.training.seed)
        return partial(_score, self.base, self._settings, train, held_out)

    def measure(self, candidate: Path | None, progress: Progress) -> Mapping[str, float]:
        """On sentences as they were heard and, in equal parts, on recordings, where they say what is meant.

        Everyday sentences, none of which is in training, are the false alarms.
        """
        candidates = {} if candidate is None else {Stage.NLU: candidate}
        options = AssistantOptions(device=self._options.device, candidates=candidates)
        understander = load_understander(self.domain, options, today=lambda: REFERENCE_DAY)
        everyday = tuple(Example.plain(sentence, OUT_OF_SCOPE) for sentence in canary_sentences())
        measures = understood(understander, (*self._test, *everyday), progress=progress)
        if self._recordings is None:
            return measures
        with self._workforce.crew(Listening(self.domain.folder, options, listen)) as ears:
            recorded = domain_measures(ears, self._recordings, term_forms(self.domain), progress=progress)
        by_set = [measures[DOMAIN_ERROR], recorded[DOMAIN_ERROR]] if self._test else [recorded[DOMAIN_ERROR]]
        measures |= {
            f"{DOMAIN_ERROR} as heard": measures[DOMAIN_ERROR],
            f"{DOMAIN_ERROR} recorded": recorded[DOMAIN_ERROR],
        }
        return measures | {DOMAIN_ERROR: sum(by_set) / len(by_set)}

    def _heard(
        self,
        transcribe: Crew[Sound, str],
        examples: Sequence[Example],
        voices: Sequence[Voice],
        progress: Progress,
        *,
        seed: int,
        conditions: Sequence[str] = noise.CONDITIONS,
    ) -> tuple[Example, ...]:
        """Sentences as the recognizer in use hears them; kept in the cache, for hearing takes longer than training."""
        made_from = (self._recognizer, [voice.fingerprint for voice in voices], conditions, seed)
        name = digest(
            made_from, [example.text for example in examples], repr(self.domain.terms), repr(self.domain.slots)
        )
        heard = noise.as_heard(
            examples,
            transcribe,
            voices=voices,
            terms=self.domain.terms,
            conditions=conditions,
            seed=seed,
            kept=cache_folder() / "heard" / f"{name}.jsonl",
            progress=progress,
            workforce=self._workforce,
        )
        return tuple(heard.values())

    @property
    def _recognizer(self) -> str:
        card = promoted_card(self.domain.folder, Stage.ASR)
        return card.id if card else self.domain.models.recognizer


def _score(
    base: str,
    recipe: UnderstandingRecipe,
    train: Sequence[Example],
    held_out: Sequence[Example],
    settings: Mapping[str, str],
    folder: Path,
) -> float:
    """A `Try`."""
    return held_out_error(base, train, held_out, recipe=with_settings(recipe, settings).tuning, folder=folder)


def recognize(assistant: Assistant, sound: Sound) -> str:
    """The words of a sound that is speech from its beginning to its end."""
    return assistant.pipeline.recognize(sound.samples()).text
