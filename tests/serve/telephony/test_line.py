"""What a line does before a session hears it: keys, echo."""

import numpy as np

from rejoinder.audio import SAMPLE_RATE
from rejoinder.events import Samples
from rejoinder.serve.telephony.echo import TAIL_S, EchoGate
from rejoinder.serve.telephony.keys import MOST_KEYS, PAUSE_S, TypedKeys

RNG = np.random.default_rng(0)
VOICE: Samples = RNG.normal(0, 0.1, SAMPLE_RATE).astype(np.float32)


def typed(keys: str, at_s: float = 0.0) -> tuple[TypedKeys, list[str | None]]:
    number = TypedKeys()
    return number, [number.press(key, at_s) for key in keys]


def test_a_hash_ends_a_number_and_a_star_begins_it_anew() -> None:
    assert typed("12#")[1] == [None, None, "12"]
    assert typed("9*34#5#")[1] == [None, None, None, None, "34", None, "5"]
    assert typed("#*A§#")[1] == [None] * 5
    assert typed("1" * 100 + "#")[1][-1] == "1" * MOST_KEYS


def test_a_pause_ends_a_number() -> None:
    number, _ = typed("12", at_s=1.0)
    assert number.due(0.9 + PAUSE_S) is None
    assert number.due(1.0 + PAUSE_S) == "12"
    assert number.due(9.0 + PAUSE_S) is None


def test_an_echo_is_silenced_and_a_voice_is_not() -> None:
    gate = EchoGate(loss_db=26.0)
    gate.plays(VOICE, 1.0, 2.0)
    echo, voice = 0.03 * VOICE[:320], 0.5 * VOICE[:320]
    assert np.array_equal(gate(echo, 0.5), echo)  # nothing has been said yet
    assert not gate(echo, 1.5).any()
    assert np.array_equal(gate(voice, 1.5), voice)
    assert not gate(echo, 2.0 + TAIL_S).any()
    assert np.array_equal(gate(echo, 2.1 + TAIL_S), echo)


def test_what_was_not_played_has_no_echo() -> None:
    gate = EchoGate(loss_db=26.0)
    gate.plays(VOICE, 1.0, 2.0)
    gate.plays(VOICE, 2.0, 3.0)
    gate.stops(1.5)
    echo = 0.03 * VOICE[:320]
    assert not gate(echo, 1.6).any()
    assert np.array_equal(gate(echo, 2.1), echo)
