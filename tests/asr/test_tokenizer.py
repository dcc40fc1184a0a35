"""Text tokens, read from the file beside the weights."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder import models
from rejoinder.asr.tokenizer import Tokenizer
from rejoinder.errors import ModelError


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(models.resolve("moonshine-tiny") / "tokenizer.bin")


@pytest.mark.model
def test_encoding_is_that_of_the_published_tokenizer(tokenizer: Tokenizer) -> None:
    """Ids as `tokenizer.json` of useful-moonshine-onnx gives them."""
    assert tokenizer.encode("do you know what calumny means") == (437, 366, 1073, 825, 1208, 1227, 29891, 2794)
    assert tokenizer.encode("my visa card") == (590, 1998, 29874, 5881)
    assert tokenizer.encode("") == ()


@pytest.mark.model
@given(st.text(max_size=40).filter(lambda text: "▁" not in text))
def test_any_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.model
def test_marks_and_special_tokens_are_not_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([1, *tokenizer.encode("yes"), 2, len(tokenizer) - 1]) == "yes"


@pytest.mark.model
def test_words_begin_where_the_space_is(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("almond milk")
    assert sum(tokenizer.starts_word(token) for token in tokens) == 2
    assert tokenizer.starts_word(tokens[0])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.bin: no such file"):
        Tokenizer.load(tmp_path / "nothing.bin")
    cut = tmp_path / "tokenizer.bin"
    cut.write_bytes(b"\x01a\x05ab")
    with pytest.raises(ModelError, match="cut off after 1 tokens"):
        Tokenizer.load(cut)
    cut.write_bytes(b"\x01a")
    with pytest.raises(ModelError, match="not a moonshine tokenizer"):
        Tokenizer.load(cut)


@pytest.mark.model
def test_what_is_saved_is_what_was_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.bin")
    published = models.resolve("moonshine-tiny") / "tokenizer.bin"
    assert (tmp_path / "tokenizer.bin").read_bytes() == published.read_bytes()


def in_json(folder: Path, **changes: Any) -> Path:
    """A tokenizer as Hugging Face's hub has it."""
    marks, words = ("<unk>", "<s>", "</s>"), ("▁", "t", "h", "e", "th", "▁th", "▁the")
    texts = (*marks, *(f"<0x{byte:02X}>" for byte in range(256)), *words)
    model = {"type": "BPE", "byte_fallback": True, "vocab": {text: number for number, text in enumerate(texts)}}
    content = {"model": model | changes, "added_tokens": [{"id": len(texts), "content": "<<ST_0>>"}]}
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content))
    return path


def test_the_hubs_file_is_read(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(in_json(tmp_path))
    assert len(tokenizer) == 3 + 256 + 7 + 1
    assert tokenizer.encode("the é") == (265, 259, 3 + 0xC3, 3 + 0xA9)
    assert tokenizer.decode((1, 265, 259, 3 + 0xC3, 3 + 0xA9, 266, 2)) == "the é"


@pytest.mark.parametrize(
    "change", [{"type": "Unigram"}, {"byte_fallback": False}, {"vocab": {"a": 0, "b": 2}}, {"vocab": ["a"]}]
)
def test_another_kind_of_tokenizer_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json: is not a moonshine tokenizer"):
        Tokenizer.load(in_json(tmp_path, **change))
