"""Small recognizers with random weights, in the layout of Hugging Face's hub."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import MoonshineConfig, MoonshineForConditionalGeneration, WhisperConfig
from transformers import WhisperForConditionalGeneration as WhisperModule

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def moonshine_tokenizer() -> dict[str, Any]:
    """A `tokenizer.json` of bytes, letters and few words."""
    marks = ("<unk>", "<s>", "</s>")
    words = ("▁", *LETTERS, *(f"▁{letter}" for letter in LETTERS), "th", "▁th", "▁the")
    texts = (*marks, *(f"<0x{byte:02X}>" for byte in range(256)), *words)
    vocabulary = {text: number for number, text in enumerate(texts)}
    added = [{"id": number, "content": text} for number, text in enumerate(marks)]
    added.append({"id": len(vocabulary), "content": "<<ST_0>>"})
    model = {"type": "BPE", "byte_fallback": True, "vocab": vocabulary, "merges": []}
    return {"added_tokens": added, "model": model}


def moonshine_folder(folder: Path, **changes: Any) -> Path:
    """A moonshine that differs from tiny in every size, its heads being those of moonshine-base."""
    tokenizer = moonshine_tokenizer()
    settings = {
        "vocab_size": len(tokenizer["model"]["vocab"]) + 1,
        "hidden_size": 104,
        "intermediate_size": 208,
        "encoder_num_hidden_layers": 2,
        "decoder_num_hidden_layers": 3,
        "encoder_num_attention_heads": 2,
        "decoder_num_attention_heads": 2,
        "partial_rotary_factor": 0.62,
        "pad_head_dim_to_multiple_of": 8,
        "pad_token_id": 2,
        "initializer_range": 0.1,
    }
    config = MoonshineConfig(**(settings | changes))
    torch.manual_seed(0)
    return save(MoonshineForConditionalGeneration(config), tokenizer, folder)


def whisper_folder(folder: Path, tokenizer: Path, **changes: Any) -> Path:
    """A Whisper with a vocabulary of usual size and little else."""
    settings = {
        "vocab_size": 51_865,
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 64,
        "init_std": 0.2,
    }
    torch.manual_seed(0)
    module = WhisperModule(WhisperConfig(**(settings | changes)))
    return save(module, json.loads(tokenizer.read_text()), folder)


def save(module: Any, tokenizer: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    module.config.save_pretrained(folder)
    module.generation_config.save_pretrained(folder)
    state = {name: weight.clone() for name, weight in module.state_dict().items() if name != "proj_out.weight"}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder
