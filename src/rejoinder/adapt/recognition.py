"""Adapting a domain's recognizer: synthetic speech and the owner's recordings in, a tuned recognizer out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rejoinder.acoustics import Augmentation
from rejoinder.adapt.asr.recipe import Recipe
from rejoinder.adapt.asr.training import fine_tune, held_out_loss
from rejoinder.adapt.carriers import general_sentences
from rejoinder.adapt.hearing import Listening, domain_measures, general_measures, listen, term_forms
from rejoinder.adapt.search import HELD_OUT_SHARE, Among, Between, Choices, Try
from rejoinder.adapt.sets import canary_sentences, sentences_to_test
from rejoinder.adapt.settings import with_settings
from rejoinder.adapt.synthetic import domain_sentences, speak
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.adapt.voices import Voice, held_out_voices, training_voices
from rejoinder.adapt.workforce import THIS_PROCESS, Workforce
from rejoinder.assistant import AssistantOptions
from rejoinder.build import Stage, promoted
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError, ManifestError
from rejoinder.evaluate.sets import TestSet, domain_tests, spoken, utterances_of
from rejoinder.manifest import Utterance, read_manifest, refuse_overlap, split_by_speaker, split_by_text
from rejoinder.progress import Progress

LEAST_UTTERANCES = 10
"""Fewer teach nothing."""

LEAST_TO_SPLIT = 50
"""Recordings from which on some of them are kept to measure on, where the domain has no test set."""

TEST_SHARE = 0.1
"""Of those recordings, by speaker where there are several."""

VALIDATION_SHARE = 0.05
"""Of what is learned from, where training may stop early (`patience`)."""

N_TEST_SENTENCES = 100
"""Sentences of the domain that are spoken to measure on, where there are no recordings at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionRecipe:
    """What a recognizer learns from, and how."""

    n_sentences: int = 800
    """Sentences of the domain that are spoken; 0: only recordings are learned from."""
    n_replayed: int = 200
    """General sentences that are spoken so that general speech is not forgotten."""
    tuning: Recipe = field(default_factory=Recipe)

    @classmethod
    def for_recordings(cls) -> "RecognitionRecipe":
        """For many recordings and no synthetic sentences: they are varied less, and learned more slowly.

        Twice as much is replayed: people's recordings take a recognizer further from general speech.
        """
        training = TrainingOptions(learning_rate=5e-5, n_epochs=2, batch_size=8)
        light = Augmentation(
            speed=(0.95, 1.05), p_noise=0.5, snr_db=(10.0, 30.0), p_reverb=0.0, p_colour=0.0, p_phone=0.0
        )
        return cls(
            n_sentences=0, n_replayed=400, tuning=Recipe(training=training, label_smoothing=0.05, augmentation=light)
        )


