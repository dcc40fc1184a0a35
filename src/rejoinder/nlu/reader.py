"""The extractive reader: a question and some of the knowledge in, the words that answer it out, or none.

It reads the few windows of two sentences that `Knowledge` ranks first, and weighs what it finds in each against the
rank: a short text is read in milliseconds, and a reader that has seen few questions is seldom led astray in it.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import ModelError
from rejoinder.models import providers, session_options
from rejoinder.nlu.reader_input import ReaderInput, ReaderTokenizer
from rejoinder.nlu.retrieval import Window
from rejoinder.text import sentence_spans

N_WINDOWS = 3
"""Windows that are read: on XQuAD dev the first of a passage holds the answer in 90%, the first three in 99%."""

N_ANSWER_TOKENS = 30
"""The longest answer; 99% of SQuAD's are shorter."""

SURE = 0.9
"""Confidence from which the bare words are spoken."""

MODEL_FILE, TOKENIZER_FILE, SETTINGS_FILE = "model.onnx", "tokenizer.json", "reader.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """How a network's numbers become an answer; fitted on questions that it was not trained on."""

    rank_weight: float
    """What the score of a window counts beside what is found in it."""
    threshold: float
    """The score at which an answer is believed; below it there is none."""
    slope: float = 1.0
    """How fast an answer gets likelier with its score."""
    has_segments: bool = True
    """Whether the network takes the segment ids of `reader_input`, or only BERT's two."""

    def write(self, path: Path) -> None:
        """Write the settings as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "ReaderSettings":
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Found:
    """The words that answer a question.

    `text` is the answer, `sentence` the one that it stands in, `passage` the number of its passage. `score` is in
    log-odds of the network; `confidence` in [0, 1] is the calibrated chance that the windows hold the answer at all.
    """

    text: str
    sentence: str
    passage: int
    score: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a window, in characters, and how much likelier it is than "no answer" to the network."""

    window: Window
    score: float
    start: int
    end: int


class Reader:
    """Reads windows for answers. Synchronous, and safe to call from several threads at once."""

    def __init__(self, session: Any, tokenizer: ReaderTokenizer, settings: ReaderSettings) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = {entry.name for entry in session.get_inputs()}
        self.settings = settings

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", n_threads: int = 1) -> "Reader":
        """Open what `rejoinder adapt` wrote to `folder`. Raises `ModelError` when it is missing or damaged."""
        import onnxruntime
        from tokenizers import Tokenizer

        options = session_options(n_threads)
        chosen = providers(device)
        try:
            settings = ReaderSettings.read(folder / SETTINGS_FILE)
            session = onnxruntime.InferenceSession(str(folder / MODEL_FILE), options, providers=chosen)
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # onnxruntime and tokenizers raise types that cannot be imported by name
            raise ModelError(f"{folder}: holds no reader that can be opened ({error})") from error
        return cls(session, ReaderTokenizer(tokenizer, has_segments=settings.has_segments), settings)

    def with_settings(self, settings: ReaderSettings) -> "Reader":
        """The same network with other settings."""
        return Reader(self._session, self._tokenizer, settings)

    def read(self, question: str, windows: Sequence[Window]) -> Found | None:
        """The answer that the windows hold; None where it is likelier that they hold none."""
        found = self.best(question, windows)
        return found if found is not None and found.score >= self.settings.threshold else None

    def best(self, question: str, windows: Sequence[Window]) -> Found | None:
        """The likeliest answer in the windows, however unlikely; None only where they hold no word."""
        return self.choose(self.spans(question, windows))

    def spans(self, question: str, windows: Sequence[Window]) -> tuple[Span, ...]:
        """The best span of each window, or of each piece of one that is long, whatever its rank."""
        return tuple(
            Span(window, *best_span(*self._logits(piece), piece))
            for window in windows
            for piece in self._tokenizer.inputs(question, window.text)
            if piece.spans
        )

    def choose(self, spans: Sequence[Span]) -> Found | None:
        """The span that is the likeliest once the ranks of the windows have had their say; None where there is none."""
        settings = self.settings
        scored = [(span.score + settings.rank_weight * span.window.score, span) for span in spans]
        if not scored:
            return None
        score, span = max(scored, key=lambda entry: entry[0])
        text = span.window.text
        start, end = whole_words(text, span.start, span.end)
        confidence = (1 + math.tanh(settings.slope * (score - settings.threshold) / 2)) / 2
        return Found(text[start:end], _sentence(text, start), span.window.passage, score, confidence)

    def _logits(self, piece: ReaderInput) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        ids = np.array([piece.ids], dtype=np.int64)  # (1, n_tokens)
        segments = np.array([piece.segments], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": segments}
        starts, ends = self._session.run(None, {name: feed[name] for name in feed if name in self._inputs})
        return starts[0], ends[0]


def best_span(starts: NDArray[np.float32], ends: NDArray[np.float32], piece: ReaderInput) -> tuple[float, int, int]:
    """(score, start, end) of the likeliest answer in a text, in characters.

    `starts` and `ends` (n_tokens,) are the network's logits; at the first token they speak for "no answer".
    """
    last = piece.first + len(piece.spans)
    sums = starts[piece.first : last, None] + ends[None, piece.first : last]  # (n_text_tokens, n_text_tokens)
    allowed = np.triu(np.ones_like(sums, dtype=bool)) & ~np.triu(np.ones_like(sums, dtype=bool), k=N_ANSWER_TOKENS)
    start, end = divmod(int(np.argmax(np.where(allowed, sums, -np.inf))), sums.shape[1])
    score = float(sums[start, end] - starts[0] - ends[0])
    return score, piece.spans[start][0], piece.spans[end][1]


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The span, with the words that it cuts made whole."""
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return start, end


def spoken(found: Found) -> str:
    """An answer as it is said: the words alone where they are surely right, else the sentence that they stand in."""
    if found.confidence < SURE:
        return found.sentence
    text = found.text[0].upper() + found.text[1:]
    return text if text[-1] in ".!?" else f"{text}."


def _sentence(text: str, at: int) -> str:
    """The sentence that holds the character `at`."""
    return next((text[start:end] for start, end in sentence_spans(text) if at < end), text)
