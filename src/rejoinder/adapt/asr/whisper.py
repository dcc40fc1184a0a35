"""Whisper as something to be trained: from CTranslate2's files or Hugging Face's, and back to CTranslate2's.

The model is that of Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision".
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers import DynamicCache, EncoderDecoderCache, GenerationConfig, WhisperConfig
from transformers import WhisperForConditionalGeneration as WhisperModule

from rejoinder.adapt.asr.ctranslate import WhisperFile
from rejoinder.adapt.asr.hub import fill, read_json, read_weights
from rejoinder.adapt.asr.trainable import IGNORED
from rejoinder.errors import AdaptError, ModelError, require_extra
from rejoinder.events import Samples

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FRAMES_PER_S = 100
"""Of the spectrogram; the encoder halves them."""

MARGIN_S = 1.0
"""Silence that is encoded after the longest utterance of a batch. Whisper is run on 30 s, however short the utterance;
trained on so much less it takes a fifth of the time, and hears as well when it is run on 30 s again."""

N_MULTILINGUAL = 51_865
"""Tokens of a Whisper of many languages, at least; one for English only has fewer."""

_BEGIN, _END = "<|startoftranscript|>", "<|endoftext|>"


class TrainableWhisper:
    """A `Trainable`; see `trainable`."""

    def __init__(self, module: WhisperModule, tokenizer: "Tokenizer", tokenizer_file: Path, *, language: str) -> None:
        from faster_whisper.feature_extractor import FeatureExtractor

        self.module: Any = module
        self._tokenizer = tokenizer
        self._tokenizer_file = tokenizer_file
        self._spectrogram = FeatureExtractor(feature_size=module.config.num_mel_bins)
        self._n_most_frames = 2 * int(module.config.max_source_positions)
        self._end = _id(tokenizer, _END)
        many = module.config.vocab_size >= N_MULTILINGUAL
        about = (f"<|{language}|>", "<|transcribe|>") if many else ()
        self._prompt = [_id(tokenizer, mark) for mark in (_BEGIN, *about, "<|notimestamps|>")]

    @classmethod
    def load(cls, folder: Path, *, language: str = "en") -> "TrainableWhisper":
        """Open a Whisper of any size, as CTranslate2 or as Hugging Face's hub has it.

        `language` is the one that is spoken. Raises `ModelError` when the folder holds no such model or the model does
        not know the language, and `MissingExtraError` without `faster-whisper`.
        """
        require_extra("whisper", "faster_whisper")
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the tokenizers' own exceptions have no common base
            raise ModelError(f"{path}: is missing or no tokenizer ({error})") from error
        module = _from_ctranslate(folder, tokenizer) if (folder / "model.bin").is_file() else _from_hub(folder)
        return cls(module.eval(), tokenizer, path, language=language)

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a text, without marks: any character can be spelled in bytes."""
        return tuple(self._tokenizer.encode(f" {text.strip()}", add_special_tokens=False).ids)

    def n_most_tokens(self, duration_s: float) -> int:
        """How many tokens are written at most: half of the context, however long the audio."""
        del duration_s
        return int(self.module.config.max_target_positions) // 2

    def batch(self, audio: Sequence[Samples], targets: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Audio and its tokens, padded.

        spectrogram (n_batch, n_mel_bins, n_frames), inputs and targets (n_batch, n_tokens), of which inputs begin with
        the marks that ask for a transcript and targets end with the end mark. There are `MARGIN_S` more frames than the
        longest utterance has.
        """
        n_tokens = len(self._prompt) + max(map(len, targets), default=0)
        wanted = torch.full((len(audio), n_tokens), IGNORED)
        given = torch.full((len(audio), n_tokens), self._end)
        first = len(self._prompt) - 1  # of the targets: where the last mark has been read
        for row, tokens in enumerate(targets):
            wanted[row, first : first + len(tokens) + 1] = torch.tensor([*tokens, self._end])
            given[row, : len(self._prompt) + len(tokens)] = torch.tensor([*self._prompt, *tokens])
        spectrograms = [self._frames(samples) for samples in audio]
        longest = max(frames.shape[1] for frames in spectrograms) + int(MARGIN_S * FRAMES_PER_S)
        return {"spectrogram": self._padded(spectrograms, longest), "inputs": given, "targets": wanted}

    def logits(self, module: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """What the model expects in the places of `targets` that are not `IGNORED`, (n_targets, n_vocabulary)."""
        hidden = encode(module, batch["spectrogram"])
        decoded = module.model.decoder(
            input_ids=batch["inputs"], encoder_hidden_states=hidden, use_cache=False
        ).last_hidden_state
        # Only where there is a target: the product with the embedding of all 51,865 tokens is not small.
        logits: Tensor = module.proj_out(decoded[batch["targets"] != IGNORED])
        return logits

    @torch.no_grad()
    def transcribe(self, audio: Sequence[Samples]) -> list[str]:
        """Greedy transcripts, as `WhisperRecognizer` makes them of at most 30 s: with all 30 s encoded."""
        return [self._transcribe(samples) for samples in audio]

    def _transcribe(self, samples: Samples) -> str:
        module = self.module
        device = next(module.parameters()).device
        spectrogram = self._padded([self._frames(samples)], self._n_most_frames).to(device)
        hidden = encode(module, spectrogram)
        past = EncoderDecoderCache(DynamicCache(), DynamicCache())
        settings = module.generation_config
        never, never_first = (settings.suppress_tokens or []), (settings.begin_suppress_tokens or [])
        given = self._prompt
        spoken: list[int] = []
        while len(spoken) < self.n_most_tokens(0.0):
            step = module.model.decoder(
                input_ids=torch.tensor([given], device=device),
                cache=past,
                encoder_hidden_states=hidden,
                use_cache=True,
            )
            logits = module.proj_out(step.last_hidden_state[0, -1])
            logits[never if spoken else [*never, *never_first]] = -torch.inf
            token = int(logits.argmax())
            if token == self._end:
                break
            spoken.append(token)
            given = [token]
        return str(self._tokenizer.decode(spoken)).strip()

    def export(self, folder: Path) -> None:
        """Write what `WhisperRecognizer.load` opens; raises `AdaptError` when the disk is full."""
        try:
            _convert(self.module, self._tokenizer, folder)
            shutil.copyfile(self._tokenizer_file, folder / "tokenizer.json")
            about = {"feature_size": self.module.config.num_mel_bins}  # 80, but 128 in large-v3
            (folder / "preprocessor_config.json").write_text(json.dumps(about), encoding="utf-8")
        except OSError as error:
            reason = error.strerror or error
            raise AdaptError(f"{folder}: the model cannot be written ({reason}); make room there") from error

    def _frames(self, samples: Samples) -> Tensor:
        """The logarithmic spectrogram as faster-whisper hears it, (n_mel_bins, n_frames)."""
        frames = self._spectrogram(samples)[:, :-1]  # the last one is of its own padding, and it leaves it out
        return torch.from_numpy(frames[:, : self._n_most_frames].astype(np.float32))

    def _padded(self, spectrograms: Sequence[Tensor], n_frames: int) -> Tensor:
        """One after the other, zeros after the end as faster-whisper has them, (n_batch, n_mel_bins, n_frames)."""
        n_frames = min(n_frames + n_frames % 2, self._n_most_frames)
        return torch.stack([nn.functional.pad(frames, (0, n_frames - frames.shape[1])) for frames in spectrograms])


def encode(module: Any, spectrogram: Tensor) -> Tensor:
    """(n_batch, n_mel_bins, n_frames) to hidden states (n_batch, n_frames / 2, d_model).

    transformers' own forward takes 30 s and nothing else.
    """
    encoder = module.model.encoder
    x: Tensor = gelu(encoder.conv2(gelu(encoder.conv1(spectrogram)))).permute(0, 2, 1)
    x = x + encoder.embed_positions.weight[: x.shape[1]]
    for layer in encoder.layers:
        x = layer(x, None)
    hidden: Tensor = encoder.layer_norm(x)
    return hidden


def _id(tokenizer: "Tokenizer", mark: str) -> int:
    number = tokenizer.token_to_id(mark)
    if number is None:
        raise ModelError(f"this Whisper's tokenizer has no {mark}: it does not know the language, or is not Whisper's")
    return int(number)


def _from_ctranslate(folder: Path, tokenizer: "Tokenizer") -> WhisperModule:
    file = WhisperFile.read(folder)
    weights, settings, end = file.weights, file.settings, _id(tokenizer, _END)

    def n_layers(side: str) -> int:
        return sum(name.startswith(f"model.{side}.layers.") and name.endswith(".fc1.weight") for name in weights)

    try:
        n_vocabulary, d_model = weights["model.decoder.embed_tokens.weight"].shape
        config = WhisperConfig(
            vocab_size=n_vocabulary,
            d_model=d_model,
            num_mel_bins=weights["model.encoder.conv1.weight"].shape[1],
            encoder_layers=n_layers("encoder"),
            decoder_layers=n_layers("decoder"),
            encoder_attention_heads=file.n_encoder_heads,
            decoder_attention_heads=file.n_decoder_heads,
            encoder_ffn_dim=weights["model.encoder.layers.0.fc1.weight"].shape[0],
            decoder_ffn_dim=weights["model.decoder.layers.0.fc1.weight"].shape[0],
            max_source_positions=weights["model.encoder.embed_positions.weight"].shape[0],
            max_target_positions=weights["model.decoder.embed_positions.weight"].shape[0],
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=_id(tokenizer, _BEGIN),
        )
        module = WhisperModule(config)
        state = {name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()}
    except KeyError as error:
        raise ModelError(f"{folder}: is not a Whisper that is known here (it has no {error})") from error
    fill(module, state, folder)
    module.generation_config = GenerationConfig(
        suppress_tokens=settings.get("suppress_ids"),
        begin_suppress_tokens=settings.get("suppress_ids_begin"),
        alignment_heads=settings.get("alignment_heads"),
        lang_to_id={tokenizer.id_to_token(number): number for number in settings.get("lang_ids") or ()},
    )
    return module


def _from_hub(folder: Path) -> WhisperModule:
    try:
        module = WhisperModule(WhisperConfig.from_dict(read_json(folder / "config.json")))
    except (TypeError, ValueError, KeyError, ZeroDivisionError, StrictDataclassError) as error:
        raise ModelError(f"{folder}: its config.json describes no Whisper ({error})") from error
    fill(module, read_weights(folder), folder)
    settings = folder / "generation_config.json"
    if settings.is_file():
        module.generation_config = GenerationConfig.from_dict(read_json(settings))
    return module


def _convert(module: WhisperModule, tokenizer: "Tokenizer", folder: Path) -> None:
    """Write CTranslate2's files, int8, by its own converter."""
    from ctranslate2.converters import TransformersConverter

    with tempfile.TemporaryDirectory() as scratch:
        module.config.dtype = torch.float32
        module.config.save_pretrained(scratch)
        converter = TransformersConverter(scratch)
        # What it would read from the disk is here already, and is quantized in place.
        converter.load_model = lambda *_, **__: deepcopy(module).cpu()
        converter.load_tokenizer = lambda *_, **__: tokenizer
        converter.convert(str(folder), quantization="int8", force=True)
