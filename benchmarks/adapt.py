"""Every stage adapted and measured before and after: `make bench-adapt`, or `python -m benchmarks.adapt --help`.

Each part writes its figures as soon as it has them, and keeps those of the others: a run can be taken part by part, and
one that was killed goes on with `--missing`. All of them together take more than an hour on two cores.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from rejoinder.progress import Progress

RESULTS = Path(__file__).parent / "adapt.json"

Figures = dict[str, Any]
Part = Callable[[Path, Progress], Figures]


def parts() -> Mapping[str, Part]:
    """What can be measured, by name; each is given a folder for its work."""
    from benchmarks import intents, knowledge, recognizers, voices

    return {
        "cafe": recognizers.cafe,
        "pharmacy": recognizers.pharmacy,
        "an4": recognizers.an4,
        "clinc150": intents.clinc150,
        "banking77": intents.banking77,
        "word_errors": intents.word_errors,
        "xquad": knowledge.xquad,
        "voice": voices.voice,
    }


def main() -> None:
    """Run the parts asked for, print one table, write the JSON."""
    known = parts()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which parts (default: all): {', '.join(known)}")
    parser.add_argument("--missing", action="store_true", help="only the parts that have no figures yet")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where to write the JSON (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="keep the work here, where a part that was killed goes on")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.parts) - set(known)):
        parser.error(f"unknown part '{unknown[0]}' (known: {', '.join(known)})")
    results: Figures = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    done = results.setdefault("parts", {}) if arguments.missing else {}
    for name in arguments.parts or known:
        if name not in done:
            started, started_cpu = time.monotonic(), time.process_time()
            results = merged(results, measured(name, known[name], arguments.work))
            results["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
            results.setdefault("parts", {})[name] = {
                "date": date.today().isoformat(),
                "minutes": round((time.monotonic() - started) / 60, 1),
                "cpu_minutes": round((time.process_time() - started_cpu) / 60, 1),  # what other work does not lengthen
            }
            arguments.out.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show(results)
    print(f"written to {arguments.out}")


def measured(name: str, part: Part, work: Path | None) -> Figures:
    """The figures of one part, made in a folder that is gone afterwards unless `work` is given.

    The cache is there, too: what an earlier part had spoken and heard would make the minutes too few.
    """
    with tempfile.TemporaryDirectory(prefix=f"rejoinder-{name}-") as scratch, _shown(name) as progress:
        folder = work / name if work else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["REJOINDER_CACHE"] = str(folder / "cache")
        return part(folder, progress)


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Figures:
    """Both, the new figure where there are two; mappings of the same name are merged as well."""
    both = dict(old) | dict(new)
    for name in old.keys() & new.keys():
        if isinstance(old[name], Mapping) and isinstance(new[name], Mapping):
            both[name] = merged(old[name], new[name])
    return both


@contextmanager
def _shown(name: str) -> Iterator[Progress]:
    """Progress bars, one a task, under the part's name."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def progress(task: str, n_done: int, n_total: int, note: str = "") -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(f"{name}: {task}", note="")
            bars.update(tasks[task], completed=n_done, total=n_total, note=note)

        yield progress


def rows(results: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every figure with the way to it."""
    for name, value in results.items():
        if isinstance(value, Mapping):
            yield from rows(value, f"{prefix}{name} ")
        elif isinstance(value, float) and not name.endswith("minutes"):
            yield f"{prefix}{name}", f"{value:.4f}"
        else:
            yield f"{prefix}{name}", str(value)


def show(results: Mapping[str, Any]) -> None:
    """One table a person can read."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "figure", title="Adaptation, before and after")
    for row in rows({name: value for name, value in results.items() if name != "parts"}):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
