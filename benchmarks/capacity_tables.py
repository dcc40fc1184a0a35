"""The capacity model's tables, for a terminal and for the document."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from benchmarks.capacity_fleet import (
    DOORS,
    SIZES,
    SOURCES,
    Assumptions,
    Fleet,
    Process,
    egress_dollars,
    fleet,
    gpus,
    limits,
    trunk_dollars,
)

WHAT_IF: Sequence[Mapping[str, Any]] = (
    {"room": 1.3},
    {"node_cores": 8},
    {"cell_nodes": 20},
    {"core_hour": 0.02},
    {"core_hour": 0.08},
    {"committed": 0.28},
    {"caller_mb": 1.0},
    {"gpu_hour": 0.5},
    {"gpu_hour": 2.0},
    {"gpu_streams_low": 80, "gpu_streams_high": 135},
    {"gpu_streams_low": 320, "gpu_streams_high": 540},
    {"trunk_minute": 0.001},
    {"trunk_minute": 0.01},
)
"""Assumptions that may well be otherwise."""

Results = Mapping[str, Any]
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; all columns but the first are figures unless `words` says so."""

    title: str
    columns: Row
    rows: Sequence[Row]
    words: bool = False

    def markdown(self) -> str:
        """As GitHub's Markdown, under its title, with a line's end at its end."""
        rule = "|" + "".join("---|" if self.words or not n else "--:|" for n in range(len(self.columns)))
        return f"*{self.title}*\n\n" + "\n".join([_line(self.columns), rule, *map(_line, self.rows)]) + "\n"


