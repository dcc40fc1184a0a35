"""Published graphs become a PyTorch model that hears the same, and a PyTorch model graphs that do."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rejoinder import models
from rejoinder.adapt.asr.moonshine import TrainableMoonshine, encode
from rejoinder.adapt.asr.trainable import IGNORED
from rejoinder.asr.graph import as_onnx, subgraphs
from rejoinder.asr.moonshine import MoonshineRecognizer
from rejoinder.asr.tokenizer import BEGIN_ID, END_ID
from rejoinder.errors import AdaptError, ModelError
from rejoinder.events import Samples
from rejoinder.manifest import Utterance

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def moonshine() -> TrainableMoonshine:
    return TrainableMoonshine.load(models.resolve("moonshine-tiny"))


@pytest.fixture(scope="module")
def published() -> MoonshineRecognizer:
    return MoonshineRecognizer.load(models.resolve("moonshine-tiny"))


@pytest.fixture(scope="module")
def exported(moonshine: TrainableMoonshine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    moonshine.export(folder)
    return folder


@pytest.fixture(scope="module")
def speech(recordings: tuple[Utterance, ...]) -> list[Samples]:
    return [utterance.samples() for utterance in recordings]


def logits(moonshine: TrainableMoonshine, samples: Samples, text: str) -> NDArray[np.float32]:
    with torch.no_grad():
        batch = moonshine.batch([samples], [moonshine.tokens(text)])
        return np.asarray(moonshine.logits(moonshine.module, batch))


def runtime_logits(recognizer: MoonshineRecognizer, samples: Samples, tokens: tuple[int, ...]) -> NDArray[np.float32]:
    cross = recognizer._decoder.listen(recognizer._encode(samples))
    return recognizer._decoder.read([BEGIN_ID, *tokens], recognizer._decoder.empty, cross)[0]


def test_the_pytorch_model_transcribes_as_the_published_one(
    moonshine: TrainableMoonshine, published: MoonshineRecognizer, speech: list[Samples]
) -> None:
    heard = moonshine.transcribe(speech)
    same = [text == published.transcribe(samples).text for text, samples in zip(heard, speech, strict=True)]
    assert sum(same) >= 7  # whole numbers may settle a close call otherwise


def test_expectations_are_those_of_the_published_model(
    moonshine: TrainableMoonshine, published: MoonshineRecognizer, speech: list[Samples]
) -> None:
    text = "Can I get a large latte?"
    own = logits(moonshine, speech[0], text)
    theirs = runtime_logits(published, speech[0], moonshine.tokens(text))
    assert own.shape == theirs.shape
    assert np.abs(own - theirs).mean() < 0.3
    assert np.array_equal(own.argmax(axis=1), theirs.argmax(axis=1))


def test_what_is_exported_opens_like_the_base_and_hears_the_same(
    moonshine: TrainableMoonshine, exported: Path, speech: list[Samples]
) -> None:
    recognizer = MoonshineRecognizer.load(exported)
    heard = moonshine.transcribe(speech)
    same = [text == recognizer.transcribe(samples).text for text, samples in zip(heard, speech, strict=True)]
    assert sum(same) >= 7


def test_float_graphs_are_the_pytorch_model(
    moonshine: TrainableMoonshine, speech: list[Samples], tmp_path: Path
) -> None:
    moonshine.export(tmp_path, quantize=False)
    recognizer = MoonshineRecognizer.load(tmp_path)
    text = "a large latte"
    own = logits(moonshine, speech[0], text)
    np.testing.assert_allclose(runtime_logits(recognizer, speech[0], moonshine.tokens(text)), own, atol=2e-3)


def test_a_published_onnx_is_read_as_its_ort_twin(moonshine: TrainableMoonshine, tmp_path: Path) -> None:
    import onnx

    source = models.resolve("moonshine-tiny")
    shutil.copy(source / "tokenizer.bin", tmp_path)
    for name in ("encoder_model", "decoder_model_merged"):
        graph = as_onnx(source / f"{name}.ort")
        for part in subgraphs(graph):
            part.name = part.name or "branch"
        opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("com.microsoft", 1)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / f"{name}.onnx")
    again = TrainableMoonshine.load(tmp_path)
    for name, weight in moonshine.module.state_dict().items():
        torch.testing.assert_close(again.module.state_dict()[name], weight)


def test_padding_changes_nothing(moonshine: TrainableMoonshine, speech: list[Samples]) -> None:
    batch = moonshine.batch([speech[0], speech[-1]], [(), ()])
    with torch.no_grad():
        together, heard = encode(moonshine.module, batch["samples"], batch["n_samples"])
        alone, all_heard = encode(moonshine.module, torch.from_numpy(speech[0])[None], batch["n_samples"][:1])
        theirs = moonshine.module.model.encoder(torch.from_numpy(speech[0])[None]).last_hidden_state
    assert bool(all_heard.all())
    assert int(heard[0].sum()) == alone.shape[1] < together.shape[1]
    torch.testing.assert_close(together[:1, : alone.shape[1]], alone, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone, theirs, atol=1e-4, rtol=1e-4)


def test_targets_end_with_the_end_mark_and_inputs_begin_with_the_other(moonshine: TrainableMoonshine) -> None:
    silence = np.zeros(8_000, np.float32)
    batch = moonshine.batch([silence, silence[:100]], [(7, 8), ()])
    assert batch["targets"].tolist() == [[7, 8, END_ID], [END_ID, IGNORED, IGNORED]]
    assert batch["inputs"][0].tolist() == [BEGIN_ID, 7, 8]
    assert batch["n_samples"].tolist() == [8_000, 8_000]  # as the runtime pads what is short


@pytest.mark.parametrize("text", ["a large latte", "It’s “free” – really…", unicodedata.normalize("NFD", "café")])
def test_texts_survive_their_tokens(moonshine: TrainableMoonshine, text: str) -> None:
    plain = unicodedata.normalize("NFC", text).replace("’", "'").replace("“", '"').replace("”", '"').replace("–", "-")
    assert moonshine.tokenizer.decode(moonshine.tokens(text)) == plain.replace("…", ".")


def test_characters_that_no_token_stands_for_are_named(moonshine: TrainableMoonshine) -> None:
    with pytest.raises(AdaptError, match=r"cannot write '🦜'.*one 🦜 please"):
        moonshine.tokens("one 🦜 please")


@pytest.fixture
def damaged(exported: Path, tmp_path: Path) -> Path:
    shutil.copytree(exported, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["encoder_model.onnx", "cross_model.onnx", "decoder_model.onnx"])
def test_a_damaged_export_is_named(damaged: Path, name: str) -> None:
    (damaged / name).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="model"):
        MoonshineRecognizer.load(damaged)


def test_an_export_without_a_part_is_named(damaged: Path) -> None:
    (damaged / "cross_model.onnx").unlink()
    with pytest.raises(ModelError, match=r"cross_model\.onnx"):
        MoonshineRecognizer.load(damaged)
