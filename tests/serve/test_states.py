"""Where calls stand: kept for a while, so many of them, and for one call at a time."""

import asyncio
from dataclasses import dataclass

import pytest

from rejoinder.dialogue import DialogueState
from rejoinder.serve.states import KEPT_S, Keeper, MemoryStates, Standing, key_of

STANDING = Standing(DialogueState(intent="order", slots={"drink": "latte"}, confirming=True, n_turns=2), n_turns=2)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def keeper(states: MemoryStates, call: str, *, token: str = "token", owner: str | None = "shop") -> Keeper:
    return Keeper(states, token, owner=owner, call=call)


async def test_another_call_goes_on_where_the_lost_one_stood() -> None:
    states = MemoryStates()
    lost = keeper(states, "first")
    lost.keep(Standing())
    lost.keep(STANDING)
    await lost.end(goes_on=True)

    second = keeper(states, "second")
    assert await second.resume()
    assert second.resumed == STANDING


async def test_a_call_that_ended_as_calls_do_is_forgotten() -> None:
    states = MemoryStates()
    ended = keeper(states, "first")
    ended.keep(STANDING)
    await ended.end(goes_on=False)
    assert not await keeper(states, "second").resume()


async def test_without_the_token_and_the_owner_nothing_is_found() -> None:
    states = MemoryStates()
    lost = keeper(states, "first")
    lost.keep(STANDING)
    await lost.end(goes_on=True)
    assert not await keeper(states, "second", token="another").resume()
    assert not await keeper(states, "second", owner="bank").resume()
    assert not await keeper(states, "second", owner=None).resume()
    assert await keeper(states, "second").resume()


async def test_a_connection_that_is_half_dead_changes_nothing_any_more() -> None:
    states = MemoryStates()
    old = keeper(states, "old")
    old.keep(STANDING)
    await old.end(goes_on=True)
    new = keeper(states, "new")
    assert await new.resume()

    old.keep(Standing(n_turns=9))
    await old.end(goes_on=False)

    assert await keeper(states, "third").resume()
    third = keeper(states, "third")
    assert await third.resume()
    assert third.resumed == STANDING


async def test_what_is_too_old_is_gone() -> None:
    clock = Clock()
    states = MemoryStates(clock=clock)
    await states.keep("early", "call", "early text")
    clock.now_s = KEPT_S / 2
    await states.keep("late", "call", "late text")
    clock.now_s = KEPT_S + 1
    assert await states.take("early", "other") is None
    assert await states.take("late", "other") == "late text"


async def test_it_is_deleted_when_its_time_is_over_though_nobody_asks() -> None:
    states = MemoryStates(kept_s=0.05)
    await states.keep("key", "call", "text")
    assert len(states) == 1
    while len(states):
        await asyncio.sleep(0.01)


async def test_the_one_that_changed_longest_ago_makes_room() -> None:
    states = MemoryStates(n_most=2)
    for name in ("first", "second", "first", "third"):
        await states.keep(name, "call", name)
    assert await states.take("second", "other") is None
    assert await states.take("first", "other") == "first"


class Broken(MemoryStates):
    async def keep(self, key: str, call: str, text: str) -> None:  # noqa: ARG002
        raise ConnectionError

    async def take(self, key: str, call: str) -> str | None:  # noqa: ARG002
        raise ConnectionError


async def test_a_call_goes_on_when_its_state_cannot_be_kept() -> None:
    broken = keeper(Broken(), "first")
    assert not await broken.resume()
    broken.keep(STANDING)
    await broken.end(goes_on=True)


async def test_what_another_release_kept_is_read_as_far_as_it_goes() -> None:
    states = MemoryStates()
    await states.keep(key_of("token", "shop"), "first", '{"state": {"intent": "order", "mood": "sunny"}, "n_turns": 3}')
    known = keeper(states, "second")
    assert await known.resume()
    assert known.resumed == Standing(DialogueState(intent="order"), 3)
    await states.keep(key_of("other", "shop"), "first", "[]")
    assert not await keeper(states, "second", token="other").resume()


@pytest.mark.parametrize("standing", [Standing(), STANDING])
def test_as_text_nothing_is_lost(standing: Standing) -> None:
    assert Standing.from_json(standing.to_json()) == standing
