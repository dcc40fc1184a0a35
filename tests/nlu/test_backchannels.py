import pytest

from rejoinder.nlu.backchannels import is_backchannel


@pytest.mark.parametrize(
    "text",
    [
        "uh-huh",
        "Uh huh.",
        "mm-hmm",
        "Mhm",
        "yeah",
        "Okay.",
        "OK, right",
        "oh I see",
        "hmm",
        "Aha!",
        "Eh-ha!",
        "yeah yeah yeah",
    ],
)
def test_acknowledgements_are_backchannels(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text", ["", "no", "stop", "wait", "yeah but", "okay make it large", "right now", "hummus", "yes please cancel"]
)
def test_words_that_take_the_turn_are_not(text: str) -> None:
    assert not is_backchannel(text)
