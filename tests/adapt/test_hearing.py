"""The measures of the recognizer's gate: counted right, on real and on made-up transcripts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rejoinder.adapt.hearing import (
    Heard,
    domain_measures,
    ears_of,
    false_alarms,
    general_measures,
    term_error,
    term_forms,
    word_error_rate,
)
from rejoinder.adapt.sets import canary_sentences
from rejoinder.assistant import Assistant, AssistantOptions
from rejoinder.audio import SAMPLE_RATE
from rejoinder.domain import Domain
from rejoinder.evaluate.sets import Recording, TestSet
from rejoinder.text import normalize
from rejoinder.tts.hibari import HibariSynthesizer

DOMAIN = """
name: shop
terms:
  - {written: Xarelto, synonyms: [rivaroxaban]}
slots:
  size: [small, {value: large, synonyms: [big one]}]
intents:
  order:
    slots: {size: {required: true, ask: Which size?}}
    patterns: ["(I want|give me) a {size} [one|box]"]
    reply: A {size} one.
"""


def heard(said: str, text: str) -> Heard:
    return Heard(Recording(Path("clip.wav"), text=said), normalize(text), None)


def test_word_errors_are_over_the_words_said() -> None:
    assert word_error_rate([heard("One, two, three four!", "one two four")]) == 1 / 4
    assert word_error_rate([heard("G M E three nine", "g-m-e-3-9"), heard("a b c", "")]) == 3 / 8
    assert word_error_rate([heard("a", "a b c")]) == 2.0


def test_false_alarms_are_counted_where_no_term_was_said() -> None:
    terms = frozenset({"xarelto", "big one"})
    everything = [
        heard("the sky is blue", "the sky is xarelto"),
        heard("the sky is grey", "the sky is grey"),
        heard("a big one please", "xarelto please"),  # a term was said
        heard("bigger ones", "bigger ones"),  # no whole words
    ]
    assert false_alarms(everything, terms) == 1 / 3
    assert false_alarms(everything[2:3], terms) == 0.0


def test_term_errors_are_over_the_terms_said() -> None:
    terms = frozenset({"xarelto", "big one"})
    everything = [
        heard("a big one of Xarelto", "a big one of czar alto"),
        heard("Xarelto", "Xarelto"),
        heard("bigger ones", "xarelto"),
    ]
    assert term_error(everything, terms) == pytest.approx(1 / 3)
    assert term_error(everything[2:], terms) is None


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "domain.yaml").write_text(DOMAIN)
    return folder


def test_term_forms_are_all_forms(shop: Path) -> None:
    assert term_forms(Domain.load(shop)) == {"xarelto", "rivaroxaban", "small", "large", "big one"}


def test_the_canary_is_general_speech() -> None:
    sentences = canary_sentences()
    assert len(sentences) == len(set(sentences)) == 120
    assert all(sentence[0].isupper() and sentence[-1] in ".?" for sentence in sentences)


@pytest.fixture(scope="module")
def assistant(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REJOINDER_CACHE", str(tmp_path_factory.mktemp("cache")))
        loaded = Assistant.load(shop, options=AssistantOptions(device="cpu"))
        yield loaded
        loaded.close()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """An order, and something else, as the packaged voice says them."""
    voice, folder = HibariSynthesizer.load(), tmp_path_factory.mktemp("spoken")
    paths = []
    for n, text in enumerate(("give me a large box", "the weather is nice today")):
        samples = np.concatenate(list(voice.synthesize(text)))
        paths.append(folder / f"{n}.wav")
        soundfile.write(paths[-1], samples, voice.sample_rate)
    return tuple(paths)


@pytest.mark.model
class TestAssistant:
    def test_meaning_decides_where_it_is_known(self, assistant: Assistant, recordings: tuple[Path, ...]) -> None:
        right = Recording(recordings[0], intent="order", slots={"size": "large"})
        wrong = Recording(recordings[0], intent="order", slots={"size": "small"})
        calls: list[tuple[str, int, int, str]] = []
        measures = domain_measures(
            ears_of(assistant),
            TestSet("orders", (right, wrong)),
            term_forms(assistant.domain),
            progress=lambda *step: calls.append(step),
        )
        assert measures["domain_error"] == measures["domain_error clean"] == measures["domain_error phone"] == 0.5
        assert "domain_wer" not in measures
        notes = [note for note in ("orders", "orders, phone", "orders, noise10") for _ in (right, wrong)]
        assert calls == [("measuring", n, 6, note) for n, note in enumerate(notes, 1)]

    def test_words_decide_elsewhere(self, assistant: Assistant, recordings: tuple[Path, ...]) -> None:
        said = Recording(recordings[0], text="give me a large box")
        other = Recording(recordings[0], text="give us a small box")
        measures = domain_measures(ears_of(assistant), TestSet("orders", (said, other)), term_forms(assistant.domain))
        assert measures["domain_error clean"] == measures["domain_wer clean"] == 2 / 10
        assert measures["term_error clean"] == 1 / 2
        by_condition = [measures[f"domain_wer {name}"] for name in ("clean", "phone", "noise10")]
        assert measures["domain_error"] == sum(by_condition) / 3

    def test_general_speech(self, assistant: Assistant, recordings: tuple[Path, ...]) -> None:
        fine = TestSet("weather", (Recording(recordings[1], text="the weather is nice today"),))
        alarming = TestSet("alarming", (Recording(recordings[0], text="give me a barge box"),))
        measures = general_measures(ears_of(assistant), (fine, alarming), term_forms(assistant.domain))
        assert measures == {
            **{"canary_wer weather": 0.0, "canary_wer alarming": 1 / 5},
            **{"canary_wer": 1 / 10, "false_alarms": 1 / 2},
        }


def test_a_part_of_a_longer_recording(tmp_path: Path) -> None:
    samples = np.arange(2 * SAMPLE_RATE, dtype=np.float32) / (4 * SAMPLE_RATE)
    soundfile.write(tmp_path / "long.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    part = Recording(tmp_path / "long.wav", text="", offset_s=0.5, duration_s=0.25)
    assert np.array_equal(part.samples, samples[SAMPLE_RATE // 2 : SAMPLE_RATE * 3 // 4])
