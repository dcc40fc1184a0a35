"""The threads of all sessions: how many work, what goes first, what happens to a call that hangs."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from rejoinder.workers import FASTEST, MOST_UNDER_WAY, TOLERATED_S, Pace, Workers


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(2)
    yield made
    made.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


class Gate:
    """Work that waits; `busy` tells that there is some, before it has begun."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def wait(self) -> None:
        self.begun.set()
        self.go.wait()


async def test_no_more_than_their_number_run_at_once_and_one_fewer_of_what_can_wait(workers: Workers) -> None:
    n_now = n_most = 0

    def work() -> None:
        nonlocal n_now, n_most
        n_now += 1
        n_most = max(n_most, n_now)
        time.sleep(0.02)
        n_now -= 1

    await asyncio.gather(*(workers.run(work, timeout_s=5, wanted_in_s=0) for _ in range(8)))
    assert n_most == 2
    n_most = 0
    await asyncio.gather(*(workers.run(work, timeout_s=5) for _ in range(8)))
    assert n_most == 1


async def test_busy_means_now_or_lately(workers: Workers) -> None:
    assert not workers.busy
    working = [asyncio.create_task(workers.run(lambda: time.sleep(0.6), timeout_s=5, wanted_in_s=0)) for _ in range(2)]
    await until(lambda: workers.busy)
    await asyncio.gather(*working)
    assert workers.busy  # nothing runs now, but the next turn ends soon
    await until(lambda: not workers.busy)


async def test_steps_come_as_they_are_made_and_no_other_work_in_between() -> None:
    workers, order, begun = Workers(1), list[str](), threading.Event()

    def steps() -> Iterator[str]:
        begun.set()
        for name in "abc":
            time.sleep(0.02)
            order.append(name)
            yield name

    def take(step: str) -> bool:
        order.append(f"took {step}")
        return True

    running = asyncio.create_task(workers.run_steps(steps(), take, timeout_s=5, wanted_in_s=0.5))
    await until(begun.is_set)
    other = asyncio.create_task(workers.run(lambda: order.append("other"), timeout_s=5, wanted_in_s=-9))
    await asyncio.gather(running, other)
    workers.close()
    assert [one for one in order if not one.startswith("took")] == ["a", "b", "c", "other"]
    assert [one for one in order if one.startswith("took")] == ["took a", "took b", "took c"]
    assert order.index("took a") < order.index("c")


async def test_steps_that_nobody_wants_any_more_are_not_made(workers: Workers) -> None:
    made = list[int]()

    def steps() -> Iterator[int]:
        for n in range(100):
            made.append(n)
            yield n
            time.sleep(0.02)

    async with asyncio.timeout(5):
        await workers.run_steps(steps(), lambda n: n < 1, timeout_s=5)
    assert 2 <= len(made) < 10
    running = asyncio.create_task(workers.run_steps(steps(), lambda n: n >= 0, timeout_s=5))
    await until(lambda: len(made) > 12)
    running.cancel()
    await until(lambda: not workers.busy)
    assert len(made) < 50


async def test_a_step_that_fails_is_the_callers_error_after_what_was_found(workers: Workers) -> None:
    def steps() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    found = list[int]()

    def take(step: int) -> bool:
        found.append(step)
        return True

    with pytest.raises(ValueError, match="broken"):
        await workers.run_steps(steps(), take, timeout_s=5)
    assert found == [1]


async def test_what_is_wanted_soonest_goes_first() -> None:
    workers, gate, ran = Workers(1), Gate(), list[float]()
    first = asyncio.create_task(workers.run(gate.wait, timeout_s=5))
    await until(gate.begun.is_set)

    async def one(wanted_in_s: float) -> None:
        await workers.run(lambda: ran.append(wanted_in_s), timeout_s=5, wanted_in_s=wanted_in_s)

    others = [asyncio.create_task(one(wanted_in_s)) for wanted_in_s in (9.0, 0.0, 3.0, 0.3)]
    await asyncio.sleep(0)
    gate.go.set()
    await asyncio.gather(first, *others)
    workers.close()
    assert ran == [0.0, 0.3, 3.0, 9.0]


