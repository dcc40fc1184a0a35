"""Adapting a domain's voice: a speaker's recordings and their consent in, a voice that sounds like them out."""

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rejoinder import models
from rejoinder.adapt.voice.donor import Donor
from rejoinder.adapt.voice.export import export
from rejoinder.adapt.voice.likeness import SpeakerEncoder
from rejoinder.adapt.voice.measure import Speaker, measure_voice
from rejoinder.adapt.voice.recordings import Clip, highest_frequency, prepare, read_recordings
from rejoinder.adapt.voice.source_filter import SourceFilterDecoder
from rejoinder.adapt.voice.texts import measured_sentences, practice_sentences
from rejoinder.adapt.voice.training import VoiceRecipe, learn_voice
from rejoinder.adapt.workforce import THIS_PROCESS, Workforce
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.build import Stage
from rejoinder.domain import Domain
from rejoinder.errors import AdaptError
from rejoinder.manifest import Utterance, split_by_text
from rejoinder.progress import Progress

HELD_OUT_SHARE = 0.1
"""Of the recordings, by time: never trained on, the speaker that the voice is compared with."""

N_REPLAYED = 400
"""Everyday sentences of the donor's that are replayed."""

LEAST_CONSENT = 10
"""Characters: who agreed, to what, when. A "yes" is no record."""


@dataclass(frozen=True, slots=True)
class _Data:
    """What `gather` found."""

    clips: tuple[Clip, ...]
    speaker: Speaker
    highest_hz: float


class VoiceAdaptation:
    """The voice's `Adaptation`."""

    stage = Stage.VOICE

    def __init__(
        self,
        domain: Domain,
        *,
        recordings: Path,
        consent: str,
        base: str | None = None,
        recipe: VoiceRecipe | None = None,
        workforce: Workforce = THIS_PROCESS,
    ) -> None:
        """`recordings` is a folder as LJSpeech has it, or a manifest; `base` the donor, "joe" unless another is named.

        Raises `AdaptError` unless `consent` says who agreed.
        """
        self.domain = domain
        self.base = base or "joe"
        self.consent = stated(consent)
        self._recordings = recordings
        self._settings = recipe or VoiceRecipe()
        self._workforce = workforce
        self._donor: Donor | None = None
        self._data: _Data | None = None

    @property
    def recipe(self) -> Mapping[str, Any]:
        """How it is learnt."""
        return {"grade": self._settings.grade, **asdict(self._settings)}

    def gather(self, progress: Progress) -> Mapping[str, Any]:
        """Read the recordings, and keep some of them to measure with."""
        utterances = read_recordings(self._recordings)
        train, held_out = split_by_text(utterances, share=HELD_OUT_SHARE, seed=self._settings.seed)
        self._donor = donor = Donor.load(models.resolve(self.base))
        level = donor.level()
        clips, kept = (
            prepare(part, phoneme_ids=donor.phoneme_ids, level=level, progress=progress) for part in (train, held_out)
        )
        highest_hz = highest_frequency(clips)
        self._data = _Data(clips, Speaker.of(kept, SpeakerEncoder.load()), highest_hz)
        return {
            "train": _described(self._recordings, train, clips),
            "held out": _described(self._recordings, held_out, kept),
            "highest_hz": round(highest_hz),
            "donor": self.base,
        }

    def learn_donor(self, progress: Progress) -> SourceFilterDecoder:
        """What is learnt from a donor once, at its first adaptation, and then kept in the cache folder."""
        donor, _ = self._gathered()
        return donor.decoder(device=self._settings.device, progress=progress)

    def train(self, folder: Path, progress: Progress) -> Path:
        """Learn the voice from the donor's."""
        donor, data = self._gathered()
        training = partial(_learn, donor, data.clips, data.highest_hz, self._settings, self.domain.folder.name)
        return self._workforce.train(training, folder, progress, alone=True)

    def measure(self, candidate: Path | None, progress: Progress) -> Mapping[str, float]:
        """Likeness, intelligibility at the speaker's pace, pitch and clarity; before: those of the donor."""
        donor, data = self._gathered()
        recognizer = MoonshineRecognizer.load(models.resolve("moonshine-tiny"))
        return measure_voice(
            candidate or donor.folder,
            data.speaker,
            measured_sentences(),
            transcribe=lambda samples: recognizer.transcribe(samples).text,
            progress=progress,
        )

    def _gathered(self) -> tuple[Donor, _Data]:
        assert self._donor is not None
        assert self._data is not None, "gather comes first"
        return self._donor, self._data


def _learn(
    donor: Donor,
    clips: Sequence[Clip],
    highest_hz: float,
    recipe: VoiceRecipe,
    name: str,
    *,
    folder: Path,
    progress: Progress,
) -> Path:
    """Learn the voice of `clips` from the donor's, and write it."""
    voice = deepcopy(donor.model)
    voice.dec = donor.decoder(device=recipe.device, progress=progress)
    texts = [donor.phoneme_ids(text) for text in practice_sentences(N_REPLAYED)]
    learn_voice(voice, clips, texts, highest_hz=highest_hz, recipe=recipe, folder=folder, progress=progress)
    target = folder / "voice"
    inference = {"noise_scale": recipe.noise, "length_scale": 1.0, "noise_w": recipe.noise_w}
    export(voice, donor.folder, target, name=name, changes={"dataset": name, "inference": inference})
    return target


def stated(consent: str) -> str:
    """The consent as it stands in the card; raises `AdaptError` unless it says who agreed."""
    consent = " ".join(consent.split())
    if len(consent) < LEAST_CONSENT or " " not in consent:
        raise AdaptError(
            "a person's voice is learnt only with their consent, which is kept in the model's card; say who agreed, to "
            'what and when: --consent "Jane Doe agreed in writing on 2026-11-02 to be the voice of our telephone"'
        )
    return consent


def _described(source: Path, utterances: Sequence[Utterance], clips: Sequence[Clip]) -> dict[str, Any]:
    """What there is, for the card."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(clip.samples.tobytes() + clip.text.encode())
    return {
        "recordings": str(source),
        "utterances": len(utterances),
        "used": len(clips),
        "minutes": round(sum(clip.seconds for clip in clips) / 60, 2),
        "sha256": digest.hexdigest(),
    }
