"""A BERT of two layers and 64 dimensions, untrained, with the uncased vocabulary's real tokenizer."""

from importlib.resources import files
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from rejoinder.adapt.reader.facts import fact_questions
from tests.adapt.bert import SPECIAL, write_bert


@pytest.fixture(scope="session")
def word_pieces() -> Tokenizer:
    """A tokenizer of the words of the made-up facts and of all letters."""
    texts = {text for q in fact_questions(200, seed=0) for text in (q.text, q.passage)}
    words = {word for text in texts for word, _ in BertPreTokenizer().pre_tokenize_str(text.lower())}
    known = (files("rejoinder") / "data" / "minilm" / "vocab.txt").read_text(encoding="utf-8").split("\n")
    letters = [word for word in known if len(word.removeprefix("##")) == 1]
    vocabulary = dict.fromkeys([*SPECIAL, *letters, *sorted(words)])
    ids = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    return tokenizer


@pytest.fixture(scope="session")
def tiny_bert(word_pieces: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the untrained encoder, as transformers writes it."""
    folder = tmp_path_factory.mktemp("tiny-reader")
    words = word_pieces.get_vocab()
    return write_bert(
        folder,
        sorted(words, key=words.__getitem__),
        num_hidden_layers=2,
        num_attention_heads=4,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
