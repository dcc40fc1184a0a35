"""`rejoinder adapt`: what it takes, and how it shows what came of it."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from rejoinder.cli.adapting_on_ray import OPTIONS as ON_RAY
from rejoinder.cli.adapting_on_ray import adapt_on_ray, ray_options
from rejoinder.cli.bars import Bars
from rejoinder.cli.commands import main, settings_of, shared_options
from rejoinder.cli.table import print_table
from rejoinder.errors import AdaptError

if TYPE_CHECKING:
    from rejoinder.adapt.plan import AdaptOptions
    from rejoinder.adapt.run import Outcome
    from rejoinder.build import Card, Stage

STAGES = ("asr", "nlu", "reader", "voice")

_DEEP = (
    *("manifest", "canary", "questions", "base", "lora", "epochs", "recipe", "seed", "voice_data", "consent"),
    *("keep_work", "ray", *ON_RAY),
)
"""Options that the instant tier does not take."""

KEPT_ASIDE = 3
"""The exit code when a model was made and measured, and not promoted."""


@main.command(
    epilog="""\b
Examples:
  rejoinder adapt my-shop                          seconds: lexicon, intents, pronunciations
  rejoinder adapt my-shop --deep                   minutes: fine-tune what can be
  rejoinder adapt my-shop asr --deep --manifest calls/train.jsonl
  rejoinder adapt my-shop voice --deep --voice-data anna --consent "Anna agreed on 1 May 2026"
  rejoinder adapt my-shop --status                 what was made, and which models are in use
  rejoinder adapt my-shop asr --rollback           the recognizer before this one
  rejoinder adapt shop bank --deep --ray --address auto --workers 4
  rejoinder adapt my-shop asr --deep --ray --tune 8

\b
asr     the recognizer: the domain's sentences are spoken by every voice there is, and recordings
        are mixed in where you have some (--manifest); no recordings are needed to begin
nlu     intents and slots, learned on what the recognizer makes of spoken sentences
reader  answers cut out of the knowledge, learned from questions to it (questions.json in DOMAIN)
voice   the voice of a speaker who agreed to it, from about ten minutes of recordings (--voice-data)

