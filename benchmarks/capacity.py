"""The capacity model: `python -m benchmarks.capacity` simulates and prints its tables; see `docs/scaling.md`.

The simulation takes about a minute and is kept in `capacity.json`; `--kept` prints from there, with other prices or
limits, say. `--markdown` writes the tables into the document, between its marks.
"""

import argparse
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import capacity_tables
from benchmarks.capacity_costs import Costs
from benchmarks.capacity_fleet import Assumptions, Process, busy_hour
from benchmarks.capacity_simulation import Load, Outcome, most_callers, simulate
from benchmarks.capacity_tables import Table
from benchmarks.corpus import ROOT

RESULTS = Path(__file__).parent / "capacity.json"
LOAD_TEST = Path(__file__).parent / "serve.json"
CLUSTER = Path(__file__).parent / "cluster.json"
DOCUMENT = ROOT / "docs" / "scaling.md"

BOUNDS_S = (0.5, 0.8)
CALLERS = (1, 4, 8, 12, 16, 20, 24, 28)
CORES = (1, 2, 4, 8)
BUSY = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Cores that other programs may have had in the load test: tried for the one that explains it best."""

N_RUNS = 15
"""Simulated runs as short as the load test's: how far chance alone takes a percentile of so few turns."""

TURN_S = 9.0
"""About as long as a caller takes from one turn to the next, so that a run has as many turns as a measured one."""

GPU_S = 0.16
"""Seconds until a GPU's words are there: one chunk, by when a stream that keeps up is done (assumed)."""

ROOMS = (1.0, 1.1, 1.2, 1.3)
"""Room for calls in a busy hour, as a multiple of the mean number of them."""

TRIES = (1, 10)
"""Pairs of processes that a call tries."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What callers met with in a load test on two cores."""

    where: str
    n_callers: int
    n_turns: int
    p50_s: float
    p95_s: float
    cores: float
    loop_s: float | None = None
    """Of a core for a caller, where it was measured."""


QUIET = Measured("quiet machine (docs/log.md)", 16, 113, 0.060, 0.293, 0.88)
"""A run with nothing else on the cores: what to go by where other programs ran beside `serve.json`'s."""


def levels(load_test: Mapping[str, Any]) -> list[Measured]:
    """The levels of `serve.json`."""
    found = {level["n_callers"]: level for level in (load_test["one_caller"], *load_test["levels"])}
    return [
        Measured(
            f"load test of {load_test['date']} ({load_test['commit']})",
            n,
            level["n_turns"],
            level["decision_ms"]["p50"] / 1000,
            level["decision_ms"]["p95"] / 1000,
            level["server_cores"],
            level["loop_cores"] / n,
        )
        for n, level in sorted(found.items())
    ]