async def test_what_can_wait_does_so_beside_others_that_can_and_is_done_in_the_end(workers: Workers) -> None:
    go, ran = threading.Event(), list[str]()
    patient = [asyncio.create_task(workers.run(go.wait, timeout_s=5)) for _ in range(2)]
    await until(lambda: workers.busy)
    await workers.run(lambda: ran.append("urgent"), timeout_s=5, wanted_in_s=0)
    assert ran == ["urgent"]
    go.set()
    await asyncio.gather(*patient)


async def test_a_call_that_was_given_up_before_it_began_never_runs() -> None:
    workers, gate, ran = Workers(1), Gate(), list[str]()
    first = asyncio.create_task(workers.run(gate.wait, timeout_s=5))
    await until(gate.begun.is_set)
    with pytest.raises(TimeoutError):
        await workers.run(lambda: ran.append("late"), timeout_s=0.02)
    gate.go.set()
    await first
    await workers.run(lambda: ran.append("next"), timeout_s=5)
    workers.close()
    assert ran == ["next"]


async def test_hung_calls_lose_their_threads_but_nobody_elses(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()
    hanging = [asyncio.create_task(workers.run(go.wait, timeout_s=0.5, wanted_in_s=0)) for _ in range(4)]
    assert [type(error) for error in await asyncio.gather(*hanging, return_exceptions=True)] == [TimeoutError] * 4
    assert await workers.run(lambda: "answered", timeout_s=5) == "answered"
    assert caplog.messages.count("a call hangs: its thread is replaced") >= 2
    go.set()
    await until(lambda: not workers.busy)
    workers.close()
    assert workers.join(5)


def test_the_process_ends_in_good_order_in_the_middle_of_a_call() -> None:
    """A thread that comes back from a model when the interpreter is gone would abort the process."""
    program = """
import asyncio, time
from rejoinder.workers import Workers

async def main():
    workers = Workers(2)
    asyncio.create_task(workers.run(lambda: time.sleep(0.5) or print("done", flush=True), timeout_s=5))
    await asyncio.sleep(0.1)

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


async def test_the_thread_of_a_hung_call_is_replaced_even_when_its_caller_is_gone() -> None:
    workers, gate = Workers(1), Gate()
    hanging = asyncio.create_task(workers.run(gate.wait, timeout_s=0.05))
    await until(gate.begun.is_set)
    hanging.cancel()
    assert await workers.run(lambda: "answered", timeout_s=5) == "answered"
    gate.go.set()
    workers.close()


async def test_an_error_is_the_callers_and_the_thread_goes_on(workers: Workers) -> None:
    def broken() -> None:
        raise ValueError("broken")

    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            await workers.run(broken, timeout_s=5)
    assert await workers.run(lambda: 1, timeout_s=5) == 1


async def test_closing_drops_what_has_not_begun() -> None:
    workers, gate = Workers(1), Gate()
    first = asyncio.create_task(workers.run(gate.wait, timeout_s=5))
    await until(gate.begun.is_set)
    second = asyncio.create_task(workers.run(gate.wait, timeout_s=5))
    await asyncio.sleep(0)
    workers.close()
    gate.go.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    with pytest.raises(RuntimeError, match="closed"):
        await workers.run(gate.wait, timeout_s=5)


async def test_audio_at_its_pace_or_a_little_early_waits_for_nothing() -> None:
    pace, working = Pace(), {asyncio.create_task(asyncio.sleep(60)) for _ in range(2 * MOST_UNDER_WAY)}
    assert pace.ahead_s(TOLERATED_S) == 0.0
    async with asyncio.timeout(5):
        await pace.keep(TOLERATED_S, 60.0 * FASTEST, working)
    for task in working:
        task.cancel()


async def test_audio_far_ahead_of_the_clock_waits_for_the_work_that_it_makes() -> None:
    go = asyncio.Event()
    working = {asyncio.create_task(go.wait()) for _ in range(MOST_UNDER_WAY + 1)}
    for task in working:
        task.add_done_callback(working.discard)
    keeping = asyncio.create_task(Pace().keep(1000.0, 0.0, working))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert not keeping.done()
    go.set()
    async with asyncio.timeout(5):
        await keeping