\b
A model is promoted when it is better on the domain's test set (recordings.jsonl and tests/*.jsonl in
its folder, else sentences that were not trained on) and hardly worse on general speech; else it is
kept aside. Ctrl-C loses nothing: the same command goes on where it was.
Exit codes: 0 promoted, 3 measured and kept aside, 1 an error, 130 Ctrl-C."""
)
@click.argument("named", metavar="DOMAIN [asr|nlu|reader|voice]...", nargs=-1, required=True)
@click.option(
    "--instant/--deep", "instant", default=True, help="Fit without PyTorch (the default), or fine-tune the models."
)
@click.option(
    "--manifest",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Recordings to learn from, as NeMo's JSONL; may be given several times.",
)
@click.option(
    "--canary",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Recordings of general speech that must not get worse, as --manifest, beside the sentences that ship.",
)
@click.option(
    "--questions",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="reader: questions in SQuAD's format; without it, questions.json in DOMAIN.",
)
@click.option("--base", metavar="MODEL", help="What to start from: a name (rejoinder models) or hf:… or file:…")
@click.option("--lora", is_flag=True, help="asr: tune low-rank additions (LoRA) rather than all weights.")
@click.option("--epochs", metavar="N", type=click.IntRange(min=1), help="Times that training goes through its data.")
@click.option("--recipe", metavar="NAME=VALUE", multiple=True, help="Any other setting; a wrong name lists them all.")
@click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Another one gives another model.")
@click.option(
    "--voice-data",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="voice: the speaker's recordings, a manifest or in LJSpeech's format.",
)
@click.option("--consent", metavar="TEXT", help="voice: how and when the speaker agreed; it is kept with the model.")
@click.option("--status", is_flag=True, help="List the models that were made, and which are in use.")
@click.option("--rollback", is_flag=True, help="Go back to the model that was in use before.")
@click.option("--keep-work", is_flag=True, help="Keep checkpoints after the end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each model.")
@ray_options
@shared_options
@click.pass_context
def adapt(ctx: click.Context, /, named: tuple[str, ...], **options: Any) -> None:
    """Adapt the models to DOMAIN; what is better is used, what is not is kept aside. With --ray, to several DOMAINs."""
    from rejoinder.build import Stage
    from rejoinder.domain import Domain

    as_json: bool = options["as_json"]
    folders, stages = _told_apart(ctx, named, several=options["ray"])
    chosen = tuple(Stage(stage) for stage in stages)
    if options["ray"] and not (options["status"] or options["rollback"] or options["instant"]):
        _fine_tune_on_ray(ctx, folders, chosen, options)
        return
    if given := [f"--{name}" for name in ON_RAY if _is_given(ctx, name) and not options["ray"]]:
        raise click.UsageError(f"{', '.join(given)}: goes with --ray", ctx)
    (folder,) = folders
    domain = Domain.load(folder)
    if options["status"]:
        _show_status(domain.folder, chosen or tuple(Stage), as_json=as_json)
    elif options["rollback"]:
        _roll_back(domain.folder, chosen)
    elif options["instant"]:
        if given := [f"--{name.replace('_', '-')}" for name in _DEEP if _is_given(ctx, name)]:
            raise click.UsageError(f"{', '.join(given)}: only fine-tuning takes this; add --deep", ctx)
        _fit(ctx, folder)
    else:
        _fine_tune(ctx, domain, chosen, options)


def _told_apart(ctx: click.Context, named: Sequence[str], *, several: bool) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The domains and the stages of a command line: the first word is a domain, whatever its name."""
    stages = tuple(word for word in named[1:] if word in STAGES)
    others = [word for word in named[1:] if word not in STAGES]
    for word in others:
        if not Path(word).is_dir():
            choices = ", ".join(f"'{stage}'" for stage in STAGES)
            raise click.UsageError(f"'{word}' is not one of {choices}, and no folder of a domain", ctx)
    if others and not several:
        raise click.UsageError("several domains are adapted side by side by Ray; add --deep --ray", ctx)
    return (Path(named[0]), *map(Path, others)), stages


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _show_status(folder: Path, stages: Sequence["Stage"], *, as_json: bool) -> None:
    """A row for each model that was made, and what was interrupted."""
    from rejoinder import build

    rows = [("STAGE", "MODEL", "STATE", "MEASURED", "TUNED FROM", "MINUTES")]
    for stage in stages:
        current = build.promoted_id(folder, stage)
        for card in build.cards(folder, stage):
            state = _state(card, current)
            if as_json:
                click.echo(json.dumps({**asdict(card), "state": state}, ensure_ascii=False))
            rows.append((stage, card.id, state, _goal(card), card.base, f"{card.minutes:.1f}"))
        for work in build.interrupted(folder, stage):
            if as_json:
                click.echo(json.dumps({"stage": stage, "state": "interrupted", "folder": str(work)}))
            rows.append((stage, work.name, "interrupted", "the command that began it goes on", "", ""))
    if as_json:
        return
    if len(rows) == 1:
        click.echo(f"{folder}: no model was adapted yet; type: rejoinder adapt {folder} --deep")
    else:
        print_table(rows)


def _state(card: "Card", current: str | None) -> str:
    if card.id == current:
        return "in use"
    return "not in use" if card.verdict == "promoted" else card.verdict


def _goal(card: "Card") -> str:
    """Before and after of the measure that had to get better."""
    from rejoinder.adapt.gate import BOUNDS

    goal = BOUNDS[card.stage][0]
    if goal.name not in card.before or goal.name not in card.after:
        return ""
    return f"{goal.label} {goal.show(card.before[goal.name])} → {goal.show(card.after[goal.name])}"


def _roll_back(folder: Path, stages: Sequence["Stage"]) -> None:
    """Go back in the stages that are named, or in the only one that there is to go back in."""
    from rejoinder import build

    if not stages:
        stages = tuple(stage for stage in build.Stage if build.promoted_id(folder, stage) is not None)
        if not stages:
            raise AdaptError(f"{folder}: no adapted model is in use; the assistant opens the base models already")
        if len(stages) > 1:
            raise AdaptError(
                f"{folder}: several stages have an adapted model in use; say which: "
                + " or ".join(f"rejoinder adapt {folder} {stage} --rollback" for stage in stages)
            )
    for stage in stages:
        card = build.rollback(folder, stage)
        now = f"{card.id} is in use again" if card else "the base model is in use again"
        click.echo(f"{stage}: {now}")


def _fit(ctx: click.Context, folder: Path) -> None:
    """The instant tier: what loading an assistant does anyway, done ahead and kept in the cache."""
    from rejoinder.adapt.instant import fit

    with Bars() as bars:
        fitted = fit(folder, device=settings_of(ctx).device, progress=bars)
    for line in fitted:
        click.echo(line)
    click.echo(f"\nFor more, fine-tune the models:\n  rejoinder adapt {folder} --deep")