def run(costs: Costs, load_test: Mapping[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Simulate everything that the tables need; `quiet` says that the load test had the cores for itself."""
    known = levels(load_test)
    loop_s = known[-1].loop_s or 0.0
    busy = 0.0 if quiet else min(BUSY, key=lambda busy: _error(known, costs, busy))
    compared = [_compare(one, costs, busy, loop_s) for one in known]
    alone = [] if quiet else [_compare(QUIET, costs, 0.0, loop_s)]
    factor = max(1.0, *(_off(rows) for rows in (alone, compared) if rows))
    one = Load(1, loop_s=loop_s)
    plan = [bound_s / factor for bound_s in BOUNDS_S]
    return {
        "date": date.today().isoformat(),
        "load_test": {name: load_test[name] for name in ("machine", "date", "commit")},
        "costs": {name: value for name, value in asdict(costs).items() if name != "scripts"},
        "busy_others": busy,
        "factor": factor,
        "loop_s": loop_s,
        "memory_mb": load_test["memory"]["after_mb"],
        "compared": [*alone, *compared],
        "callers": [{"n": n, **asdict(simulate(replace(one, n_callers=n), costs))} for n in CALLERS],
        "cores": [
            {
                "n_cores": n,
                "simulated": [most_callers(replace(one, n_cores=n), costs, bound_s) for bound_s in BOUNDS_S],
                "planned": [most_callers(replace(one, n_cores=n), costs, bound_s) for bound_s in plan],
            }
            for n in CORES
        ],
        "elsewhere": {
            "simulated": most_callers(replace(one, elsewhere_s=GPU_S), costs, BOUNDS_S[0]),
            "planned": most_callers(replace(one, elsewhere_s=GPU_S), costs, plan[0]),
        },
        "sensitivity": _sensitivity(one, costs, plan[0], factor),
        "hours": [_hour(n_callers, room) for n_callers in (100, 1_000, 10_000) for room in ROOMS],
    }


def _off(compared: Sequence[Mapping[str, Any]]) -> float:
    """How many times as long as simulated the 95th percentile was: the geometric mean of those with several callers."""
    several = [one for one in compared if one["measured"]["n_callers"] > 1]
    return math.exp(float(np.mean([math.log(one["measured"]["p95_s"] / one["p95_s"][1]) for one in several])))


def _error(known: Sequence[Measured], costs: Costs, busy: float) -> float:
    """How far the simulation is off in all, as the sum of the logarithms' differences."""
    return sum(abs(math.log(_median(one, costs, busy).p95_s / one.p95_s)) for one in known if one.n_callers > 1)


def _runs(one: Measured, costs: Costs, busy: float, loop_s: float) -> list[Outcome]:
    """Runs with as many turns as were measured."""
    talk_s = TURN_S * one.n_turns / one.n_callers
    load = Load(one.n_callers, loop_s=one.loop_s or loop_s, busy_others=busy, talk_s=talk_s)
    return [simulate(replace(load, seed=seed), costs) for seed in range(N_RUNS)]


def _median(one: Measured, costs: Costs, busy: float) -> Outcome:
    """The run in the middle."""
    return sorted(_runs(one, costs, busy, 0.0), key=lambda outcome: outcome.p95_s)[N_RUNS // 2]


def _compare(one: Measured, costs: Costs, busy: float, loop_s: float) -> dict[str, Any]:
    """What was measured, and the simulated quantiles: a tenth, the middle and nine tenths of the runs."""
    runs = _runs(one, costs, busy, loop_s)

    def spread(name: str) -> list[float]:
        found = np.quantile([getattr(outcome, name) for outcome in runs], [0.1, 0.5, 0.9], method="nearest")
        return [float(value) for value in found]

    return {
        "measured": asdict(one),
        "busy_others": busy,
        "p50_s": spread("p50_s"),
        "p95_s": spread("p95_s"),
        "cores": spread("cores")[1],
    }


def _sensitivity(one: Load, costs: Costs, bound_s: float, factor: float) -> list[dict[str, Any]]:
    """Callers of a process of two cores when one figure is another."""
    tried: Sequence[tuple[str, Load, Costs, float]] = (
        ("as planned", one, costs, bound_s),
        ("cores are 1.5 times as fast", replace(one, slower=1 / 1.5), costs, bound_s),
        ("cores are 1.5 times as slow", replace(one, slower=1.5), costs, bound_s),
        ("event loop takes half as much", replace(one, loop_s=one.loop_s / 2), costs, bound_s),
        ("event loop takes twice as much", replace(one, loop_s=one.loop_s * 2), costs, bound_s),
        ("a third of the work holds Python's lock", one, replace(costs, serial=1 / 3), bound_s),
        ("another program takes half a core", replace(one, busy_others=0.5), costs, bound_s),
        ("the simulation taken at its word", one, costs, bound_s * factor),
    )
    return [{"what": what, "n": most_callers(load, costs, bound)} for what, load, costs, bound in tried]


def _hour(n_callers: int, room: float) -> dict[str, Any]:
    """A busy hour, by how often a call may try."""
    hours = [busy_hour(n_callers, room, call_s=Assumptions().call_s, tries=tries) for tries in TRIES]
    return {"n_callers": n_callers, "room": room, "n_most": hours[-1].n_most, "refused": [one.refused for one in hours]}


def process(results: Mapping[str, Any], kind: str = "planned") -> Process:
    """What a process of two cores carries for 500 ms: as `planned`, or as `simulated`."""
    n_callers = next(one[kind][0] for one in results["cores"] if one["n_cores"] == 2)
    talking = next(one for one in results["callers"] if one["n"] == 8)
    elsewhere = max(n_callers, results["elsewhere"][kind])
    return Process(
        n_callers, elsewhere, results["memory_mb"], results["loop_s"], talking["turn_s"], talking["replying"]
    )


def tables(results: Mapping[str, Any], given: Assumptions, cluster: Mapping[str, Any]) -> dict[str, Table]:
    """All tables by their names in the document; `cluster` is what `make bench-cluster` wrote."""
    carries, at_best = process(results), process(results, "simulated")
    return {
        "validation": capacity_tables.validation(results),
        "callers": capacity_tables.callers(results),
        "cores": capacity_tables.cores(results),
        "sensitivity": capacity_tables.sensitivity(results),
        "sizes": capacity_tables.sizes(carries, at_best, given),
        "network": capacity_tables.network(carries),
        "money": capacity_tables.money(carries, at_best, given),
        "gpu": capacity_tables.gpu(carries, at_best, given),
        "what_if": capacity_tables.what_if(carries, at_best, given),
        "breaks": capacity_tables.breaks(carries, given),
        "control": capacity_tables.control(carries, given),
        "hours": capacity_tables.hours(results),
        "cluster": capacity_tables.cluster(cluster),
        "assumptions": capacity_tables.assumptions(given),
        "sources": capacity_tables.sources(),
    }


def written(document: str, found: Mapping[str, Table]) -> str:
    """The document with each table between `<!-- table NAME -->` and `<!-- end -->`. Raises `KeyError` for others."""
    mark = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.S)
    return mark.sub(lambda match: match[1] + found[match[2]].markdown() + match[3], document)


def main() -> None:
    """Simulate, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", action="store_true", help="print from capacity.json")
    parser.add_argument("--load-test", type=Path, default=LOAD_TEST, help="what `make bench-serve` wrote")
    parser.add_argument("--quiet", action="store_true", help="nothing else ran on the cores of the load test")
    parser.add_argument("--markdown", action="store_true", help=f"write the tables into {DOCUMENT.relative_to(ROOT)}")
    for one in fields(Assumptions):
        name = "--" + one.name.replace("_", "-")
        parser.add_argument(name, type=type(one.default), default=one.default, help=one.metadata["help"])
    arguments = vars(parser.parse_args())
    given = Assumptions(**{one.name: arguments[one.name] for one in fields(Assumptions)})
    if not arguments["kept"]:
        if not arguments["load_test"].exists():
            parser.error(f"{arguments['load_test']} is not there; type: make bench-serve, or give --kept")
        results = run(Costs.load(), json.loads(arguments["load_test"].read_text()), quiet=arguments["quiet"])
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    found = tables(json.loads(RESULTS.read_text()), given, json.loads(CLUSTER.read_text()))
    capacity_tables.show(found)
    if arguments["markdown"]:
        if given != Assumptions():
            parser.error("the document has the tables of the defaults: change them in capacity_fleet.py")
        DOCUMENT.write_text(written(DOCUMENT.read_text(), found))
        print(f"written to {DOCUMENT}")


if __name__ == "__main__":
    main()
