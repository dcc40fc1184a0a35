"""Intents and slots by an encoder that was fine-tuned on the domain: one reading of the words gives both.

The model is Chen et al. 2019, "BERT for Joint Intent Classification and Slot Filling", with two changes: the sentence
is the mean of its tokens, not the first one, and an intent's score is the cosine to the intent's centre, so that what
is far from all of them shows it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import ModelError
from rejoinder.models import providers, session_options
from rejoinder.nlu.classifier import OUT_OF_SCOPE, Prediction

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

MODEL, TOKENIZER, LABELS = "model.onnx", "tokenizer.json", "joint.json"
"""The files of a joint model."""

OUTSIDE, BEGIN, INSIDE = "O", "B-", "I-"
"""Tags of words: outside every slot, the first word of a value, a later one (Ramshaw and Marcus 1995)."""

N_TOKENS_AT_MOST = 128
N_REMEMBERED = 256
"""Sentences whose readings are remembered: drafts ask for the same words at a pause and at the end."""

MOST_ODDS = 6.0
"""Bound of the log-odds in `Calibration`; beyond it they only say how far a sentence is from the border."""


class TaggedSpan(NamedTuple):
    """A slot's value by the model, in the words `start` to `end` (exclusive); `probability` is of its worst word."""

    slot: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True, slots=True)
