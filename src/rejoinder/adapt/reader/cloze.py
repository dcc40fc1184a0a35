"""Questions made from passages: a part of a sentence becomes the answer, the rest of it the question.

After Lewis et al. 2019 ("Unsupervised question answering by cloze translation"), with rules in the place of a parser
and a translator: the answer's kind gives the question word, an auxiliary moves to the front ("Tesla was born in 1856":
"when was Tesla born"), and words are left out at random, for a caller does not repeat the passage.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rejoinder.adapt.reader.squad import Question
from rejoinder.domain import Passage
from rejoinder.text import sentence_spans


class Kind(StrEnum):
    """What an answer is, which decides how one asks for it."""

    DATE = "date"
    TIME = "time"
    MONEY = "money"
    SHARE = "share"
    DURATION = "duration"
    COUNT = "count"
    NAME = "name"
    PLACE = "place"
    REASON = "reason"
    THING = "thing"


_SMALL = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen"
    "|nineteen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:-\\w+)?"
)
_NUMBER = rf"(?:\d[\d,]*(?:\.\d+)?|{_SMALL})(?: (?:hundred|thousand|million|billion))?"
_RANGE = rf"{_NUMBER}(?: ?(?:to|or|–|-|and) ?{_NUMBER})?"
_HOUR = rf"(?:[01]?\d(?::\d\d)?|2[0-4](?::\d\d)?|(?:half past )?(?:{_SMALL}))"
_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?"
_YEAR = r"(?:1\d{3}|20\d{2})"
_UNITS = "(?:second|minute|hour|(?:business |working )?day|week|month|year|decade)s?"

_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (Kind.MONEY, rf"[$£€]\s?{_RANGE}|\b{_RANGE} (?:dollars|euros|pounds|cents)\b"),
        (Kind.SHARE, rf"\b{_RANGE}(?: ?%| percent| per cent)"),
        (
            Kind.DATE,
            rf"\b(?:\d{{1,2}} )?{_MONTH}(?: \d{{1,2}}(?:st|nd|rd|th)?)?(?:,? {_YEAR})?(?: (?:to|until) {_MONTH})?",
        ),
        (Kind.DATE, rf"\b(?:the )?{_YEAR}s?\b|\b{_DAY}(?: (?:to|and|through) {_DAY})?\b|\bon (?:weekdays|weekends)\b"),
        (Kind.DURATION, rf"\b(?i:{_RANGE}) {_UNITS}\b"),
        (
            Kind.TIME,
            rf"\b(?:from )?{_HOUR} (?:to|until) {_HOUR}\b(?! [a-z])|\b{_HOUR} (?:a\.?m|p\.?m|o'clock)\b|\bnoon\b",
        ),
        (Kind.COUNT, rf"(?<![\w.])(?i:{_RANGE})(?= [a-z])"),
        (Kind.REASON, r"(?<=because )[^.;]{10,80}(?=[.;])|(?<=due to )[^.;,]{5,60}(?=[.;,])"),
        (Kind.NAME, r"\b[A-Z][\w'’.-]*(?: (?:of|the|and|de|von|van|&)(?= [A-Z])| [A-Z][\w'’.-]*)*(?<![.'’])"),
        (
            Kind.THING,
            r"\b(?i:the|an?|our|your|its|their) (?:[a-z][\w-]+ ){0,3}[a-z][\w-]{2,}"
            r"(?= (?:of|in|on|at|to|for|with|and|is|was|are|were|by|that|which)\b|[.,;])",
        ),
    )
)

_ASKED: dict[Kind, tuple[str, ...]] = {
    Kind.DATE: ("when", "when", "when", "in what year", "on what day", "what date"),
    Kind.TIME: ("when", "at what time", "what time", "what hours"),
    Kind.MONEY: ("how much", "how much", "how much money", "what amount"),
    Kind.SHARE: ("what percentage", "how much", "what share", "what percent"),
    Kind.DURATION: ("how long", "how long", "how much time", "for how long"),
    Kind.COUNT: ("how many", "how many", "what number of"),
    Kind.NAME: ("who", "who", "what", "which", "what is the name of", "where"),
    Kind.PLACE: ("where", "where", "in what place", "in which city", "in what country", "what place"),
    Kind.REASON: ("why", "why", "for what reason", "how come"),
    Kind.THING: ("what", "what", "what", "which", "what kind of thing"),
}

_AUXILIARIES = frozenset(
    "is are was were am be been has have had can could will would may might must should does do did".split()
)
_PLACE_BEFORE = frozenset("in at from near to around across".split())
_PREPOSITIONS = _PLACE_BEFORE | frozenset(
    "on by for with of into during since until after before about as over".split()
)

_COMMONNESS = {Kind.THING: 1.6, Kind.REASON: 0.4}
"""More puts a kind later: things are everywhere, reasons are not."""

P_LEFT_OUT = 0.15
"""Share of a question's words that are left out."""

