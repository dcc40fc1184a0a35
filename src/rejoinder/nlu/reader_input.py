"""What a reader sees: a question and a passage as tokens, and for each token what the tokenizer takes away.

An uncased vocabulary hides names, and a model of this size that saw few questions is slow to notice that a word of the
question stands in the passage. Both go in as segment ids, beside BERT's 0 for the question and 1 for the passage.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rejoinder.nlu.retrieval import STOP_WORDS, stem

if TYPE_CHECKING:
    from tokenizers import Tokenizer

N_TOKENS_AT_MOST = 320
"""Question and passage together; a longer passage is read in pieces that overlap."""

N_QUESTION_TOKENS = 48
"""The rest of a longer question is left out."""

N_OVERLAP = 64
"""Tokens that two pieces of a long passage share."""

QUESTION, PASSAGE, CAPITAL, FIGURE, SHARED, SHARED_CAPITAL, SHARED_FIGURE, IN_PASSAGE = range(8)
"""Segment ids: a word of the question; a word of the passage, one with a capital, one with a digit, and the same three
for those that the question has, too; a word of the question that the passage has, too."""

N_SEGMENTS = 8

_WORD = re.compile(r"\w+(?:['’]\w+)?")


@dataclass(frozen=True, slots=True)
class ReaderInput:
    """One piece of a passage beside its question: `ids` and `segments` have one number for each token.

    `first` is where the passage begins among the tokens; `spans` are the (start, end) characters of its tokens.
    """

    ids: tuple[int, ...]
    segments: tuple[int, ...]
    first: int
    spans: tuple[tuple[int, int], ...]


class ReaderTokenizer:
    """Questions and texts to numbers, with a BERT tokenizer."""

    def __init__(self, tokenizer: "Tokenizer", *, has_segments: bool = True) -> None:
        """Without `has_segments` the segments are BERT's own two."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self._has_segments = has_segments
        self._cls, *_, self._sep = tokenizer.encode("").ids

    def inputs(self, question: str, passage: str) -> Iterator[ReaderInput]:
        """The question beside the passage, or beside each piece of a passage that is too long to be read at once."""
        asked = self._tokenizer.encode(question, add_special_tokens=False)
        n_asked = min(len(asked.ids), N_QUESTION_TOKENS)
        asked_marks, text_marks = [QUESTION] * len(question), [PASSAGE] * len(passage)
        if self._has_segments:
            asked_marks, text_marks = _marks(question, passage)
        ids = (self._cls, *asked.ids[:n_asked], self._sep)
        segments = (QUESTION, *(asked_marks[start] for start, _ in asked.offsets[:n_asked]), QUESTION)
        text = self._tokenizer.encode(passage, add_special_tokens=False)
        text_segments = tuple(text_marks[start] for start, _ in text.offsets)
        n_piece = N_TOKENS_AT_MOST - len(ids) - 1
        start = 0
        while start == 0 or start + N_OVERLAP < len(text.ids):
            piece = slice(start, start + n_piece)
            yield ReaderInput(
                (*ids, *text.ids[piece], self._sep),
                (*segments, *text_segments[piece], PASSAGE),
                len(ids),
                tuple(text.offsets[piece]),
            )
            start += n_piece - N_OVERLAP


def _marks(question: str, passage: str) -> tuple[list[int], list[int]]:
    """The segment id of every character of the question and of the passage."""
    asked, written = _words(question), _words(passage)
    in_question = {root for _, _, root in asked if root}
    in_passage = {root for _, _, root in written if root}
    question_marks = [QUESTION] * len(question)
    for start, end, root in asked:
        if root in in_passage:
            question_marks[start:end] = [IN_PASSAGE] * (end - start)
    passage_marks = [PASSAGE] * len(passage)
    for start, end, root in written:
        word = passage[start:end]
        kind = FIGURE if any(map(str.isdigit, word)) else CAPITAL if word[0].isupper() else PASSAGE
        passage_marks[start:end] = [kind + (SHARED - PASSAGE) * (root in in_question)] * (end - start)
    return question_marks, passage_marks


def _words(text: str) -> list[tuple[int, int, str]]:
    """(start, end, stem) of every word; words that are in every text have an empty stem."""
    return [
        (match.start(), match.end(), "" if (word := match[0].casefold()) in STOP_WORDS else stem(word))
        for match in _WORD.finditer(text)
    ]
