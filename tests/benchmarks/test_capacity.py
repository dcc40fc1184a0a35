"""The capacity model: its queue agrees with the textbook's, its callers with the clock, its document with itself."""

import json
import math
import random
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from benchmarks.capacity import CALLERS, CLUSTER, DOCUMENT, RESULTS, process, tables, written
from benchmarks.capacity_costs import Costs
from benchmarks.capacity_fleet import DOORS, SIZES, Assumptions, busy_hour, egress_dollars, fleet, limits
from benchmarks.capacity_machine import Machine
from benchmarks.capacity_simulation import Load, most_callers, simulate
from rejoinder.workers import PATIENT_S

Value = TypeVar("Value")

KEPT = json.loads(RESULTS.read_text())


@pytest.fixture(scope="module")
def costs() -> Costs:
    return Costs.load()


def kept(values: list[Value], value: Value) -> bool:
    """Keep a value; no further step is wanted."""
    values.append(value)
    return False


def erlang_c(n_servers: int, offered: float) -> float:
    """The probability that a call must wait, of Poisson arrivals that offer so many servers' work."""
    blocked = 1.0
    for n in range(1, n_servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked / (1 - offered / n_servers * (1 - blocked))


@pytest.mark.parametrize(("n_threads", "load"), [(1, 0.6), (2, 0.7), (4, 0.8)])
def test_first_come_first_served_waits_as_erlang_says(n_threads: int, load: float) -> None:
    machine, rng, waits = Machine(n_threads), random.Random(1), list[float]()
    n_jobs, service_s = 60_000, 1.0
    rate = load * n_threads / service_s

    def arrive() -> None:
        arrived_s, takes_s = machine.now_s, rng.expovariate(1 / service_s)
        machine.do((takes_s, lambda: kept(waits, machine.now_s - arrived_s - takes_s)), wanted_in_s=0.0)
        if len(waits) < n_jobs:
            machine.at(machine.now_s + rng.expovariate(rate), arrive)

    arrive()
    machine.run(n_jobs / rate)
    expected_s = erlang_c(n_threads, load * n_threads) * service_s / (n_threads * (1 - load))
    assert sum(waits) / len(waits) == pytest.approx(expected_s, rel=0.08)
    assert sum(wait > 1e-6 for wait in waits) / len(waits) == pytest.approx(
        erlang_c(n_threads, load * n_threads), rel=0.05
    )
    assert machine.busy_s / machine.now_s == pytest.approx(load * n_threads, rel=0.03)


def test_what_is_wanted_soonest_is_done_first_and_a_thread_is_kept_free() -> None:
    machine, done = Machine(2), list[str]()

    def job(name: str, wanted_in_s: float) -> None:
        machine.do((1.0, lambda: kept(done, f"{name} {machine.now_s:.0f}")), wanted_in_s=wanted_in_s)

    for name, wanted_in_s in (("a", PATIENT_S), ("b", 2.0), ("c", 1.0)):
        job(name, wanted_in_s)
    machine.at(0.5, lambda: job("urgent", 0.0))
    machine.run(10.0)
    assert done == ["a 1", "urgent 2", "c 2", "b 3"]


def test_running_work_shares_the_cores_that_the_loop_leaves() -> None:
    machine, ends = Machine(2, loop=0.5), list[float]()
    for _ in range(2):
        machine.do((3.0, lambda: kept(ends, machine.now_s)), wanted_in_s=0.0)
    machine.run(10.0)
    assert ends == pytest.approx([4.0, 4.0])  # three quarters of a core each
    assert machine.busy_s == pytest.approx(6.0)


def test_work_that_holds_the_lock_all_the_time_is_done_as_if_by_one_thread() -> None:
    machine, ends = Machine(4, serial=1.0), list[float]()
    for _ in range(4):
        machine.do((1.0, lambda: kept(ends, machine.now_s)), wanted_in_s=0.0)
    machine.run(10.0)
    assert ends == pytest.approx([4.0] * 4)


def test_a_step_that_is_not_wanted_ends_the_work() -> None:
    machine, done = Machine(1), list[float]()
    machine.do((1.0, lambda: False), (1.0, lambda: kept(done, machine.now_s)), wanted_in_s=0.0)
    machine.run(10.0)
    assert not done
    assert machine.busy_s == pytest.approx(1.0)


def test_costs_are_read_as_they_were_written(costs: Costs, tmp_path: Path) -> None:
    costs.write(tmp_path / "costs.json")
    assert Costs.load(tmp_path / "costs.json") == costs


def test_every_script_is_a_turn(costs: Costs) -> None:
    for script in costs.scripts:
        assert 0 < script.speech_s <= script.pauses_s[-1] <= script.over_s
        assert len(script.resumed_s) == len(script.pauses_s) - 1
        for paused_s, resumed_s, again_s in zip(script.pauses_s, script.resumed_s, script.pauses_s[1:], strict=False):
            assert paused_s < resumed_s < again_s
        assert all(clause.cpu_s >= 0 < clause.audio_s for clause in script.clauses)


def test_the_same_seed_gives_the_same_outcome(costs: Costs) -> None:
    load = Load(8, talk_s=60.0)
    assert simulate(load, costs) == simulate(load, costs)
    assert simulate(load, costs) != simulate(replace(load, seed=1), costs)


def test_a_lone_caller_waits_for_the_work_of_one_turn_at_most(costs: Costs) -> None:
    outcome = simulate(Load(1), costs)
    most_s = max(
        costs.pause_s[0] + costs.pause_s[1] * script.pauses_s[-1] + costs.understand_s + script.clauses[0].cpu_s
        for script in costs.scripts
    )
    assert outcome.n_turns > 10
    assert not outcome.n_lost
    assert outcome.p95_s <= most_s


@pytest.mark.parametrize("seed", range(3))
def test_more_cores_never_raise_the_wait(costs: Costs, seed: int) -> None:
    waits = [simulate(Load(16, n_cores=n, seed=seed, talk_s=120.0), costs).p95_s for n in (1, 2, 4)]
    assert waits == sorted(waits, reverse=True)


def test_more_callers_wait_longer_and_no_more_cores_are_used_than_there_are(costs: Costs) -> None:
    outcomes = [simulate(Load(n, talk_s=120.0), costs) for n in (4, 16, 28)]
    assert all(fewer.p95_s < more.p95_s for fewer, more in pairwise(outcomes))
    assert all(outcome.cores <= 2.0 + 1e-9 for outcome in outcomes)


def test_callers_who_are_never_answered_count_as_lost(costs: Costs) -> None:
    outcome = simulate(Load(40, busy_others=1.2, talk_s=60.0), costs)
    assert outcome.n_lost
    assert outcome.p95_s == math.inf


def test_recognition_elsewhere_leaves_room_for_more_callers(costs: Costs) -> None:
    load = Load(1, talk_s=60.0)
    here = most_callers(load, costs, 0.3, n_seeds=1)
    assert most_callers(replace(load, elsewhere_s=0.1), costs, 0.3, n_seeds=1) > here > 0


def test_no_process_has_more_callers_than_its_loop_can_serve(costs: Costs) -> None:
    assert most_callers(Load(1, n_cores=16, loop_s=0.1, talk_s=30.0), costs, 2.0, n_seeds=1) == 8


def test_kept_figures_are_what_the_simulation_gives(costs: Costs) -> None:
    before = next(one for one in KEPT["callers"] if one["n"] == 16)
    again = asdict(simulate(Load(16, loop_s=KEPT["loop_s"]), costs))
    assert {name: before[name] for name in again} == pytest.approx(again)
    assert [one["n"] for one in KEPT["callers"]] == list(CALLERS)
    assert KEPT["costs"]["partial_s"] == pytest.approx(costs.partial_s)


def test_a_fleet_grows_with_its_callers_and_no_cell_is_too_large() -> None:
    carries, given = process(KEPT), Assumptions()
    fleets = [fleet(n_callers, carries, given) for n_callers in SIZES]
    for smaller, larger in pairwise(fleets):
        assert smaller.n_cores <= larger.n_cores
        assert smaller.dollars[1] < larger.dollars[1]
    for one in fleets:
        assert one.n_nodes <= one.n_cells * given.cell_nodes
        assert one.n_processes * carries.n_callers >= one.n_callers
        assert one.n_processes * given.process_cores <= one.n_cores
        assert one.dollars[0] <= one.dollars[1]


def test_the_wire_carries_what_the_formats_say() -> None:
    realtime, telephone, page = (door.gbit(1, 1.0)[0] * 1e6 for door in DOORS)  # kbit/s
    assert telephone == pytest.approx(80.0)  # 200 bytes every 20 ms
    assert realtime > 24_000 * 16 * 4 / 3 / 1000
    assert page == pytest.approx(24 + 20.0)  # 50 bytes of headers and authentication every 20 ms


def test_traffic_is_charged_by_its_tiers() -> None:
    assert egress_dollars(0.0) == 0.0
    assert egress_dollars(0.001) < 1000 * egress_dollars(0.001) > egress_dollars(1.0)


def test_limits_come_in_the_order_in_which_they_are_reached() -> None:
    reached = [limit.n_callers for limit in limits(process(KEPT), Assumptions())]
    assert reached == sorted(reached)


def test_room_and_tries_leave_fewer_calls_out() -> None:
    tight, roomy, patient = (
        busy_hour(200, room, call_s=60.0, tries=tries).refused for room, tries in ((1.0, 1), (1.3, 1), (1.3, 10))
    )
    assert tight > roomy > patient


def test_the_document_has_the_tables_that_the_program_prints() -> None:
    document, found = DOCUMENT.read_text(), tables(KEPT, Assumptions(), json.loads(CLUSTER.read_text()))
    assert written(document, found) == document, "type: python -m benchmarks.capacity --kept --markdown"
    assert all(f"<!-- table {name} -->" in document for name in found)
    assert "@@" not in document, "a table's place was never filled"