N_CONTEXT_WORDS = 12
"""The most words of either side of the answer that come into a question."""


@dataclass(frozen=True, slots=True)
class _Answer:
    kind: Kind
    start: int
    end: int


def made_questions(passages: Sequence[Passage], *, n_each: int, seed: int) -> tuple[Question, ...]:
    """At most `n_each` questions to every passage, each with its answer in it; equal input gives equal questions."""
    made = []
    for passage in passages:
        rng = random.Random(f"{seed} {passage.source} {passage.text}")
        drawn = [(rng.random() * _COMMONNESS.get(place[2].kind, 1.0), place) for place in _answers(passage.text)]
        places = [place for _, place in sorted(drawn, key=lambda pair: pair[0])]
        for start, sentence, answer in places[:n_each]:
            text = _question(sentence, answer, rng)
            if len(text.split()) >= 3:
                first, end = start + answer.start, start + answer.end
                made.append(Question(text, passage.text, ((first, passage.text[first:end]),), passage.source))
    return tuple(made)


def _answers(passage: str) -> Iterator[tuple[int, str, _Answer]]:
    """(where the sentence starts, the sentence, the answer in it) for all that may be asked for."""
    for start, end_of_sentence in sentence_spans(passage):
        sentence = passage[start:end_of_sentence]
        taken: list[tuple[int, int]] = []
        for kind, pattern in _PATTERNS:
            for match in pattern.finditer(sentence):
                first, last = match.span()
                if any(first < end and last > begin for begin, end in taken):
                    continue
                if kind is Kind.NAME and first == 0 and " " not in match[0]:
                    continue  # any word has a capital where a sentence begins
                taken.append((first, last))
                before = sentence[:first].split()
                is_place = kind is Kind.NAME and bool(before) and before[-1].lower() in _PLACE_BEFORE
                yield start, sentence, _Answer(Kind.PLACE if is_place else kind, first, last)


def _question(sentence: str, answer: _Answer, rng: random.Random) -> str:
    left = _clause(sentence[: answer.start], last=True, rng=rng)
    right = _clause(sentence[answer.end :], last=False, rng=rng)
    asked = rng.choice(_ASKED[answer.kind])
    if answer.kind is Kind.COUNT and right:  # "how many points": what is counted stays with the question word
        n_noun = 1 + (len(right) > 1 and right[1].isalpha() and right[0] not in _PREPOSITIONS and rng.random() < 0.3)
        asked, right = f"{asked} {' '.join(right[:n_noun])}", right[n_noun:]
    if left and left[-1].lower() in _PREPOSITIONS and answer.kind not in (Kind.NAME, Kind.THING) and rng.random() < 0.8:
        left = left[:-1]
    left = _fronted(left, rng) if left else left
    rest = [*left, *right] if rng.random() < 0.85 else [*right, *left]
    kept = [word for word in rest if rng.random() > P_LEFT_OUT]
    return " ".join([asked, *kept]).rstrip(",;: ") + rng.choice(("?", "?", ""))


def _clause(side: str, *, last: bool, rng: random.Random) -> list[str]:
    """The words on one side of the answer, up to a comma or semicolon now and then, and never many."""
    parts = re.split(r"[;:()]|, ", side)
    nearest = parts[-1] if last else parts[0]
    text = nearest if len(nearest.split()) >= 3 and rng.random() < 0.6 else side
    words = re.sub(r"[,;:()\"“”]|\.$", " ", text).split()
    return words[-N_CONTEXT_WORDS:] if last else words[:N_CONTEXT_WORDS]


def _fronted(words: list[str], rng: random.Random) -> list[str]:
    """The words with their auxiliary in front, as a question has it; "did" where there is none."""
    for at, word in enumerate(words):
        if word.lower() in _AUXILIARIES:
            return [word, *words[:at], *words[at + 1 :]]
    for at, word in enumerate(words[1:], 1):
        if word.endswith("ed") and len(word) > 4:
            return ["did", *words[:at], word.removesuffix("d" if word[-3] in "uvcgsz" else "ed"), *words[at + 1 :]]
    return [rng.choice(("do", "does", "did")), *words] if rng.random() < 0.5 else words
