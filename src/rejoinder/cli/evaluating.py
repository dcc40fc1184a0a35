"""`rejoinder evaluate`: what it takes, and how it shows what was measured."""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rejoinder.cli.bars import Bars
from rejoinder.cli.commands import main, settings_of, shared_options
from rejoinder.cli.lists import list_of, number_of_callers
from rejoinder.cli.table import print_table

if TYPE_CHECKING:
    from rejoinder.domain import Domain
    from rejoinder.evaluate.run import Evaluation
    from rejoinder.evaluate.scores import Estimate, Heard, Scores
    from rejoinder.evaluate.sets import TestSet
    from rejoinder.evaluate.systems import System
    from rejoinder.evaluate.tasks import EvaluationOptions, Part
    from rejoinder.evaluate.thresholds import Failure, Threshold

PARTS = ("turns", "endpointing", "overlaps", "voice", "conversations", "latency")

UNDER = 4
"""The exit code when a threshold of `--fail-under` was not reached."""


def _part(text: str) -> str:
    if text not in PARTS:
        raise ValueError(f"'{text}' is no part of an evaluation")
    return text


@main.command(
    epilog="""\b
Examples:
  rejoinder evaluate my-shop                       all of it, and a report to look at
  rejoinder evaluate my-shop --compare base,instant,deep
  rejoinder evaluate my-shop --conditions clean,phone+noise10,loss5
  rejoinder evaluate my-shop --set calls/may.jsonl --out may
  rejoinder evaluate my-shop --text                the conversations in tests/*.yaml, typed: seconds
  rejoinder evaluate my-shop --fail-under understood=90 --fail-under latency.p95=800
  rejoinder evaluate --report may june             two runs side by side

\b
systems     base      the pretrained models, without the domain's words
            instant   with the domain's words, which is what a domain starts with
            deep      with the models that rejoinder adapt promoted
            or the id of an adapted model, see rejoinder adapt DOMAIN --status
conditions  clean, phone (8 kHz mu-law), reverb, noise10 (10 dB under the speech; any number),
            loss5 (5% of the packets; any number), fast, slow; several at once with +
parts       turns, endpointing, overlaps (interruptions), voice, conversations, latency
measures    understood, wer, cut_off, latency.p95, conversations, ...; a wrong one lists them all;
            noise10.understood=80 is of one condition, deep.noise10.understood=80 of one system, too

\b
The recordings are those of DOMAIN: recordings.jsonl and tests/*.jsonl in its folder, one line each:
  {"audio_filepath": "recordings/1.wav", "text": "what is said"}
  {"audio_filepath": "recordings/2.wav", "intent": "hours", "slots": {}}
  {"audio_filepath": "recordings/3.wav", "intent": null}            nothing that the domain covers
Without any, the voice, the conversations and interruptions are measured. Actions of the domain run
in conversations only. What was heard is kept only of turns that went wrong (or --keep-audio).

\b
Ctrl-C loses nothing: the same command goes on where it was.
Exit codes: 0 measured, 4 a threshold was not reached, 1 an error or something could not be measured,
130 Ctrl-C."""
)
@click.argument("folders", metavar="[DOMAIN]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--set", "listed", metavar="FILE", type=click.Path(path_type=Path), help="Recordings to measure on.")
@click.option(
    "--compare",
    metavar="SYSTEMS",
    callback=list_of(such_as="base,instant,deep"),
    help="Measure these, on the same recordings; without it, the assistant that callers meet.",
)
@click.option(
    "--conditions",
    metavar="NAMES",
    callback=list_of(such_as="clean,phone,noise10"),
    help="Hear the recordings through these; without it clean, phone, noise10, reverb, loss5.",
)
@click.option(
    "--noise", metavar="FOLDER", type=click.Path(path_type=Path), help="Take the noise from recordings, not generated."
)
@click.option(
    "--only", metavar="PARTS", callback=list_of(_part, such_as=",".join(PARTS)), help="Measure only these parts."
)
@click.option("--text", is_flag=True, help="Only the conversations, typed rather than spoken.")
@click.option("--no-latency", is_flag=True, help="Leave out waiting, which is measured at the pace of speech.")
@click.option(
    "--callers",
    metavar="NUMBERS",
    callback=list_of(number_of_callers, such_as="1,4"),
    help="Measure waiting with so many at once.",
)
@click.option("--repeat", metavar="N", type=click.IntRange(min=1), default=1, help="Play each conversation N times.")
@click.option("--fail-under", metavar="MEASURE=N", multiple=True, help="Exit with 4 unless it is reached; repeatable.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Where results go; else DOMAIN/build.")
@click.option("--keep-audio", is_flag=True, help="Keep what was heard in every turn, for the report.")
@click.option("--junit", metavar="FILE", type=click.Path(path_type=Path), help="Write the conversations as JUnit XML.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of tables.")
@click.option("--report", is_flag=True, help="Make the report of a finished run again, or of two side by side.")
@shared_options
@click.pass_context
def evaluate(ctx: click.Context, /, folders: tuple[Path, ...], **options: Any) -> None:
    """Measure the assistant of DOMAIN as callers meet it, stage by stage; write a report to look at."""
    from rejoinder.evaluate.thresholds import parse

    thresholds = [parse(text) for text in options["fail_under"]]
    if options["report"]:
        _report(ctx, folders, thresholds, options["out"])
        return
    if len(folders) != 1:
        raise click.UsageError("name one DOMAIN (two runs side by side: rejoinder evaluate --report RUN RUN)", ctx)
    try:
        _evaluate(ctx, folders[0], thresholds, options)
    except KeyboardInterrupt:
        command = shlex.join(["rejoinder", *sys.argv[1:]])
        click.echo(f"\nInterrupted. To go on from here, type:\n  {command}", err=True)
        ctx.exit(130)


