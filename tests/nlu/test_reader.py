"""What a reader sees, and how its numbers become words of the passage."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.errors import ModelError
from rejoinder.nlu.encoder import Encoder, _tokenizer
from rejoinder.nlu.reader import Found, Reader, ReaderSettings, best_span, spoken, whole_words
from rejoinder.nlu.reader_input import (
    CAPITAL,
    FIGURE,
    IN_PASSAGE,
    PASSAGE,
    QUESTION,
    SHARED,
    SHARED_CAPITAL,
    ReaderInput,
    ReaderTokenizer,
)
from rejoinder.nlu.retrieval import Window
from rejoinder.nlu.understand import Understander
from tests.nlu.domains import shop


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ReaderTokenizer:
    return ReaderTokenizer(_tokenizer(tmp_path_factory.mktemp("no tokenizer of its own")))


class Session:
    """A network whose answer is given: the logits of start and end for each token of the text."""

    def __init__(self, start: int, end: int, score: float) -> None:
        self.wanted = start, end, score

    def get_inputs(self) -> list[object]:
        return []

    def run(self, _: None, __: dict[str, object]) -> list[object]:
        start, end, score = self.wanted
        starts, ends = np.zeros((2, 1, 64), np.float32)
        starts[0, start], ends[0, end] = score / 2, score / 2
        return [starts, ends]


def test_words_of_the_question_are_marked_in_the_passage(tokenizer: ReaderTokenizer) -> None:
    (piece,) = tokenizer.inputs("when does Tesla open?", "Tesla opened at 9 in Paris.")
    assert piece.segments[1 : piece.first - 1] == (QUESTION, QUESTION, IN_PASSAGE, IN_PASSAGE, QUESTION)
    assert piece.segments[piece.first :] == (
        *(SHARED_CAPITAL, SHARED, PASSAGE, FIGURE, PASSAGE, CAPITAL, PASSAGE),
        PASSAGE,
    )


def test_a_network_without_segments_gets_berts_two(tokenizer: ReaderTokenizer, tmp_path: Path) -> None:
    plain = ReaderTokenizer(_tokenizer(tmp_path), has_segments=False)
    (piece,) = plain.inputs("when does Tesla open?", "Tesla opened at 9.")
    assert set(piece.segments) == {QUESTION, PASSAGE}
    assert piece.ids == next(tokenizer.inputs("when does Tesla open?", "Tesla opened at 9.")).ids


@given(st.integers(1, 2000))
def test_a_long_passage_is_read_in_pieces_that_overlap(tokenizer: ReaderTokenizer, n_words: int) -> None:
    passage = "word " * n_words
    pieces = list(tokenizer.inputs("which word", passage))
    seen = {span for piece in pieces for span in piece.spans}
    assert seen == {(5 * at, 5 * at + 4) for at in range(n_words)}
    assert all(len(piece.ids) == len(piece.segments) <= 320 for piece in pieces)
    assert len(pieces) == 1 or all(set(one.spans) & set(other.spans) for one, other in pairwise(pieces))


def test_a_very_long_question_leaves_room_for_the_passage(tokenizer: ReaderTokenizer) -> None:
    (piece,) = tokenizer.inputs("why " * 1000, "Because it is so.")
    assert len(piece.spans) == 5


@given(st.data())
def test_the_best_span_is_the_best_allowed_pair(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    piece = ReaderInput(tuple(range(n + 3)), (0,) * (n + 3), 2, tuple((at, at + 1) for at in range(n)))
    values = st.lists(st.floats(-5, 5, width=32), min_size=n + 3, max_size=n + 3)
    starts, ends = (np.array(data.draw(values), np.float32) for _ in range(2))
    score, start, end = best_span(starts, ends, piece)
    allowed = [starts[2 + first] + ends[2 + last] for first in range(n) for last in range(first, min(n, first + 30))]
    assert score == pytest.approx(max(allowed) - starts[0] - ends[0], abs=1e-5)
    assert 0 <= start < end <= n
    assert end - start <= 30


def test_cut_words_are_made_whole() -> None:
    text = "Xarelto costs 12.50."
    assert text[slice(*whole_words(text, 2, 4))] == "Xarelto"
    assert text[slice(*whole_words(text, 14, 16))] == "12"


def test_an_answer_comes_with_its_sentence_and_passage(tokenizer: ReaderTokenizer) -> None:
    reader = Reader(Session(7, 8, 8.0), tokenizer, ReaderSettings(rank_weight=1.0, threshold=5.0))
    window = Window(4, "We are open. Parking is free.", 1.5)
    found = reader.read("what is free", [window])  # 5 tokens before the text, the third and fourth of it: "open ."
    assert found is not None
    assert (found.text, found.sentence, found.passage) == ("open.", "We are open.", 4)
    assert found.score == pytest.approx(9.5)
    assert found.confidence > 0.95


def test_an_unlikely_answer_is_none(tokenizer: ReaderTokenizer) -> None:
    reader = Reader(Session(7, 8, 2.0), tokenizer, ReaderSettings(rank_weight=1.0, threshold=5.0))
    window = Window(0, "We are open. Parking is free.", 1.0)
    assert reader.read("what is free", [window]) is None
    assert reader.best("what is free", [window]) is not None
    assert reader.best("what is free", []) is None
    assert reader.best("what is free", [Window(0, "", 1.0)]) is None


def test_the_rank_of_a_window_has_its_say(tokenizer: ReaderTokenizer) -> None:
    windows = [Window(0, "We are open. Parking is free.", 0.5), Window(1, "Parking is free. We are open.", 0.9)]
    for weight, passage in ((0.0, 0), (1.0, 1)):
        found = Reader(Session(7, 8, 2.0), tokenizer, ReaderSettings(rank_weight=weight, threshold=0.0)).read(
            "x y z", windows
        )
        assert found is not None
        assert found.passage == passage


@pytest.mark.parametrize(
    ("confidence", "said"), [(0.95, "From ten to four."), (0.6, "On holidays we are open from ten to four.")]
)
def test_the_bare_words_are_spoken_where_they_are_sure(confidence: float, said: str) -> None:
    found = Found("from ten to four", "On holidays we are open from ten to four.", 0, 9.0, confidence)
    assert spoken(found) == said


def test_a_folder_without_a_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no reader"):
        Reader.load(tmp_path)


class Told(Reader):
    """A reader that finds what it was told, or nothing."""

    def __init__(self, found: str | None) -> None:
        self._found = found

    def read(self, question: str, windows: Sequence[Window]) -> Found | None:  # noqa: ARG002
        window = next((window for window in windows if self._found and self._found in window.text), None)
        if window is None or self._found is None:
            return None
        return Found(self._found, f"It says: {self._found}.", window.passage, 9.0, 0.95)


@pytest.mark.model
def test_the_words_that_answer_are_spoken_with_their_source(encoder: Encoder) -> None:
    understander = Understander.fit(shop(), encoder, reader=Told("a dollar an hour"))
    meant = understander.understand("what does parking cost after two hours")
    assert meant.source == "knowledge"
    assert meant.answer == "A dollar an hour."
    assert meant.answer_sentence == "It says: a dollar an hour."
    assert meant.answer_source == "about.md#Parking"


@pytest.mark.model
def test_what_the_reader_does_not_find_is_not_answered(encoder: Encoder) -> None:
    question = "what does parking cost after two hours"
    assert Understander.fit(shop(), encoder).understand(question).source == "knowledge"
    meant = Understander.fit(shop(), encoder, reader=Told(None)).understand(question)
    assert (meant.source, meant.answer) == ("none", None)
