"""Opening pretrained recognizers as PyTorch models, whatever their source and the layout of their files.

encoder_model, decoder_model_merged (.ort or .onnx), tokenizer.bin    moonshine, as it is published for running
encoder_model, decoder_model, cross_model (.onnx), tokenizer.bin      moonshine, as fine-tuning leaves it
config.json, model.safetensors, tokenizer.json                        moonshine or Whisper, as the hub has them
model.bin, config.json, tokenizer.json                                Whisper, for CTranslate2
"""

from collections.abc import Mapping
from pathlib import Path

from transformers import MoonshineForConditionalGeneration

from rejoinder import models
from rejoinder.adapt.asr.hub import holds_hub_model, read_json
from rejoinder.adapt.asr.moonshine import TrainableMoonshine
from rejoinder.adapt.asr.trainable import Trainable
from rejoinder.adapt.asr.weights import load_of_hub, load_ours, load_published
from rejoinder.asr.decoder import OWN_DECODER
from rejoinder.asr.tokenizer import Tokenizer
from rejoinder.errors import ModelError

ON_THE_HUB: Mapping[str, str] = {"moonshine-base": "hf:UsefulSensors/moonshine-base"}
"""Names of models that no package carries, and where they are."""


def open_pretrained(source: str, *, language: str = "en") -> Trainable:
    """The recognizer of a name or source (`pkg:…`, `hf:…`, `file:…`).

    `language` is the one that is spoken, for a Whisper of many. Raises `ModelError`, saying what to type.
    """
    folder = models.resolve(ON_THE_HUB.get(source, source))
    if (folder / "model.bin").is_file():
        return _whisper(folder, language)
    if holds_hub_model(folder):
        kind = read_json(folder / "config.json").get("model_type")
        if kind == "whisper":
            return _whisper(folder, language)
        if kind == "moonshine":
            return _moonshine(load_of_hub(folder), folder / "tokenizer.json")
        raise ModelError(f"{source}: its config.json is that of a model of type '{kind}' (known: moonshine, whisper)")
    load = load_ours if (folder / OWN_DECODER).is_file() else load_published
    return _moonshine(load(folder), folder / "tokenizer.bin")


def _whisper(folder: Path, language: str) -> Trainable:
    from rejoinder.adapt.asr.whisper import TrainableWhisper  # the core has no faster-whisper

    return TrainableWhisper.load(folder, language=language)


def _moonshine(module: MoonshineForConditionalGeneration, tokenizer: Path) -> Trainable:
    return TrainableMoonshine(module, Tokenizer.load(tokenizer), tokenizer)