class JointReading:
    """What the model makes of some words. The prediction's `nearest` is the cosine to the likeliest intent's centre."""

    prediction: Prediction
    spans: tuple[TaggedSpan, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """From what the model says to the chance that its first intent is right, fitted on validation sentences."""

    temperature: float = 1.0
    """What the logits of the intents are divided by."""
    odds: float = 1.0
    """Weight of the log-odds of the first intent against all else."""
    nearness: float = 0.0
    """Weight of the cosine to its centre."""
    bias: float = 0.0

    def confidence(self, probability: float, nearest: float) -> float:
        """The chance that the likeliest intent is what was meant."""
        odds = np.log((probability + 1e-6) / (1 - probability + 1e-6))
        total = self.odds * np.clip(odds, -MOST_ODDS, MOST_ODDS) + self.nearness * nearest + self.bias
        return float(1 / (1 + np.exp(-total)))


@dataclass(frozen=True, slots=True)
class Labels:
    """What the outputs of the graph mean."""

    intents: tuple[str, ...]
    """`OUT_OF_SCOPE` among them, where it was trained."""
    tags: tuple[str, ...]
    scale: float
    """What the cosines are multiplied by to make logits."""
    calibration: Calibration

    @classmethod
    def read(cls, path: Path) -> "Labels":
        """Read `joint.json`; raises `ModelError` when it is missing or damaged."""
        from pydantic import TypeAdapter

        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else "is damaged"
            raise ModelError(f"{path}: {what}; adapt the domain again: rejoinder adapt DOMAIN nlu --deep") from error

    def write(self, path: Path) -> None:
        """The inverse of `read`."""
        from pydantic import TypeAdapter

        path.write_bytes(TypeAdapter(type(self)).dump_json(self, indent=2))


class JointModel:
    """Reads intents and slots. Synchronous, and safe to call from several threads at once."""

    def __init__(self, session: Any, tokenizer: "Tokenizer", labels: Labels) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self.labels = labels
        self._remembered = lru_cache(N_REMEMBERED)(self._read)

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", n_threads: int = 1) -> "JointModel":
        """Open the folder that `adapt.nlu.fine_tune` made; raises `ModelError` when a file is missing or damaged."""
        import onnxruntime
        from tokenizers import Tokenizer

        labels = Labels.read(folder / LABELS)
        options = session_options(n_threads)
        try:
            session = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=providers(device))
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except ModelError:
            raise
        except Exception as error:  # both libraries raise types of their own, which cannot be imported by name
            raise ModelError(f"{folder}: cannot be opened as an intent and slot model ({error})") from error
        prepare(tokenizer)
        return cls(session, tokenizer, labels)

    def fits(self, intents: Collection[str]) -> bool:
        """Whether the model knows all of these intents: those of the domain may have become more since."""
        return set(intents) <= set(self.labels.intents)

    def read(self, words: Sequence[str]) -> JointReading:
        """The intents and slots of normalised words; the last ones are remembered."""
        return self._remembered(tuple(words))

    def run(self, words: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The raw outputs: cosines to the intents' centres (n_intents,), and logits of tags (n_words, n_tags).

        Words beyond the model's limit of tokens have all logits zero.
        """
        encoding = self._tokenizer.encode(list(words), is_pretokenized=True)
        ids = np.array([encoding.ids], dtype=np.int64)
        cosines, tags = self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        of_words = np.zeros((len(words), tags.shape[-1]), np.float32)
        for word, token in first_tokens(encoding).items():
            of_words[word] = tags[0, token]
        return cosines[0], of_words

    def _read(self, words: tuple[str, ...]) -> JointReading:
        cosines, tags = self.run(words)
        return JointReading(self.predict(cosines), spans(tags, self.labels.tags))

    def predict(self, cosines: NDArray[np.float32]) -> Prediction:
        """The prediction from the cosines of one sentence (n_intents,)."""
        calibration, names = self.labels.calibration, self.labels.intents
        probabilities = softmax(cosines * (self.labels.scale / calibration.temperature))
        order = [at for at in np.argsort(-probabilities) if names[at] != OUT_OF_SCOPE]
        if not order:
            return Prediction((), 0.0, 0.0)
        nearest = float(cosines[order[0]])
        ranking = tuple((names[at], float(probabilities[at])) for at in order[:5])
        return Prediction(ranking, calibration.confidence(ranking[0][1], nearest), nearest)


def prepare(tokenizer: "Tokenizer") -> None:
    """Set a tokenizer as the model is trained and run with it: no padding, at most `N_TOKENS_AT_MOST`."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(N_TOKENS_AT_MOST)


def first_tokens(encoding: "Encoding") -> Mapping[int, int]:
    """The place of each word's first token, which is the one that is tagged."""
    found: dict[int, int] = {}
    for token, word in enumerate(encoding.word_ids):
        if word is not None:
            found.setdefault(word, token)
    return found


def spans(logits: NDArray[np.float32], tags: Sequence[str]) -> tuple[TaggedSpan, ...]:
    """The values in the logits of each word's tag (n_words, n_tags), by the likeliest sequence that makes sense.

    A value begins with `B-`; `I-` follows `B-` or `I-` of the same slot, nothing else (Viterbi over that).
    """
    if not len(logits):
        return ()
    scores = np.log(softmax(logits) + 1e-9)
    follows = np.array([[_follows(before, tag) for tag in tags] for before in (OUTSIDE, *tags)])
    forbidden = np.where(follows, 0.0, -np.inf)  # (1 + n_tags, n_tags); the first row is what may begin
    best = scores[0] + forbidden[0]
    back: list[NDArray[np.intp]] = []
    for score in scores[1:]:
        reached = best[:, None] + forbidden[1:]
        back.append(reached.argmax(axis=0))
        best = reached.max(axis=0) + score
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    path.reverse()
    found: list[TaggedSpan] = []
    for word, at in enumerate(path):
        probability = float(np.exp(scores[word, at]))
        if tags[at].startswith(BEGIN):
            found.append(TaggedSpan(tags[at].removeprefix(BEGIN), word, word + 1, probability))
        elif tags[at] != OUTSIDE:
            last = found.pop()
            found.append(last._replace(end=word + 1, probability=min(probability, last.probability)))
    return tuple(found)


def _follows(before: str, tag: str) -> bool:
    return not tag.startswith(INSIDE) or (before != OUTSIDE and before[len(BEGIN) :] == tag[len(INSIDE) :])


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)