def _evaluate(ctx: click.Context, folder: Path, thresholds: Sequence["Threshold"], options: dict[str, Any]) -> None:
    from rejoinder.domain import Domain
    from rejoinder.evaluate.run import evaluate as run_evaluation
    from rejoinder.evaluate.thresholds import resolve

    domain = Domain.load(folder)
    chosen = _options(ctx, options)
    systems = _systems(ctx, domain, options["compare"])
    for threshold in thresholds:  # before minutes are spent
        resolve(threshold, [system.name for system in systems], tuple(chosen.conditions))
    test_set = _recordings(domain, options["listed"], needed=chosen.parts)
    with Bars() as bars:
        done = run_evaluation(domain, systems, test_set, options=chosen, out=options["out"], progress=bars)
    if options["junit"] is not None:
        _write_junit(options["junit"], done.folder)
    failed = _failures(thresholds, done.scores)
    _finish(ctx, done, failed, as_json=options["as_json"])


def _options(ctx: click.Context, options: dict[str, Any]) -> "EvaluationOptions":
    from rejoinder.evaluate.tasks import CALLERS, CONDITIONS, EvaluationOptions, Part

    if options["text"] and options["only"]:
        raise click.UsageError("--text is --only conversations, typed: take one of them", ctx)
    parts = frozenset(Part(part) for part in options["only"] or PARTS)
    if options["text"]:
        parts = frozenset((Part.CONVERSATIONS,))
    if options["no_latency"]:
        parts -= {Part.LATENCY}
    return EvaluationOptions(
        conditions=options["conditions"] or CONDITIONS,
        parts=parts,
        callers=options["callers"] or CALLERS,
        repeat=options["repeat"],
        text_only=options["text"],
        noises=options["noise"],
        keep_audio=options["keep_audio"],
    )


def _systems(ctx: click.Context, domain: "Domain", names: Sequence[str] | None) -> Sequence["System"]:
    from rejoinder.assistant import AssistantOptions
    from rejoinder.evaluate.systems import default_system, systems

    options = AssistantOptions(device=settings_of(ctx).device)
    return systems(domain, names, options) if names else (default_system(domain, options),)


def _recordings(domain: "Domain", listed: Path | None, *, needed: frozenset["Part"]) -> "TestSet | None":
    """The recordings to measure on, where some are `needed`; says what to write where there are none."""
    from rejoinder.evaluate.sets import domain_tests, no_recordings, read_tests
    from rejoinder.evaluate.tasks import NEED_RECORDINGS, Part

    if listed is not None:
        return read_tests(listed, domain)
    if needed.isdisjoint(NEED_RECORDINGS | {Part.OVERLAPS}):
        return None
    found = domain_tests(domain)
    if found is None and (without := needed & NEED_RECORDINGS):
        click.echo(f"{no_recordings(domain)}\nWithout them, {', '.join(sorted(without))} cannot be measured.", err=True)
    return found


def _write_junit(path: Path, folder: Path) -> None:
    from rejoinder.evaluate import records
    from rejoinder.evaluate.junit import write_junit

    write_junit(path, list(records.read(folder, records.PLAYED, records.Played)))


def _failures(thresholds: Sequence["Threshold"], scores: "Scores") -> Sequence["Failure"]:
    from rejoinder.evaluate.thresholds import check

    return check(thresholds, scores)


def _report(ctx: click.Context, folders: Sequence[Path], thresholds: Sequence["Threshold"], out: Path | None) -> None:
    """Make the page of a run again, or one of two."""
    from rejoinder.evaluate.report import write_comparison, write_report
    from rejoinder.evaluate.scoring import read_scores

    if not 1 <= len(folders) <= 2:
        raise click.UsageError("--report takes the folder of a run, or of two to compare", ctx)
    if len(folders) == 1:
        page = write_report(folders[0])
    else:
        page = write_comparison(folders, (out or folders[1]) / "comparison.html")
    click.echo(f"The report is in {page}")
    failed = _failures(thresholds, read_scores(folders[-1])) if thresholds else ()
    _complain(failed)
    if failed:
        ctx.exit(UNDER)


