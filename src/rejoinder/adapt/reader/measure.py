"""How right a reader is: exact match and F1 of words, as SQuAD's own script counts them."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answer_words(text: str) -> list[str]:
    """The words of an answer as SQuAD compares them: lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def exact(found: str, answers: Sequence[str]) -> float:
    """1 where `found` is one of the answers word for word, else 0. No answer is the empty text."""
    return float(any(answer_words(found) == answer_words(answer) for answer in answers or ("",)))


def f1(found: str, answers: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over words, for the answer that fits best. No answer is the empty text."""
    return max(_f1(answer_words(found), answer_words(answer)) for answer in answers or ("",))


def recall(found: str, answers: Sequence[str]) -> float:
    """Share of an answer's words that `found` holds, for the answer that fits best."""
    said = Counter(answer_words(found))
    return max(
        (said & Counter(words)).total() / len(words) if (words := answer_words(answer)) else 0.0 for answer in answers
    )


def _f1(found: list[str], answer: list[str]) -> float:
    if not found or not answer:
        return float(found == answer)
    n_shared = (Counter(found) & Counter(answer)).total()
    return 2 * n_shared / (len(found) + len(answer))
