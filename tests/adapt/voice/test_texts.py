"""Sentences to measure by and sentences to learn from."""

from rejoinder.adapt.voice.texts import N_MEASURED, measured_sentences, practice_sentences
from rejoinder.text import normalize


def test_what_is_measured_is_not_learnt_from() -> None:
    measured, practised = (set(map(normalize, texts)) for texts in (measured_sentences(), practice_sentences(400)))
    assert (len(measured), len(practised)) == (N_MEASURED, 400)
    assert not practised & measured
