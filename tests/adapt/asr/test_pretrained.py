"""Recognizers are opened whatever the layout of their files, and what cannot be opened is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from rejoinder.adapt.asr.pretrained import open_pretrained
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.asr.tokenizer import BEGIN_ID
from rejoinder.errors import ModelError
from rejoinder.events import Samples
from tests.adapt.asr.small import moonshine_folder

TEXT = "the lazy dog"


@pytest.fixture(scope="module")
def of_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moonshine_folder(tmp_path_factory.mktemp("of_hub"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Like `of_hub`, to be spoilt."""
    return moonshine_folder(tmp_path)


@pytest.fixture(scope="module")
def noise() -> Samples:
    return np.random.default_rng(0).normal(scale=0.1, size=32_000).astype(np.float32)


def logits(recognizer: Any, samples: Samples) -> NDArray[np.float32]:
    batch = recognizer.batch([samples], [recognizer.tokens(TEXT)])
    with torch.no_grad():
        return np.asarray(recognizer.logits(recognizer.module, batch))


def runtime_logits(folder: Path, samples: Samples, tokens: tuple[int, ...]) -> NDArray[np.float32]:
    recognizer = MoonshineRecognizer.load(folder)
    cross = recognizer._decoder.listen(recognizer._encode(samples))
    return recognizer._decoder.read([BEGIN_ID, *tokens], recognizer._decoder.empty, cross)[0]


def test_a_moonshine_of_any_size_runs_as_in_pytorch(of_hub: Path, noise: Samples, tmp_path: Path) -> None:
    recognizer = open_pretrained(f"file:{of_hub}")
    own = logits(recognizer, noise)
    recognizer.export(tmp_path / "float32", quantize=False)  # type: ignore[call-arg]  # moonshine's alone
    np.testing.assert_allclose(runtime_logits(tmp_path / "float32", noise, recognizer.tokens(TEXT)), own, atol=1e-3)
    recognizer.export(tmp_path / "int8")
    rounded = runtime_logits(tmp_path / "int8", noise, recognizer.tokens(TEXT))
    assert np.abs(rounded - own).mean() < 0.05 * own.std()


def test_weights_are_those_of_the_hub(of_hub: Path) -> None:
    weights = open_pretrained(f"file:{of_hub}").module.state_dict()
    for name, weight in load_file(of_hub / "model.safetensors").items():
        assert torch.equal(weights[name], weight)


def test_what_fine_tuning_left_can_be_tuned_again(of_hub: Path, tmp_path: Path) -> None:
    first = open_pretrained(f"file:{of_hub}")
    first.export(tmp_path / "first")
    second = open_pretrained(f"file:{tmp_path / 'first'}")
    for name, weight in first.module.state_dict().items():
        rounding = weight.abs().max() / 127 / 2
        assert (second.module.state_dict()[name] - weight).abs().max() <= 1.01 * rounding
    second.export(tmp_path / "second")
    for path in sorted((tmp_path / "first").iterdir()):
        assert (tmp_path / "second" / path.name).read_bytes() == path.read_bytes()


def test_weights_in_several_files_and_in_half_precision_are_read(folder: Path) -> None:
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(whole)
    shards = {"a.safetensors": names[:10], "b.safetensors": names[10:]}
    for file, own_names in shards.items():
        save_file({name: whole[name].half() for name in own_names}, folder / file)
    weight_map = {name: file for file, own_names in shards.items() for name in own_names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    weights = open_pretrained(f"file:{folder}").module.state_dict()
    for name, weight in whole.items():
        assert torch.equal(weights[name], weight.half().float())


def test_a_model_that_only_the_hub_has_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="rejoinder models fetch hf:UsefulSensors/moonshine-base"):
        open_pretrained("moonshine-base")


@pytest.mark.parametrize(
    "changes",
    [
        {"partial_rotary_factor": 0.9},
        {"attention_bias": True},
        {"encoder_num_attention_heads": 1},
        {"encoder_num_key_value_heads": 1},
        {"decoder_hidden_act": "gelu"},
        {"tie_word_embeddings": False},
    ],
)
def test_another_architecture_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = json.loads((moonshine_folder(tmp_path) / "config.json").read_text())
    rope = {**config["rope_parameters"], **{k: v for k, v in changes.items() if k == "partial_rotary_factor"}}
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes, "rope_parameters": rope}))
    with pytest.raises(ModelError, match="describes another moonshine"):
        open_pretrained(f"file:{tmp_path}")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is missing or no JSON"),
        ("[]", "is not a JSON object"),
        ('{"model_type": "bert"}', r"type 'bert' \(known: moonshine, whisper\)"),
        ('{"model_type": "moonshine", "hidden_size": "many"}', "describes no moonshine"),
        ('{"model_type": "moonshine", "partial_rotary_factor": 0.9}', "do not fit the model that it says it is"),
    ],
)
def test_a_wrong_configuration_is_named(folder: Path, config: str, message: str) -> None:
    (folder / "config.json").write_text(config)
    with pytest.raises(ModelError, match=message):
        open_pretrained(f"file:{folder}")


def test_missing_damaged_and_foreign_weights_are_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({"odd": torch.zeros(1), **weights}, path)
    with pytest.raises(ModelError, match=r"another model's weights \(odd\)"):
        open_pretrained(f"file:{folder}")
    del weights["model.encoder.conv1.weight"]
    save_file(weights, path)
    with pytest.raises(ModelError, match=r"another model's weights \(model\.encoder\.conv1\.weight\)"):
        open_pretrained(f"file:{folder}")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read"):
        open_pretrained(f"file:{folder}")
    path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")  # is not looked at
    with pytest.raises(ModelError, match="holds no"):
        open_pretrained(f"file:{folder}")


def test_another_kind_of_tokenizer_is_named(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["byte_fallback"] = False
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"tokenizer\.json: is not a moonshine tokenizer"):
        open_pretrained(f"file:{folder}")