def _fine_tune(ctx: click.Context, domain: Any, stages: tuple["Stage", ...], options: Mapping[str, Any]) -> None:
    """The deep tier, one stage after the other; what is promoted serves the next."""
    from rejoinder.errors import require_extra

    require_extra("train", "torch")
    from rejoinder.adapt.plan import default_stages, plan
    from rejoinder.adapt.run import adapt as run_adaptation

    stages = stages or default_stages(domain, voice=options["voice_data"] is not None)
    chosen = _chosen(ctx, options)
    adaptations = [plan(domain, stage, chosen, among=stages) for stage in stages]
    aside = False
    try:
        for adaptation in adaptations:
            with Bars() as bars:
                outcome = run_adaptation(adaptation, keep_work=options["keep_work"], progress=bars)
            aside |= not outcome.promoted
            _show(outcome, domain.folder, as_json=options["as_json"])
    except KeyboardInterrupt:
        _interrupted(ctx)
    if aside:
        ctx.exit(KEPT_ASIDE)


def _fine_tune_on_ray(
    ctx: click.Context, folders: Sequence[Path], stages: tuple["Stage", ...], options: Mapping[str, Any]
) -> None:
    """The deep tier on a cluster, of several domains side by side."""
    from rejoinder.errors import require_extra

    require_extra("train", "torch")
    chosen = _chosen(ctx, options)
    try:
        aside, errors = adapt_on_ray(
            folders, stages, chosen, options, show=partial(_show, as_json=options["as_json"], named=len(folders) > 1)
        )
    except KeyboardInterrupt:
        _interrupted(ctx)
    for name, error in errors.items():
        click.echo(f"Error: {name}: {error}", err=True)
    if errors or aside:
        ctx.exit(1 if errors else KEPT_ASIDE)


def _chosen(ctx: click.Context, options: Mapping[str, Any]) -> "AdaptOptions":
    """What was asked for; with --ray by absolute paths, for Ray's processes run in folders of their own."""
    from rejoinder.adapt.plan import AdaptOptions

    def placed(path: Path) -> Path:
        return path.resolve() if options["ray"] else path

    base: str | None = options["base"]
    if options["ray"] and base is not None and base.startswith("file:"):
        base = f"file:{Path(base.removeprefix('file:')).resolve()}"
    return AdaptOptions(
        base=base,
        manifests=tuple(map(placed, options["manifest"])),
        canaries=tuple(map(placed, options["canary"])),
        questions=tuple(map(placed, options["questions"])),
        lora=options["lora"],
        n_epochs=options["epochs"],
        settings=_pairs(ctx, options["recipe"]),
        seed=options["seed"],
        device=settings_of(ctx).device,
        voice_data=options["voice_data"] and placed(options["voice_data"]),
        consent=options["consent"],
    )


def _interrupted(ctx: click.Context) -> NoReturn:
    """Say how to go on, and end."""
    command = shlex.join(["rejoinder", *sys.argv[1:]])
    click.echo(f"\nInterrupted: nothing was promoted. To go on from here, type:\n  {command}", err=True)
    ctx.exit(130)


def _pairs(ctx: click.Context, settings: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(
                f"--recipe {setting}: write NAME=VALUE, for example --recipe learning_rate=5e-5", ctx
            )
        pairs[name.strip()] = value.strip()
    return pairs


def _show(outcome: "Outcome", folder: Path, *, as_json: bool, named: bool = False) -> None:
    """What was measured before and after, the verdict, where the model is and how to go back."""
    card = outcome.card
    if as_json:
        click.echo(json.dumps({**asdict(card), "folder": str(outcome.folder)}, ensure_ascii=False))
        return
    took = f"{card.minutes:.1f} minutes" + (", some of them in an earlier run" if outcome.resumed else "")
    title = f"{f'{folder.name}: ' if named else ''}{card.stage}, tuned from {card.base} in {took}"
    click.echo(f"\n{click.style(title, bold=True)}\n")
    print_table([("MEASURE", "BEFORE", "AFTER", "BOUND"), *_measures(card)])
    click.echo(f"\n{card.verdict.capitalize()}: {card.reason}")
    click.echo(f"It is in {outcome.folder}")
    if outcome.promoted:
        click.echo(f"To go back, type: rejoinder adapt {folder} {card.stage} --rollback")


def _measures(card: "Card") -> Iterator[tuple[str, str, str, str]]:
    """The measures with a bound, then the others."""
    from rejoinder.adapt.gate import BOUNDS, Bound

    bounds = {bound.name: bound for bound in BOUNDS[card.stage]}
    for name in sorted(card.after, key=lambda name: name not in bounds):
        bound = bounds.get(name) or Bound(name=name, label=name.replace("_", " "), worse_by=1.0)
        before = bound.show(card.before[name]) if name in card.before else ""
        yield bound.label, before, bound.show(card.after[name]), bound.describe() if name in bounds else ""
