"""Commands that work in every domain."""

import pytest

from rejoinder.nlu.commands import command, confirmation
from rejoinder.text import normalize


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Um, could you repeat that, please?", "repeat"),
        ("What did you say?", "repeat"),
        ("sorry, I didn't catch that", "repeat"),
        ("say it again", "repeat"),
        ("pardon", "repeat"),
        ("Cancel.", "cancel"),
        ("please cancel that", "cancel"),
        ("never mind", "cancel"),
        ("let's start over", "cancel"),
        ("actually, forget it", "cancel"),
        ("I'd like to talk to a person", "person"),
        ("can I speak to a real human please", "person"),
        ("get me an agent", "person"),
        ("operator", "person"),
        ("put me through to someone", "person"),
        ("bye", "goodbye"),
        ("no, that's all", "goodbye"),
        ("thank you, goodbye", "goodbye"),
        ("thanks", "thanks"),
        ("thank you very much", "thanks"),
        ("help", "help"),
        ("what can I say?", "help"),
        ("Yes, please.", "yes"),
        ("yeah that's right", "yes"),
        ("uh-huh", "yes"),
        ("go ahead", "yes"),
        ("no", "no"),
        ("No, thank you.", "no"),
        ("that's not what I said", "no"),
        ("nope", "no"),
    ],
)
def test_commands_are_known_among_fillers(said: str, name: str) -> None:
    assert command(normalize(said).split()) == name


@pytest.mark.parametrize(
    "said",
    [
        "cancel my prescription",
        "I'd like to cancel an appointment",
        "can you repeat my last order",
        "repeat prescription for my mother",
        "stop the delivery to my office",
        "talk to me about your loans",
        "help me choose a phone",
        "is there a person under the bridge",
        "yes and a large one",
        "no sugar",
        "thank you letter",
        "I would",
        "good coffee",
        "what is that drink with milk",
        "",
    ],
)
def test_a_command_accounts_for_every_word(said: str) -> None:
    assert command(normalize(said).split()) is None


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("yes please", "yes"),
        ("I would", "yes"),
        ("yeah, and some milk", "yes"),
        ("no", "no"),
        ("no, make it large", "no"),
        ("I don't", "no"),
        ("um, not really", "no"),
        ("what does it cost", None),
        ("notice the yes", None),
    ],
)
def test_a_question_for_confirmation_is_answered_first(said: str, answer: str | None) -> None:
    assert confirmation(normalize(said).split()) == answer
