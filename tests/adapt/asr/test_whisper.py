"""Whisper is trained from the files that it is run from, and what comes out runs as it did in PyTorch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rejoinder import models
from rejoinder.adapt.asr.ctranslate import WhisperFile
from rejoinder.adapt.asr.pretrained import open_pretrained
from rejoinder.adapt.asr.recipe import Recipe
from rejoinder.adapt.asr.trainable import IGNORED
from rejoinder.adapt.asr.training import fine_tune
from rejoinder.adapt.asr.whisper import TrainableWhisper, encode
from rejoinder.adapt.trainer import TrainingOptions
from rejoinder.asr.whisper import WhisperRecognizer
from rejoinder.errors import ModelError
from rejoinder.events import Samples
from rejoinder.manifest import Utterance
from tests.adapt.asr.small import whisper_folder

ctranslate2 = pytest.importorskip("ctranslate2")
pytest.importorskip("faster_whisper")
pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PROMPT = [50258, 50259, 50359, 50363]  # begin, English, transcribe, no timestamps
END = 50257


@pytest.fixture(scope="module")
def tokenizer_file() -> Path:
    return models.resolve("whisper-base") / "tokenizer.json"


@pytest.fixture(scope="module")
def of_hub(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> Path:
    return whisper_folder(tmp_path_factory.mktemp("of_hub"), tokenizer_file)


@pytest.fixture(scope="module")
def whisper(of_hub: Path) -> TrainableWhisper:
    return TrainableWhisper.load(of_hub)


@pytest.fixture(scope="module")
def exported(whisper: TrainableWhisper, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    whisper.export(folder)
    return folder


@pytest.fixture(scope="module")
def noise() -> Samples:
    return np.random.default_rng(0).normal(scale=0.1, size=24_000).astype(np.float32)


def test_exported_weights_are_the_models_own(whisper: TrainableWhisper, exported: Path) -> None:
    weights = whisper.module.state_dict()
    file = WhisperFile.read(exported)
    assert (file.n_encoder_heads, file.n_decoder_heads) == (2, 4)
    assert file.weights.keys() == weights.keys() - {"proj_out.weight"}
    for name, weight in file.weights.items():
        rounding = np.abs(weights[name]).max() / 127 / 2
        assert np.abs(weight - weights[name].numpy()).max() <= 1.01 * rounding


def test_what_fine_tuning_left_can_be_tuned_again(exported: Path, tmp_path: Path) -> None:
    open_pretrained(f"file:{exported}").export(tmp_path / "again")
    for path in sorted(exported.iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_the_runtime_hears_what_pytorch_hears(whisper: TrainableWhisper, exported: Path, noise: Samples) -> None:
    spectrogram = whisper.batch([noise], [()])["spectrogram"]
    whole = torch.nn.functional.pad(spectrogram, (0, 3_000 - spectrogram.shape[-1]))
    with torch.no_grad():
        own = encode(whisper.module, whole).numpy()
        theirs = whisper.module.model.encoder(whole).last_hidden_state.numpy()
    np.testing.assert_allclose(own, theirs, atol=1e-5)
    model = ctranslate2.models.Whisper(str(exported), compute_type="float32")
    heard = np.asarray(model.encode(ctranslate2.StorageView.from_array(whole.numpy())))
    assert np.abs(heard - own).mean() < 0.03 * own.std()


def test_more_bands_are_kept(tokenizer_file: Path, noise: Samples, tmp_path: Path) -> None:
    """Whisper large-v3 hears 128 bands, all others 80."""
    large = TrainableWhisper.load(whisper_folder(tmp_path / "of_hub", tokenizer_file, num_mel_bins=128))
    assert large.batch([noise], [()])["spectrogram"].shape[1] == 128
    large.export(tmp_path / "exported")
    WhisperRecognizer.load(tmp_path / "exported").transcribe(noise)


def test_a_batch_is_as_short_as_its_longest_utterance(whisper: TrainableWhisper, noise: Samples) -> None:
    batch = whisper.batch([noise, noise[:8_000]], [(7, 8), ()])
    assert batch["spectrogram"].shape == (2, 80, 150 + 100)
    assert not batch["spectrogram"][1, :, 50:].any()
    assert batch["inputs"].tolist() == [[*PROMPT, 7, 8], [*PROMPT, END, END]]
    after_prompt = [IGNORED] * 3
    assert batch["targets"].tolist() == [[*after_prompt, 7, 8, END], [*after_prompt, END, IGNORED, IGNORED]]
    assert whisper.logits(whisper.module, batch).shape == (4, 51_865)
    whole = np.tile(noise, 25)  # 37.5 s
    assert whisper.batch([whole], [()])["spectrogram"].shape == (1, 80, 3_000)


def test_texts_become_the_tokens_that_whisper_writes(whisper: TrainableWhisper) -> None:
    assert whisper.tokens("Two lattes, please. ") == whisper.tokens(" Two lattes, please.")
    assert whisper._tokenizer.decode(whisper.tokens("ein Stück 咖啡")) == " ein Stück 咖啡"


def test_languages_are_asked_for(of_hub: Path, tokenizer_file: Path, tmp_path: Path) -> None:
    german = TrainableWhisper.load(of_hub, language="de")
    assert german.batch([np.zeros(1_600, np.float32)], [()])["inputs"][0, 1] == 50_261
    with pytest.raises(ModelError, match=r"has no <\|qq\|>: it does not know the language"):
        TrainableWhisper.load(of_hub, language="qq")
    english = TrainableWhisper.load(whisper_folder(tmp_path, tokenizer_file, vocab_size=51_864))
    assert english.batch([np.zeros(1_600, np.float32)], [()])["inputs"].tolist() == [[PROMPT[0], PROMPT[-1]]]


def test_a_folder_without_its_tokenizer_is_named(of_hub: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((of_hub / name).read_bytes())
    with pytest.raises(ModelError, match=r"tokenizer\.json: is missing"):
        open_pretrained(f"file:{tmp_path}")


def test_the_packaged_whisper_learns_without_a_hub(recordings: tuple[Utterance, ...], tmp_path: Path) -> None:
    """Real weights, from CTranslate2's files and back: the one slow test of this file."""
    lesson = replace(recordings[0], text="blue elephants", offset_s=1.0, duration_s=1.5)
    training = TrainingOptions(learning_rate=1e-4, n_epochs=4, batch_size=1, warmup_share=0.0)
    recipe = Recipe(training=training, augmentation=None, label_smoothing=0.0)
    folder = fine_tune("whisper-base", [lesson], recipe=recipe, folder=tmp_path)
    assert WhisperRecognizer.load(folder).transcribe(lesson.samples()).text == lesson.text
    assert open_pretrained(f"file:{folder}").transcribe([lesson.samples()]) == [lesson.text]
