"""Commands that work in every domain."""

import pytest

from rejoinder.nlu.commands import command, confirmation
from rejoinder.text import normalize

YES = """Yes, please.|Yeah.|Yep|Ja|Ya.|Yup.|uh-huh|Mm-hmm.|Mhm.|sure|of course|That's correct.|right|exactly|absolutely|
OK, go ahead.|please do|do it|perfect|Perfect, thanks.|sounds good|Sounds good to me.|that's all|That's it.|
Yes, that's it.|No, that's all.|that's everything|that's fine|looks good|fine|all right|yes thank you|You bet.|why not|
I do|I would|works for me|go for it|make it|let's do it|Yes, sir.|all good|I guess so|that would be great|very good|
Cool.|Awesome."""
NO = """No.|nope|Nah.|Naw.|no thanks|not yet|wait|Wait a second.|hold on|not really|No, that's wrong.|that's not right|
don't|I don't think so|incorrect|not quite|I don't|never|Not now.|please don't|stop|one moment|hang on|no, it's not"""
"""As callers say it and recognizers spell it."""


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


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        *[(said, "yes") for said in YES.replace("\n", "").split("|")],
        *[(said, "no") for said in NO.replace("\n", "").split("|")],
        *[(said, None) for said in ("cancel", "goodbye", "when do you open", "what does it cost", "is it good")],
    ],
)
def test_natural_answers_to_a_question_for_confirmation(said: str, answer: str | None) -> None:
    assert confirmation(normalize(said).split()) == answer
