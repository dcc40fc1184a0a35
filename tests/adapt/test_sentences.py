"""What callers of a domain say: every term and value is there, and not only in the domain's own patterns."""

from pathlib import Path

import pytest

from rejoinder.adapt.carriers import Style
from rejoinder.adapt.sentences import N_EACH, domain_sentences
from rejoinder.domain import Domain
from rejoinder.text import normalize

EXAMPLES = Path(__file__).parents[2] / "examples"

SHOP = """
name: shop
terms:
  - {written: Zylotrex, sounds_like: [silo tracks], synonyms: [zylo]}
  - {written: iPhone}
  - {written: A1C}
slots:
  size: [small, {value: large, synonyms: [big, 16 oz], sounds_like: [barge]}]
  amount: number
  code: {kind: code, lengths: [4]}
intents:
  order:
    slots: {size: {required: true, ask: Which size?}, amount: , code: }
    patterns: ["[please] (get|bring) me [{amount}] {size} (ones|boxes) [please]", "my code is {code}"]
    examples: [I want to order something]
    reply: Done.
"""


@pytest.fixture
def shop(tmp_path: Path) -> Domain:
    (tmp_path / "domain.yaml").write_text(SHOP)
    return Domain.load(tmp_path)


@pytest.mark.parametrize("name", ["cafe", "pharmacy"])
def test_every_term_and_every_value_of_the_examples(name: str) -> None:
    domain = Domain.load(EXAMPLES / name)
    texts = domain_sentences(domain, n=1200, seed=1)
    assert len(texts) == 1200
    assert len(set(texts)) > 1000
    said = [f" {normalize(text)} " for text in texts]
    terms = [form for term in domain.terms for form in (term.written, *term.synonyms)]
    choices = [choice for slot in domain.slots.values() for choice in slot.choices]
    forms = [form for choice in choices for form in choice.forms if form not in choice.sounds_like]
    sounds = {form: f" {normalize(form)} " for form in terms + forms}
    counts = {form: sum(sound in text for text in said) for form, sound in sounds.items()}
    assert min(counts.values()) >= 1, [form for form, count in counts.items() if not count]
    assert sum(count >= N_EACH for count in counts.values()) > 0.95 * len(counts)
    assert domain_sentences(domain, n=1200, seed=1) == texts
    assert domain_sentences(domain, n=1200, seed=2) != texts


def test_patterns_examples_answers_and_terms_elsewhere(shop: Domain) -> None:
    texts = domain_sentences(shop, n=300, seed=1)
    assert "I want to order something." in texts
    assert sum(text.startswith(("Get me", "Bring me", "Please get me", "Please bring me")) for text in texts) > 100
    assert "Large." in texts
    assert sum(text.strip(".").split()[-1] in ("Zylotrex", "zylo") for text in texts) > 5
    elsewhere = [text for text in texts if "Zylotrex" in text]
    assert len({text.split()[0] for text in elsewhere}) > 5


def test_what_only_recognizers_write_is_never_said(shop: Domain) -> None:
    texts = " ".join(domain_sentences(shop, n=300, seed=1)).lower()
    assert "barge" not in texts
    assert "silo tracks" not in texts


def test_terms_keep_how_they_are_written(shop: Domain) -> None:
    texts = domain_sentences(shop, n=300, seed=1)
    assert all(name in text for name in ("iPhone", "A1C") for text in texts if name.lower() in text.lower())
    assert not any(char.isdigit() for text in texts for char in text.replace("A1C", ""))
    assert any("sixteen ounces" in text for text in texts)
    assert all(text == normalize(text) for text in domain_sentences(shop, n=50, seed=1, style=Style.PLAIN))


@pytest.mark.parametrize("n", [0, 1, 5, 12])
def test_fewer_sentences_than_values(shop: Domain, n: int) -> None:
    assert len(domain_sentences(shop, n=n)) == n


def test_a_domain_of_answers_alone(tmp_path: Path) -> None:
    (tmp_path / "domain.yaml").write_text("name: shop\nintents:\n  a: {examples: [are you open], reply: Yes.}\n")
    assert set(domain_sentences(Domain.load(tmp_path), n=20)) == {"Are you open?"}