def _finish(ctx: click.Context, done: "Evaluation", failed: Sequence["Failure"], *, as_json: bool) -> None:
    """Write the report, show the figures, and exit as they deserve."""
    from rejoinder.evaluate.report import write_report

    page, summary = write_report(done.folder), _write_summary(done, failed)
    if as_json:
        record = {
            "folder": str(done.folder),
            "report": str(page),
            "summary": str(summary),
            "failed": [str(failure) for failure in failed],
            "problems": list(done.run.problems),
            "scores": asdict(done.scores),
        }
        click.echo(json.dumps(record, ensure_ascii=False))
    else:
        _show(done)
        click.echo(f"\nThe report is in   {page}\nThe summary is in  {summary}")
    for problem in done.run.problems:
        click.echo(f"Not measured: {problem}", err=True)
    _complain(failed)
    if failed:
        ctx.exit(UNDER)
    if done.run.problems:
        ctx.exit(1)


def _write_summary(done: "Evaluation", failed: Sequence["Failure"]) -> Path:
    """Write the comment for a pull request beside the report."""
    from rejoinder.evaluate.attribution import attribute
    from rejoinder.evaluate.records import TURNS, Turn, read
    from rejoinder.evaluate.report import summary

    turns = attribute(read(done.folder, TURNS, Turn))
    path = done.folder / "summary.md"
    path.write_text(summary(done.run, done.scores, failures=failed, turns=turns), encoding="utf-8")
    return path


def _complain(failed: Sequence["Failure"]) -> None:
    for failure in failed:
        click.echo(f"Failed: {failure}", err=True)


def _show(done: "Evaluation") -> None:
    """What a person wants to see first."""
    from rejoinder.evaluate.report.figures import measured

    run, scores = done.run, done.scores
    again = ", some of it in an earlier process" if done.resumed else ""
    took = f"{run.minutes:.1f} minutes" if run.minutes >= 1 else f"{60 * run.minutes:.0f} s"
    title = f"{run.domain}: {measured(scores)} in {took}{again}"
    click.echo(f"\n{click.style(title, bold=True)}\n")
    rows = [
        (system, through, *_heard(heard))
        for system, conditions in scores.heard.items()
        for through, heard in conditions.items()
    ]
    if rows:
        columns = ("SYSTEM", "CONDITION", "UNDERSTOOD", "WORD ERRORS", "CUT OFF", "ENDED AFTER", "LOST BY")
        shown = [n for n, _ in enumerate(columns) if any(row[n] for row in rows)]  # a set may have no words
        print_table([[row[n] for n in shown] for row in (columns, *rows)])
        click.echo()
    for line in _others(scores):
        click.echo(line)


def _heard(heard: "Heard") -> tuple[str, ...]:
    taking = heard.turn_taking
    lost = ", ".join(f"{stage} {n}" for stage, n in heard.lost.items() if n)
    return (
        _percent(heard.understood, interval=True),
        _percent(heard.recognition.wer if heard.recognition else None, interval=True),
        _percent(taking.cut_off),
        f"{1000 * taking.delay_p50_s:.0f} ms",
        lost,
    )


def _others(scores: "Scores") -> Iterator[str]:
    """A line for each of the other parts."""
    for system, levels in scores.latency.items():
        for level in levels:
            callers = f"{level.n_callers} caller{'s' * (level.n_callers != 1)}"
            lost = f", {level.n_lost} not answered" if level.n_lost else ""
            yield (
                f"{system}: {callers} waited {level.p50_ms:.0f} ms, 95% at most {level.p95_ms:.0f} ms "
                f"({level.n} turns{lost})"
            )
    for system, voice in scores.voice.items():
        values = "".join(f", {kind} {_percent(right)} right" for kind, right in voice.values_right.items())
        yield f"{system}: its voice heard again has {_percent(voice.wer)} word errors{values}"
    for system, played in scores.conversations.items():
        flaky = f", {len(played.flaky)} of them only sometimes" if played.flaky else ""
        yield f"{system}: {played.n_ok} of {played.n} conversations went as they should{flaky}"
    for system, one in scores.behaviour.items():
        yield (
            f"{system}: {one.n_interruptions - one.n_missed} of {one.n_interruptions} interruptions stopped it, after "
            f"{one.stop_p50_ms:.0f} ms; {one.n_wrongly_stopped} of {one.n_backchannels} backchannels did, too"
        )


def _percent(estimate: "Estimate | None", *, interval: bool = False) -> str:
    if estimate is None:
        return ""
    shown = f"{100 * estimate.value:.1f}%"
    return f"{shown} ({100 * estimate.low:.0f}–{100 * estimate.high:.0f})" if interval else shown