def show(tables: Mapping[str, Table]) -> None:
    """Print them."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Rich

    console = Console()
    for table in tables.values():
        rich = Rich(title=escape(table.title))
        for n, name in enumerate(table.columns):
            rich.add_column(escape(name), justify="left" if table.words or not n else "right")
        for row in table.rows:
            rich.add_row(*map(escape, row))
        console.print(rich)


def _line(cells: Row) -> str:
    return "| " + " | ".join(cells) + " |"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f}" if math.isfinite(seconds) else "lost"


def _short(value: float) -> str:
    """Two digits, for what is known no better."""
    if value == 0:
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(0, digits)}f}"


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _dollars(low: float, high: float) -> str:
    return "$" + _range(_short(low), _short(high))


def validation(results: Results) -> Table:
    """Measured and simulated, side by side."""
    rows = []
    for one in results["compared"]:
        measured, (low, middle, high) = one["measured"], one["p95_s"]
        rows.append(
            (
                f"{measured['where']}, callers: {measured['n_callers']}, turns: {measured['n_turns']}",
                f"{one['busy_others']:g}",
                _ms(measured["p50_s"]),
                _ms(one["p50_s"][1]),
                _ms(measured["p95_s"]),
                f"{_ms(middle)} ({_ms(low)} to {_ms(high)})",
                f"{100 * (middle / measured['p95_s'] - 1):+.0f}%",
                f"{measured['cores']:.2f}",
                f"{one['cores']:.2f}",
            )
        )
    columns = ("load test", "cores taken by others", "p50, ms", "simulated", "p95, ms", "simulated", "off", "cores")
    title = (
        f"Two cores; for planning, waits are taken to be {results['factor']:.1f} times the simulated ones (see below)"
    )
    return Table(title, (*columns, "simulated"), rows)


def callers(results: Results) -> Table:
    """What callers meet with in one process of two cores."""
    rows = [
        (
            str(one["n"]),
            _ms(one["p50_s"]),
            _ms(one["p95_s"]),
            f"{100 * one['draft_hits']:.0f}%",
            f"{one['cores']:.2f}",
        )
        for one in results["callers"]
    ]
    columns = ("callers", "p50, ms", "p95, ms", "reply ready at the decision", "cores in use")
    return Table("One process of two cores, simulated: decision to first sample", columns, rows)


def cores(results: Results) -> Table:
    """Callers a process, by its cores."""
    rows = []
    for one in results["cores"]:
        n = one["n_cores"]
        (at_500, at_800), (plan_500, plan_800) = one["simulated"], one["planned"]
        found = (at_500, plan_500, at_800, plan_800)
        rows.append((str(n), *(f"{value} ({value / n:.1f} a core)" for value in found)))
    columns = ("cores of the process", "p95 <= 500 ms, simulated", "planned", "p95 <= 800 ms, simulated", "planned")
    return Table("Most callers of one process", columns, rows)


def sensitivity(results: Results) -> Table:
    """Callers of a process when one figure is another."""
    rows = [(one["what"], str(one["n"]), f"{one['n'] / 2:.1f}") for one in results["sensitivity"]]
    return Table("What the planned figure hangs on (two cores, 500 ms)", ("if", "callers", "a core"), rows)


def _fleets(process: Process, given: Assumptions) -> list[Fleet]:
    return [fleet(n_callers, process, given) for n_callers in SIZES]


def sizes(planned: Process, at_best: Process, given: Assumptions) -> Table:
    """Machines."""
    rows = [
        (
            f"{one.n_callers:,}",
            f"{one.n_processes:,}",
            f"{one.n_nodes:,}",
            f"{one.n_cells:,}",
            f"{one.n_cores:,}",
            _short(one.memory_gb),
            f"{best.n_nodes:,} ({best.n_cores:,})",
        )
        for one, best in zip(_fleets(planned, given), _fleets(at_best, given), strict=True)
    ]
    columns = ("callers at once", "processes", "nodes, spare ones included", "cells", "cores", "memory, GB")
    title = f"Machines, nodes of {given.node_cores} cores, recognition on the CPU"
    return Table(title, (*columns, "nodes (cores) if the simulation is right"), rows)


def network(process: Process) -> Table:
    """Gbit/s by door."""
    rows = []
    for n_callers in SIZES:
        figures = [_short(value) for door in DOORS for value in door.gbit(n_callers, process.replying)]
        rows.append((f"{n_callers:,}", *figures))
    columns = [f"{door.name}, {way}" for door in DOORS for way in ("in", "out")]
    return Table("Network in the busiest hour, Gbit/s", ("callers at once", *columns), rows)


def money(planned: Process, at_best: Process, given: Assumptions) -> Table:
    """Dollars a month."""
    rows = []
    for one, best in zip(_fleets(planned, given), _fleets(at_best, given), strict=True):
        out = [egress_dollars(door.gbit(one.n_callers, planned.replying)[1]) for door in DOORS]
        low, high = best.dollars[0], one.dollars[1]
        rows.append(
            (
                f"{one.n_callers:,}",
                _dollars(low, high),
                _dollars(low / one.n_callers, high / one.n_callers),
                *(f"${_short(value)}" for value in out),
                f"${_short(trunk_dollars(one.n_callers, given))}",
            )
        )
    columns = ("machines", "machines, a caller", *(f"traffic out: {door.name}" for door in DOORS))
    return Table("Money a month", ("callers at once", *columns, "telephone trunks"), rows)


def gpu(planned: Process, at_best: Process, given: Assumptions) -> Table:
    """Recognition on GPUs, the rest on CPUs, against all of it on CPUs."""
    rows = []
    for n_callers in SIZES[1:]:
        plain, best = (fleet(n_callers, process, given) for process in (planned, at_best))
        light, best_light = (gpus(n_callers, process, given) for process in (planned, at_best))
        rows.append(
            (
                f"{n_callers:,}",
                _dollars(best.dollars[1], plain.dollars[1]),
                _range(f"{light.n_gpus[0]:,}", f"{light.n_gpus[1]:,}"),
                _range(f"{best_light.n_cores:,}", f"{light.n_cores:,}"),
                _dollars(best_light.dollars[0], light.dollars[1]),
            )
        )
    columns = ("all on CPUs, $ a month", "GPUs", "cores beside them", "with GPUs, $ a month")
    carried = _range(str(at_best.n_elsewhere), str(planned.n_elsewhere))
    title = f"Recognition on GPUs, list prices: a process of two cores then carries {carried} callers"
    return Table(title, ("callers at once", *columns), rows)


def what_if(planned: Process, at_best: Process, given: Assumptions) -> Table:
    """What assumptions do to the money and memory of one size."""
    n_callers, rows = 100_000, []
    changes = [("as they are", given)]
    for change in WHAT_IF:
        what = " ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in change.items())
        changes.append((f"`{what}`", replace(given, **change)))
    for what, changed in changes:
        plain, best = (fleet(n_callers, process, changed) for process in (planned, at_best))
        light, best_light = (gpus(n_callers, process, changed) for process in (planned, at_best))
        rows.append(
            (
                what,
                _dollars(best.dollars[0], plain.dollars[1]),
                _short(plain.memory_gb),
                _dollars(best_light.dollars[0], light.dollars[1]),
                f"${_short(trunk_dollars(n_callers, changed))}",
            )
        )
    columns = ("machines", "memory, GB", "with GPUs, list price", "telephone trunks")
    return Table(f"{n_callers:,} callers, a month, if an assumption is another", ("if", *columns), rows)


def breaks(process: Process, given: Assumptions) -> Table:
    """What breaks first."""
    rows = [(_short(one.n_callers).removesuffix(".0"), one.what, one.remedy) for one in limits(process, given)]
    return Table("What breaks first", ("at about so many callers", "what", "what to do"), rows, words=True)


def control(process: Process, given: Assumptions) -> Table:
    """What has to be kept in order."""
    rows = []
    for one in _fleets(process, given):
        cell_processes = math.ceil(one.n_processes / one.n_cells)
        rows.append(
            (
                f"{one.n_callers:,}",
                f"{math.ceil(one.n_nodes / one.n_cells):,}",
                f"{cell_processes:,}",
                f"{cell_processes + math.ceil(one.n_nodes / one.n_cells):,}",
                _short(one.n_callers / process.turn_s),
                _short(one.n_callers / process.turn_s / one.n_cells),
                f"{_short(one.n_processes * process.n_series / 1e6)} million",
                _short(one.n_callers / given.call_s),
            )
        )
    columns = (
        "nodes a cell",
        "processes a cell",
        "actors a cell, proxies included",
        "turns/s",
        "turns/s a cell",
        "time series",
        "new calls/s",
    )
    return Table("What the control plane has to bear", ("callers at once", *columns), rows)


def hours(results: Results) -> Table:
    """Calls that find no room in a busy hour."""
    rows = [
        (
            f"{one['n_callers']:,}",
            f"{one['room']:g}",
            f"{one['n_most']:,}",
            *(f"{100 * x:.1f}%" for x in one["refused"]),
        )
        for one in results["hours"]
    ]
    columns = ("mean callers at once", "room for so many times as many", "most at once", "refused at the first try")
    title = "A busy hour: Poisson arrivals, each call to the emptier of two processes of ten"
    return Table(title, (*columns, "refused after ten tries"), rows)


def cluster(measured: Results) -> Table:
    """What `cluster.json` says, each with its goal where it has one."""
    goals, ray, died, update = (measured[name] for name in ("goals", "overhead", "killed_node", "update"))
    apart = measured["stage_apart"]
    rows: list[Row] = [
        ("a turn by Ray, p50 (p95), ms", f"{ray['ray_p50_ms']} ({ray['ray_p95_ms']})", ""),
        ("a turn by the plain server, p50 (p95), ms", f"{ray['plain_p50_ms']} ({ray['plain_p95_ms']})", ""),
        ("what Ray adds to the p50, ms", f"{ray['added_p50_ms']}", f"at most {goals['added_p50_ms']:g}"),
    ]
    for one in measured["throughput"]:
        replicas = f"{one['n_replicas']} replica{'s' * (one['n_replicas'] > 1)}"
        rows.append((f"turns a second, {replicas} (p50, ms)", f"{one['turns_a_second']} ({one['p50_ms']})", ""))
    rows += [
        (
            f"a node is killed during {died['n_calls']} calls: unharmed, and go on where they stood",
            f"{died['n_unharmed_with_state']} of {died['n_unharmed']}",
            "all",
        ),
        ("lost, and go on where they stood", f"{died['n_resumed_with_state']} of {died['n_lost']}", "all"),
        ("until a new call is answered, s", f"{died['new_call_s']}", f"at most {goals['new_call_s']:g}"),
        ("until the last lost call is answered, s", f"{died['all_back_s']}", ""),
        (
            f"all replicas are replaced during {update['n_live_calls']} calls: turns lost",
            f"{update['n_lost']} of {update['n_turns']:,}",
            f"{goals['n_lost_in_update']}",
        ),
        ("until all were replaced, s", f"{update['took_s']}", ""),
        ("a turn meanwhile, p95, ms", f"{update['turn_p95_ms']}", ""),
        ("the way to a stage apart and back, p50 (p95), ms", f"{apart['p50_ms']} ({apart['p95_ms']})", ""),
    ]
    title = f"Measured on {measured['date']}: {measured['machine']}"
    return Table(title, ("what", "measured", "goal"), rows)


def assumptions(given: Assumptions) -> Table:
    """Every figure that is not ours."""
    rows = [
        ("`--" + one.name.replace("_", "-") + "`", f"{getattr(given, one.name):,g}", one.metadata["help"])
        for one in fields(Assumptions)
    ]
    return Table("Figures that are not measured here", ("flag", "figure", "what, and from where"), rows, words=True)


def sources() -> Table:
    """Where the published figures are from."""
    rows = [(f"[{number}]", source) for number, source in SOURCES.items()]
    return Table("Published figures, read in stored copies in November 2026, not live", ("", "where"), rows, words=True)
