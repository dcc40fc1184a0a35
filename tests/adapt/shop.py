"""A small shop whose recognizer is adapted in seconds: two recorded customers, a voice that beeps, a tiny base."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rejoinder.adapt import recognition
from rejoinder.adapt.carriers import Style
from rejoinder.events import Samples
from rejoinder.tts.hibari import HibariSynthesizer
from rejoinder.tts.lexicon import Lexicon
from tests.adapt.voices import Beeper

DOMAIN = """
name: shop
terms:
  - written: Xarelto
slots:
  size: [small, large]
intents:
  order:
    slots: {size: {required: true, ask: Which size?}}
    patterns: ["(I want|give me|can I have) a {size} (box|bag|cup) [of Xarelto] [please|today]"]
    reply: A {size} one.
  hours:
    examples: [when are you open, what are your opening hours, are you open today]
    reply: We are open from nine to five.
"""

EVERYDAY = ("The weather is nice today.", "My brother collects old maps.", "The train leaves at noon.")


class SlowBeeper(Beeper):
    """Beeps slowly enough for the tiny base, which writes letter by letter."""

    def speak(
        self, text: str, *, rng: np.random.Generator, speed: float = 1.0, lexicon: Lexicon | None = None
    ) -> tuple[Samples, int]:
        return super().speak(text, rng=rng, speed=speed / 3, lexicon=lexicon)


def make_shop(folder: Path) -> Path:
    """The domain with two test recordings of orders."""
    folder.mkdir(parents=True)
    (folder / "domain.yaml").write_text(DOMAIN)
    orders = (("give me a large box please", "large"), ("can I have a small cup", "small"))
    lines = []
    for n, (text, size) in enumerate(orders):
        say(text, folder / f"{n}.wav")
        lines.append({"audio_filepath": f"{n}.wav", "intent": "order", "slots": {"size": size}})
    (folder / "recordings.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """One voice that beeps and three everyday sentences; small letters only, for the tiny base writes no others."""
    patch.setattr(recognition, "training_voices", lambda **_: (SlowBeeper(),))
    patch.setattr(recognition, "held_out_voices", lambda: ())
    patch.setattr(recognition, "canary_sentences", lambda: EVERYDAY)
    for name in ("domain_sentences", "general_sentences"):
        patch.setattr(recognition, name, partial(getattr(recognition, name), style=Style.PLAIN))


def say(text: str, path: Path) -> None:
    """Have the packaged voice say something into a file."""
    voice = HibariSynthesizer.load()
    soundfile.write(path, np.concatenate(list(voice.synthesize(text))), voice.sample_rate)


def make_manifest(folder: Path, *, n: int, speakers: int = 2, text: str = "GIVE ME A LARGE BOX") -> Path:
    """`n` recordings of noise by so many speakers, who all say much the same."""
    folder.mkdir(exist_ok=True)
    lines = []
    for at in range(n):
        samples = np.random.default_rng(at).normal(0, 0.1, 16_000 + 10 * at)
        soundfile.write(folder / f"{at}.wav", samples, 16_000)
        entry = {"audio_filepath": f"{at}.wav", "text": text, "speaker": f"s{at % speakers}"}
        lines.append(json.dumps(entry))
    path = folder / "train.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path
