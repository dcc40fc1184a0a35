"""`rejoinder loadtest`: what it takes, and how it shows what was measured."""

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rejoinder.cli.bars import Bars
from rejoinder.cli.commands import main, settings_of, shared_options
from rejoinder.cli.lists import list_of, number_of_callers
from rejoinder.cli.table import print_table

if TYPE_CHECKING:
    from rejoinder.evaluate.loadtest import Level


@main.command(
    epilog="""\b
Examples:
  rejoinder loadtest my-shop                       how many callers at once, by trying
  rejoinder loadtest my-shop --callers 1,2,4,8
  rejoinder loadtest my-shop --bound-ms 500 --seconds 120

\b
Callers speak the domain's recordings (or those of --set) one after the other at the pace of speech,
in one process as a server has it, and wait from their last sound to the reply's first. Without
--callers their number doubles until 95% of the turns are not answered within the bound any more; then
the largest number for which they are is looked for. The machine should have nothing else to do.
Actions of the domain do not run."""
)
@click.argument("folder", metavar="DOMAIN", type=click.Path(path_type=Path))
@click.option("--set", "listed", metavar="FILE", type=click.Path(path_type=Path), help="Recordings that callers speak.")
@click.option(
    "--callers",
    metavar="NUMBERS",
    callback=list_of(number_of_callers, such_as="1,2,4,8"),
    help="Try these numbers only.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="How long each number is tried."
)
@click.option("--bound-ms", type=click.FloatRange(min=1), default=800.0, show_default=True, help="The longest wait.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each number of callers.")
@shared_options
@click.pass_context
def loadtest(
    ctx: click.Context,
    folder: Path,
    *,
    listed: Path | None,
    callers: tuple[int, ...],
    seconds: float,
    bound_ms: float,
    as_json: bool,
) -> None:
    """Find how many callers at once the assistant of DOMAIN answers in time on this machine."""
    from rejoinder.assistant import Assistant, AssistantOptions
    from rejoinder.domain import Domain
    from rejoinder.errors import ManifestError
    from rejoinder.evaluate.loadtest import largest, measure, most_within
    from rejoinder.evaluate.rehearsal import rehearsed
    from rejoinder.evaluate.sets import domain_tests, no_recordings, read_tests
    from rejoinder.evaluate.systems import default_system
    from rejoinder.evaluate.turntaking import Call

    domain = Domain.load(folder)
    tests = read_tests(listed, domain) if listed is not None else domain_tests(domain)
    if tests is None:
        raise ManifestError(no_recordings(domain))
    system = default_system(domain, AssistantOptions(device=settings_of(ctx).device))
    calls = [
        (name, Call.of(one.load()).without_lead()) for name, one in zip(tests.names, tests.recordings, strict=True)
    ]
    with closing(rehearsed(Assistant.load(folder, options=system.options))) as assistant, Bars() as bars:

        def at(n_callers: int) -> "Level":
            return measure(assistant, calls, n_callers, system=system.name, seconds=seconds, progress=bars)

        levels = tuple(map(at, sorted(callers))) if callers else largest(at, bound_s=bound_ms / 1000)
    if as_json:
        for level in levels:
            click.echo(json.dumps(_figures(level), ensure_ascii=False))
        return
    columns = ("CALLERS", "TURNS", "P50", "P95", "P99", "AFTER DECISION", "DRAFTS", "CUT OFF", "LOST", "LOOP LAG")
    print_table([columns, *map(_row, levels)])
    most = most_within(levels, bound_ms / 1000)
    click.echo(
        f"\nUp to {most} caller{'s' * (most != 1)} at once: 95% of the turns are answered within {bound_ms:.0f} ms"
        if most
        else f"\nNot even one caller is answered within {bound_ms:.0f} ms in 95% of the turns"
    )


def _figures(level: "Level") -> dict[str, float | int | None]:
    """A level for programs; None for a wait that has no end."""
    return {
        "n_callers": level.n_callers,
        "n": len(level.waits),
        **{f"p{percent}_ms": _finite(1000 * level.wait_s(percent)) for percent in (50, 95, 99)},
        "first_audio_p50_ms": _finite(1000 * level.first_audio_s(50)),
        "draft_hits": round(level.draft_hits, 4),
        "cut_off": round(level.cut_off, 4),
        "n_lost": level.n_lost,
        "loop_lag_ms": round(1000 * level.loop_lag_s, 1),
    }


def _finite(value: float) -> float | None:
    return round(value, 1) if value < float("inf") else None


def _row(level: "Level") -> tuple[str, ...]:
    figures = _figures(level)

    def ms(name: str) -> str:
        value = figures[name]
        return f"{value:.0f} ms" if value is not None else "never"

    return (
        str(level.n_callers),
        str(len(level.waits)),
        *(ms(name) for name in ("p50_ms", "p95_ms", "p99_ms", "first_audio_p50_ms")),
        f"{level.draft_hits:.0%}",
        f"{level.cut_off:.0%}",
        str(level.n_lost),
        ms("loop_lag_ms"),
    )
