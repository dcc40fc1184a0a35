"""Moonshine as something to be trained: batches, logits, transcripts, and the way back to the runtime."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, MoonshineForConditionalGeneration

from rejoinder.adapt.asr.export import export_moonshine
from rejoinder.adapt.asr.trainable import IGNORED
from rejoinder.adapt.asr.weights import load_published
from rejoinder.asr.moonshine import PADDED_S, TOKENS_PER_S, MoonshineOptions
from rejoinder.asr.tokenizer import BEGIN_ID, END_ID, Tokenizer, is_byte
from rejoinder.audio import SAMPLE_RATE
from rejoinder.errors import AdaptError
from rejoinder.events import Samples

_PLAIN = str.maketrans("‘’“”–—…", "''\"\"--.")
"""Typographic signs, and those that the vocabulary has for them."""

_SHORTEST = int(PADDED_S * SAMPLE_RATE)


class TrainableMoonshine:
    """A `Trainable`; see `training`."""

    def __init__(self, module: MoonshineForConditionalGeneration, tokenizer: Tokenizer, tokenizer_file: Path) -> None:
        self.module: Any = module
        self.tokenizer = tokenizer
        self._tokenizer_file = tokenizer_file

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a published moonshine: its graphs and its `tokenizer.bin`."""
        path = folder / "tokenizer.bin"
        tokenizer = Tokenizer.load(path)
        return cls(load_published(folder), tokenizer, path)

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a text, without marks; raises `AdaptError` when it has characters that no token stands for."""
        tokens = self.tokenizer.encode(unicodedata.normalize("NFC", text.translate(_PLAIN)))
        spelled = self.tokenizer.decode(token for token in tokens if is_byte(token))
        if spelled:
            raise AdaptError(f"the recognizer cannot write {spelled!r}; write the text as it is spoken ({text[:60]!r})")
        return tokens

    def n_most_tokens(self, duration_s: float) -> int:
        """How many tokens the runtime writes at most for so much audio."""
        return int(duration_s * TOKENS_PER_S) + MoonshineOptions().n_slack_tokens

    def batch(self, audio: Sequence[Samples], targets: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Audio and its tokens, padded.

        samples (n_batch, n_samples), n_samples (n_batch,), inputs and targets (n_batch, n_tokens): inputs begin with
        the begin mark, and targets end with the end mark.
        """
        n_tokens = 1 + max(map(len, targets), default=0)
        wanted = torch.full((len(audio), n_tokens), IGNORED)
        given = torch.full((len(audio), n_tokens), END_ID)
        for row, tokens in enumerate(targets):
            wanted[row, : len(tokens) + 1] = torch.tensor([*tokens, END_ID])
            given[row, : len(tokens) + 1] = torch.tensor([BEGIN_ID, *tokens])
        return {**_padded(audio), "inputs": given, "targets": wanted}

    def logits(self, module: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """What the model expects in the places of `targets` that are not `IGNORED`, (n_targets, n_vocabulary)."""
        hidden, heard = encode(module, batch["samples"], batch["n_samples"])
        decoded = module.model.decoder(
            input_ids=batch["inputs"], encoder_hidden_states=hidden, encoder_attention_mask=heard, use_cache=False
        ).last_hidden_state
        # Only where there is a target: the product with the embedding of all 32,768 tokens is not small.
        logits: Tensor = module.proj_out(decoded[batch["targets"] != IGNORED])
        return logits

    @torch.no_grad()
    def transcribe(self, audio: Sequence[Samples]) -> list[str]:
        """Greedy transcripts, as the runtime decodes without a bias."""
        module = self.module
        device = next(module.parameters()).device
        batch = {name: tensor.to(device) for name, tensor in _padded(audio).items()}
        hidden, heard = encode(module, batch["samples"], batch["n_samples"])
        n_most = torch.tensor([self.n_most_tokens(len(samples) / SAMPLE_RATE) for samples in audio])
        past = EncoderDecoderCache(DynamicCache(config=module.config), DynamicCache(config=module.config))
        last = torch.full((len(audio), 1), BEGIN_ID, device=device)
        ended = torch.zeros(len(audio), dtype=torch.bool)
        spoken: list[list[int]] = [[] for _ in audio]
        for n in range(int(n_most.max())):
            step = module.model.decoder(
                input_ids=last,
                cache=past,
                encoder_hidden_states=hidden,
                encoder_attention_mask=heard,
                use_cache=True,
            )
            last = module.proj_out(step.last_hidden_state[:, -1:]).argmax(dim=-1)  # (n_batch, 1)
            ended |= (last[:, 0].cpu() == END_ID) | (n_most <= n)
            if ended.all():
                break
            for row in (~ended).nonzero()[:, 0].tolist():
                spoken[row].append(int(last[row, 0]))
        return [self.tokenizer.decode(tokens) for tokens in spoken]

    def export(self, folder: Path, *, quantize: bool = True) -> None:
        """Write what `MoonshineRecognizer.load` opens."""
        export_moonshine(self.module, self._tokenizer_file, folder, quantize=quantize)


def encode(module: Any, samples: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
    """Padded audio to hidden states (n_batch, n_frames, d_model), and which frames are audio (n_batch, n_frames).

    transformers' own forward lets padding into the mean and variance of the group norm, so that an utterance's result
    depends on its neighbours; here it is the same as alone.
    """
    encoder = module.model.encoder
    x = torch.tanh(encoder.conv1(samples[:, None]))  # (n_batch, d_model, n_frames)
    n_frames = _n_frames(encoder.conv1, n_samples)
    x = _normalized(encoder.groupnorm, x, _mask(n_frames, x.shape[-1]))
    for conv in (encoder.conv2, encoder.conv3):
        x = nn.functional.gelu(conv(x))
        n_frames = _n_frames(conv, n_frames)
    x = x.permute(0, 2, 1)
    heard = _mask(n_frames, x.shape[1])
    positions = encoder.rotary_emb(x, position_ids=torch.arange(x.shape[1], device=x.device)[None])
    seen = None if bool(heard.all()) else heard[:, None, None, :]
    for layer in encoder.layers:
        x = layer(x, attention_mask=seen, position_embeddings=positions)
    return encoder.layer_norm(x), heard


def _padded(audio: Sequence[Samples]) -> dict[str, Tensor]:
    lengths = [max(len(samples), _SHORTEST) for samples in audio]
    samples: NDArray[np.float32] = np.zeros((len(audio), max(lengths)), np.float32)
    for row, one in enumerate(audio):
        samples[row, : len(one)] = one
    return {"samples": torch.from_numpy(samples), "n_samples": torch.tensor(lengths)}


def _n_frames(conv: nn.Conv1d, n: Tensor) -> Tensor:
    return (n - conv.kernel_size[0]) // conv.stride[0] + 1


def _mask(n_frames: Tensor, n_most: int) -> Tensor:
    """True for the first `n_frames` of each row, (n_batch, n_most)."""
    return torch.arange(n_most, device=n_frames.device)[None] < n_frames[:, None]


def _normalized(groupnorm: nn.GroupNorm, x: Tensor, mask: Tensor) -> Tensor:
    """The group norm (one group) over the frames in `mask`; `x` is (n_batch, d_model, n_frames)."""
    inside = mask[:, None].to(x.dtype)
    n = inside.sum(dim=(1, 2), keepdim=True) * x.shape[1]
    mean = (x * inside).sum(dim=(1, 2), keepdim=True) / n
    centred = x - mean
    variance = (centred.square() * inside).sum(dim=(1, 2), keepdim=True) / n
    scaled = centred * torch.rsqrt(variance + groupnorm.eps)
    return scaled * groupnorm.weight[None, :, None] + groupnorm.bias[None, :, None]
