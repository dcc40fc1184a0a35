"""What is shown of a domain: its name and things to say that are sentences of its own."""

from dataclasses import replace
from pathlib import Path

from rejoinder.domain import Domain, Intent
from rejoinder.serve.page.about import N_EXAMPLES, about, examples
from tests.fakes import order_domain

CAFE = Path(__file__).parents[3] / "examples" / "cafe"


def test_the_cafe_says_who_it_is_and_what_to_say() -> None:
    told = about(Domain.load(CAFE))
    assert told["name"] == "Corner Cafe"
    assert "coffee" in told["description"]
    said = told["examples"]
    assert 3 <= len(said) <= N_EXAMPLES
    assert len(set(said)) == len(said)
    assert all(text[0].isupper() and len(text.split()) >= 3 and "{" not in text for text in said)
    assert said == examples(Domain.load(CAFE))


def test_intents_without_patterns_give_an_example_and_those_without_either_none() -> None:
    silent = Intent("silent")
    domain = order_domain()
    domain = replace(domain, intents={"silent": silent, "hours": domain.intents["hours"]})
    assert examples(domain) == ["When are you open"]
    assert examples(replace(domain, intents={"silent": silent})) == []
