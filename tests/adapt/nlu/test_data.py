"""Sentences to train on."""

from dataclasses import replace

import pytest

from rejoinder.adapt.nlu.data import Example, domain_examples, split
from rejoinder.domain import Intent
from rejoinder.domain.grammar import Tag, TaggedSentence
from rejoinder.nlu.classifier import OUT_OF_SCOPE
from rejoinder.nlu.encoder import Encoder
from rejoinder.nlu.joint import BEGIN
from tests.nlu.domains import shop


def tagged(text: str, **values: str) -> TaggedSentence:
    return TaggedSentence(
        text,
        tuple(Tag(slot, value, text.index(value), text.index(value) + len(value)) for slot, value in values.items()),
    )


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (
            "I'd like a large latte",
            {"size": "large", "drink": "latte"},
            "i/O would/O like/O a/O large/B-size latte/B-drink",
        ),
        ("a 20-ounce mocha", {"size": "20-ounce"}, "a/O twenty/B-size ounce/I-size mocha/O"),
        ("soy milk", {"milk": "soy milk"}, "soy/B-milk milk/I-milk"),
        ("for 20 mg", {"number": "20"}, "for/O twenty/B-number milligram/O"),
    ],
)
def test_words_are_tagged_as_the_assistant_hears_them(text: str, values: dict[str, str], expected: str) -> None:
    example = Example.tagged(tagged(text, **values), "order")
    assert " ".join(f"{word}/{tag}" for word, tag in zip(example.words, example.tags, strict=True)) == expected
    assert dict(example.values) == values


@pytest.mark.model
def test_a_domains_examples_hold_each_value_and_what_is_out_of_scope(encoder: Encoder) -> None:
    domain = replace(shop(), out_of_scope_examples=("do you sell shoes",))
    examples = domain_examples(domain, n=400, encoder=encoder)
    values = {value for example in examples for value in example.values}
    order = domain.intents["order"]
    wanted = {(slot.name, choice.value) for slot in order.slots for choice in domain.slots[slot.name].choices}
    assert wanted <= values
    assert {example.intent for example in examples} == {*domain.intents, OUT_OF_SCOPE}
    assert Example.plain("do you sell shoes", OUT_OF_SCOPE) in examples
    assert len({example.text for example in examples}) == len(examples)


@pytest.mark.model
def test_everyday_sentences_that_the_domain_is_about_are_not_out_of_its_scope(encoder: Encoder) -> None:
    lights = Intent("lights", examples=("turn off all the lights", "switch the lights off please"))
    home, cafe = (
        {e.text for e in domain_examples(domain, n=50, encoder=encoder) if e.intent == OUT_OF_SCOPE}
        for domain in (replace(shop(), intents={"lights": lights}), shop())
    )
    assert "turn off the lights" in cafe - home
    assert len(home) > 0.8 * len(cafe)


@pytest.mark.model
def test_values_in_an_owners_examples_are_tagged(encoder: Encoder) -> None:
    order = replace(shop().intents["order"], patterns=(), examples=("could you do me a mocha",))
    (example,) = (
        e for e in domain_examples(replace(shop(), intents={"order": order}), n=5, encoder=encoder) if e.intent
    )
    assert example.tags[-1] == f"{BEGIN}drink"
    assert example.values == (("drink", "mocha"),)


def test_a_split_keeps_every_intent_on_the_larger_side() -> None:
    examples = [Example.plain(f"{intent} {n}", intent) for intent, n_own in (("a", 1), ("b", 20)) for n in range(n_own)]
    kept, held_out = split(examples, share=0.1)
    assert sorted([*kept, *held_out], key=examples.index) == examples
    assert [example.intent for example in held_out] == ["b", "b"]
    assert split(examples, share=0.1) == (kept, held_out)
