"""The voice heard again: what it is made to say, and how that is compared."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from rejoinder.asr.recognizer import Transcript
from rejoinder.assistant import Assistant, fixed_replies
from rejoinder.domain import Domain, Slot, SlotKind, Term
from rejoinder.evaluate.speech import CARRIERS, N_SENTENCES, TERM_CARRIER, Sentence, compare, measure, sentences
from tests.fakes import FakeRecognizer, FakeSynthesizer, fake_pipeline, order_domain

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
KINDS = {kind.value for kind in CARRIERS}


@pytest.mark.parametrize("name", ["cafe", "pharmacy"])
def test_a_domain_is_said_in_so_many_sentences_always_the_same(name: str) -> None:
    domain = Domain.load(EXAMPLES / name)
    said = list(sentences(domain))
    assert said == list(sentences(domain))
    assert len(said) <= N_SENTENCES
    assert {one.kind for one in said} == KINDS | {"reply", "term"}
    assert len({one.text for one in said}) == len(said)
    assert all(one.text in fixed_replies(domain) for one in said if one.kind == "reply")
    assert {one.term.written for one in said if one.term} <= {term.written for term in domain.terms}
    if name == "cafe":  # few enough terms to be said all
        assert Counter(one.kind for one in said)["term"] == len(domain.terms)


def test_values_are_those_of_the_domains_slots() -> None:
    slots = {"card": Slot("card", SlotKind.CODE, lengths=(4,)), "guests": Slot("guests", SlotKind.NUMBER, min=2, max=3)}
    said = list(sentences(replace(order_domain(), slots=slots)))
    assert {len(one.value or "") for one in said if one.kind == "code"} == {4}
    assert {one.value for one in said if one.kind == "number"} <= {"2", "3"}


def value(kind: SlotKind, text: str, canonical: str) -> Sentence:
    return Sentence(kind.value, CARRIERS[kind].format(text), slot=Slot("it", kind), value=canonical)


@pytest.mark.parametrize(
    ("sentence", "heard", "value_heard", "n_errors"),
    [
        (value(SlotKind.CODE, "883198", "883198"), "Your code is 883-198.", "883198", 0),
        (value(SlotKind.CODE, "883198", "883198"), "Your cod is 883-198.", "883198", 1),
        (value(SlotKind.MONEY, "$16.50", "16.50"), "That is sixteen fifty in all.", "16.50", 0),
        (value(SlotKind.MONEY, "$16.50", "16.50"), "That is $60.50 in all.", "60.50", 1),
        (value(SlotKind.DATE, "March 5, 2026", "2026-03-05"), "It will be there on March 5th.", "2026-03-05", 0),
        (value(SlotKind.TIME, "4:33 AM", "04:33"), "We will see you at 4:33 a.m.", "04:33", 0),
        (value(SlotKind.PHONE, "555-123-4567", "5551234567"), "Please call 555-123-4567. Thank you.", "5551234567", 2),
        (value(SlotKind.NUMBER, "17", "17"), "There are some of them.", None, 1),
    ],
)
def test_a_value_is_right_however_it_is_written(
    sentence: Sentence, heard: str, value_heard: str | None, n_errors: int
) -> None:
    spoken = compare(sentence, heard, system="base")
    assert (spoken.value_heard, spoken.n_errors) == (value_heard, n_errors)
    assert (spoken.value, spoken.text, spoken.heard) == (sentence.value, sentence.text, heard)


@pytest.mark.parametrize(
    ("heard", "instead", "n_errors", "value_heard"),
    [
        ("The word is Xarelto, please.", "xarelto", 0, "Xarelto"),
        ("The word is czar alto please.", "czar alto", 0, "Xarelto"),
        ("The word is sorrel, please.", "sorrel", 1, None),
        ("", "", 1, None),
    ],
)
def test_a_term_is_compared_alone_and_in_all_its_spellings(
    heard: str, instead: str, n_errors: int, value_heard: str | None
) -> None:
    term = Term("Xarelto", sounds_like=("czar alto",))
    sentence = Sentence("term", TERM_CARRIER.format("Xarelto"), term=term, value="Xarelto")
    spoken = compare(sentence, heard, system="base")
    assert (spoken.text, spoken.heard, spoken.n_words) == ("Xarelto", instead, 1)
    assert (spoken.n_errors, spoken.value_heard) == (n_errors, value_heard)


def test_a_plain_sentence_has_word_errors_and_no_value() -> None:
    spoken = compare(Sentence("reply", "Are you still there?"), "are you there", system="base")
    assert (spoken.n_words, spoken.n_errors, spoken.value, spoken.value_heard) == (4, 1, None, None)


class Deaf(FakeRecognizer):
    def transcribe(self, *_: object, **__: object) -> Transcript:
        return Transcript("")


def test_what_was_heard_otherwise_is_kept_to_listen_to(tmp_path: Path) -> None:
    told: list[int] = []
    assistant = Assistant(fake_pipeline(recognizer=Deaf(), synthesizer=FakeSynthesizer()))
    spoken = measure(
        assistant, system="base", folder=tmp_path, n=10, progress=lambda _task, n, _total, _note="": told.append(n)
    )
    assert told == list(range(len(spoken) + 1))
    for one in spoken:
        assert one.heard == ""
        assert one.n_errors > 0
        assert one.audio is not None
        assert (tmp_path / one.audio).is_file()
        assert one.duration_s > 0
    assert len({one.audio for one in spoken}) == len(spoken)


@pytest.mark.model
def test_the_cafes_voice_is_understood_by_itself(tmp_path: Path) -> None:
    spoken = measure(Assistant.load(EXAMPLES / "cafe"), system="base", folder=tmp_path, n=12)
    values = [one for one in spoken if one.value is not None]
    assert sum(one.value_heard == one.value for one in values) >= 0.7 * len(values)
    assert sum(one.n_errors for one in spoken) <= 0.3 * sum(one.n_words for one in spoken)
    assert all(one.first_audio_s > 0 for one in spoken)
    assert {path.name for path in (tmp_path / "audio").glob("*")} == {
        Path(one.audio).name for one in spoken if one.audio is not None
    }
