"""Text tokens, read from the file beside the weights."""

from pathlib import Path

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