class RecognitionAdaptation:
    """The recognizer's `Adaptation`."""

    stage = Stage.ASR
    consent = None

    def __init__(
        self,
        domain: Domain,
        *,
        base: str | None = None,
        manifests: Sequence[Path] = (),
        canaries: Sequence[Path] = (),
        recipe: RecognitionRecipe = RecognitionRecipe(),
        device: str = "auto",
        workforce: Workforce = THIS_PROCESS,
    ) -> None:
        """`base` is the domain's own recognizer unless another is named. `manifests` list recordings to learn from,
        `canaries` recordings of general speech to measure on, beside everyday sentences that ship."""
        self.domain = domain
        self.base = base or domain.models.recognizer
        self._settings = recipe
        self._manifests, self._canaries = tuple(manifests), tuple(canaries)
        self._device = device
        self._workforce = workforce
        self._data = _Data()

    @property
    def recipe(self) -> Mapping[str, Any]:
        """How it is trained."""
        return asdict(self._settings)

    @property
    def _seed(self) -> int:
        return self._settings.tuning.training.seed

    def gather(self, progress: Progress) -> Mapping[str, Any]:
        """Read the recordings and have the sentences spoken; what is measured on is kept apart."""
        recorded = tuple(utterance for path in self._manifests for utterance in read_manifest(path))
        test = domain_tests(self.domain)
        if test is not None:
            refuse_overlap(recorded, utterances_of(test.recordings))
        elif len(recorded) >= LEAST_TO_SPLIT:
            recorded, kept = _kept_apart(recorded, self._seed)
            test = spoken("recordings kept out of training", kept)
        # Where people are measured on, no voice needs to be kept out of training.
        voices = training_voices(all_installed=test is not None)
        terms, seed = self.domain.terms, self._seed
        texts = domain_sentences(self.domain, n=self._settings.n_sentences, seed=seed)
        test = test or self._spoken_test(texts, progress)
        spoken_by = partial(speak, progress=progress, workforce=self._workforce)
        synthetic = spoken_by(texts, voices=voices, terms=terms, seed=seed)
        replayed = spoken_by(general_sentences(self._settings.n_replayed, seed), voices=voices, seed=seed)
        general, left_out = self._general(recorded, progress)
        self._data = _Data(*self._split((*synthetic, *recorded)), replayed, (test,), general)
        return {
            "train": [
                spoken("spoken sentences of the domain", synthetic).describe(),
                spoken("spoken everyday sentences, replayed", replayed).describe(),
                {"manifests": [str(path) for path in self._manifests]} | spoken("recordings", recorded).describe(),
            ],
            "voices": [voice.name for voice in voices],
            "test": test.describe(),
            "canary": [one.describe() for one in general],
            "left out of the canary": left_out,
        }

    def train(self, folder: Path, progress: Progress) -> Path:
        """Fine-tune the recognizer."""
        training = partial(
            fine_tune,
            self.base,
            self._data.train,
            replayed=self._data.replayed,
            validation=self._data.validation,
            recipe=self._settings.tuning,
        )
        return self._workforce.train(training, folder, progress)

    @property
    def choices(self) -> Choices:
        """See `Searchable`: how fast and how long, how much general speech is held to, how often there is noise."""
        return {
            "learning_rate": Between(2e-5, 5e-4),
            "n_epochs": Among((1, 2, 3)),
            "distillation": Between(0.3, 3.0),
            "p_noise": Among((0.4, 0.6, 0.8)),
        }

    def attempt(self) -> Try:
        """See `Searchable`: the loss on sentences of the domain and, in equal parts, on everyday ones."""
        data, share = self._data, HELD_OUT_SHARE
        train, held_out = split_by_text(data.train, share=share, seed=self._seed)
        replayed, everyday = split_by_text(data.replayed, share=share, seed=self._seed) if data.replayed else ((), ())
        return partial(_score, self.base, self._settings, train, replayed, (held_out, everyday))

    def measure(self, candidate: Path | None, progress: Progress) -> Mapping[str, float]:
        """On the domain, and on general speech.

        Before, the domain is measured with what is in use now, general speech with the base: what is lost there must
        not add up from one adaptation to the next.
        """
        folder, terms = self.domain.folder, term_forms(self.domain)
        options = AssistantOptions(device=self._device, candidates={} if candidate is None else {Stage.ASR: candidate})
        (test,) = self._data.test
        with self._workforce.crew(Listening(folder, options, listen)) as ears:
            measures = domain_measures(ears, test, terms, progress=progress)
            if candidate is not None or promoted(folder, Stage.ASR) is None:
                return measures | general_measures(ears, self._data.general, terms, progress=progress)
        with self._workforce.crew(Listening(folder, replace(options, adapted=False), listen)) as ears:
            return measures | general_measures(ears, self._data.general, terms, progress=progress)

    def _spoken_test(self, texts: Sequence[str], progress: Progress) -> TestSet:
        """Sentences of the domain by voices that are not trained on, where there are any."""
        sentences = sentences_to_test(self.domain, n=N_TEST_SENTENCES, seed=self._seed + 1, trained=texts)
        if not sentences:
            raise AdaptError(
                f"{self.domain.folder}: there is nothing to measure on; give the domain patterns, or record "
                "callers (tests/*.jsonl)"
            )
        voices = held_out_voices() or training_voices()
        clips = speak(
            sentences,
            voices=voices,
            terms=self.domain.terms,
            seed=self._seed + 1,
            progress=progress,
            workforce=self._workforce,
        )
        return spoken(f"spoken sentences of the domain, by {_listed(voices)}", clips)

    def _general(self, recorded: Sequence[Utterance], progress: Progress) -> tuple[tuple[TestSet, ...], list[str]]:
        """The canary, and which sets were left out of it because they are trained on."""
        voices = held_out_voices() or training_voices()
        clips = speak(canary_sentences(), voices=voices, progress=progress, workforce=self._workforce)
        tests = [spoken("everyday sentences", clips)]
        left_out = []
        for path in self._canaries:
            utterances = read_manifest(path)
            try:
                refuse_overlap(recorded, utterances)
            except ManifestError:
                left_out.append(f"{path}: some of it is trained on")
                continue
            tests.append(spoken(str(path), utterances))
        return tuple(tests), left_out

    def _split(self, utterances: Sequence[Utterance]) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
        """What is trained on, and what tells when to stop."""
        if len(utterances) < LEAST_UTTERANCES:
            raise AdaptError(
                f"{len(utterances)} utterances to learn from, and at least {LEAST_UTTERANCES} are needed: add "
                "recordings (--manifest), or have sentences spoken (--recipe n_sentences=800)"
            )
        if self._settings.tuning.training.patience is None:
            return tuple(utterances), ()
        return split_by_text(utterances, share=VALIDATION_SHARE, seed=self._seed)


@dataclass(frozen=True, slots=True)
class _Data:
    """What is learned from and measured on."""

    train: tuple[Utterance, ...] = ()
    validation: tuple[Utterance, ...] = ()
    replayed: tuple[Utterance, ...] = ()
    test: tuple[TestSet, ...] = ()
    general: tuple[TestSet, ...] = ()


def _score(
    base: str,
    recipe: RecognitionRecipe,
    train: Sequence[Utterance],
    replayed: Sequence[Utterance],
    held_out: Sequence[Sequence[Utterance]],
    settings: Mapping[str, str],
    folder: Path,
) -> float:
    """A `Try`."""
    tuning = with_settings(recipe, settings).tuning
    return held_out_loss(base, train, held_out, replayed=replayed, recipe=tuning, folder=folder)


def _kept_apart(recorded: Sequence[Utterance], seed: int) -> tuple[tuple[Utterance, ...], tuple[Utterance, ...]]:
    """What is learned from, and what is measured on: other speakers, or of one speaker other texts."""
    if len({utterance.speaker for utterance in recorded}) > 1:
        return split_by_speaker(recorded, share=TEST_SHARE, seed=seed)
    return split_by_text(recorded, share=TEST_SHARE, seed=seed)


def _listed(voices: Sequence[Voice]) -> str:
    return ", ".join(voice.name for voice in voices)
