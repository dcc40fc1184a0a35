"""The commands and the options that they share."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rejoinder import __version__
from rejoinder.cli.table import print_table
from rejoinder.errors import DomainError, RejoinderError
from rejoinder.models import DEVICES

if TYPE_CHECKING:
    from rejoinder.assistant import Assistant

SECTIONS = {
    "See it work": ("demo",),
    "Your domain": ("init", "check", "ask", "talk", "adapt"),
    "Measure it": ("evaluate", "loadtest"),
    "Serve it": ("serve", "deploy", "review"),
    "This machine": ("models", "doctor", "bench"),
}
"""The order of the commands in the help: that in which a newcomer needs them."""


@dataclass(slots=True)
class Settings:
    """The options that every command takes."""

    device: str = "auto"
    verbose: bool = False


def settings_of(ctx: click.Context) -> Settings:
    return ctx.find_root().ensure_object(Settings)


class Commands(click.Group):
    """The group of all commands: lists them by section and turns errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; exit 1 with a clear line on an error, 130 on Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None
        except (RejoinderError, OSError) as error:
            if settings_of(ctx).verbose or isinstance(error, BrokenPipeError):  # click sees to the latter
                raise
            message = str(error)
            if isinstance(error, OSError) and error.strerror:
                message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
            raise click.ClickException(message) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands by section."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(90)) for name in names])


class AskCommand(click.Command):
    """`ask`, whose `--audio` takes as many files as follow it, as a shell's `*.wav` leaves them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write `--audio a b` as `--audio a --audio b` before parsing."""
        return super().parse_args(ctx, list(_spread("--audio", args)))


def _spread(option: str, args: Sequence[str]) -> Iterator[str]:
    """Repeat a many-valued option before each of its values."""
    taking = False
    for n, arg in enumerate(args, 1):
        if arg == option:
            if n == len(args) or args[n].startswith("-"):
                raise click.BadOptionUsage(option, f"option '{option}' needs at least one file")
            taking = True
        elif taking and not arg.startswith("-"):
            yield from (option, arg)
        else:
            taking = False
            yield arg


Decorated = TypeVar("Decorated", bound=Callable[..., object])
Item = TypeVar("Item")


def shared_options(function: Decorated) -> Decorated:
    """Let a command take `--device` and `-v`, which may stand before its name as well."""

    def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            setattr(settings_of(ctx), str(param.name), value)

    device = click.option(
        "--device", type=click.Choice(DEVICES), callback=remember, expose_value=False, help="Where the models run."
    )
    verbose = click.option(
        "-v", "--verbose", is_flag=True, callback=remember, expose_value=False, help="Log, and show stack traces."
    )
    return device(verbose(function))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rejoinder")
@shared_options
def main() -> None:
    """Teach a voice assistant your business; it answers in milliseconds, on this machine alone.

    \b
    rejoinder demo                              hear it answer real customers
    rejoinder init my-shop                      begin a domain of your own
    rejoinder check my-shop                     file, line, what is wrong
    rejoinder ask my-shop "are you open today"  ask it something
    rejoinder talk my-shop                      speak with it
    rejoinder evaluate my-shop                  what it understands, how fast, and a report
    rejoinder serve my-shop                     for programs that speak OpenAI's protocols
    """


@main.command(epilog="\b\nExample:\n  rejoinder init my-shop")
@click.argument("folder", type=click.Path(path_type=Path))
@shared_options
def init(folder: Path) -> None:
    """Write a small working domain into FOLDER, for you to change."""
    from rejoinder.domain.scaffold import create

    for path in create(folder):
        click.echo(f"wrote {path}")
    click.echo(f'\nNext:\n  rejoinder check {folder}\n  rejoinder ask {folder} "what are your opening hours"')


@main.command(epilog="\b\nExample:\n  rejoinder check my-shop")
@click.argument("folder", metavar="DOMAIN", type=click.Path(path_type=Path))
@shared_options
@click.pass_context
def check(ctx: click.Context, folder: Path) -> None:
    """Validate the domain in folder DOMAIN: file, line, what is wrong, the choices."""
    from rejoinder.domain import Domain
    from rejoinder.evaluate.conversation import domain_conversations
    from rejoinder.tts.lexicon import compile_lexicon

    try:
        domain = Domain.load(folder)
        compile_lexicon(domain.terms)
        conversations = domain_conversations(domain)
    except DomainError as error:
        click.echo(str(error), err=True)  # as compilers print it, for editors that jump to file:line
        ctx.exit(1)
    counts = {
        "term": len(domain.terms),
        "slot": len(domain.slots),
        "intent": len(domain.intents),
        "pattern": sum(len(intent.patterns) for intent in domain.intents.values()),
        "example": sum(len(intent.examples) for intent in domain.intents.values()),
        "passage": len(domain.passages),
        "conversation": len(conversations),
    }
    click.echo(f"{folder}: all right")
    print_table([(f"{count:>8}", f"{noun}{'s' * (count != 1)}") for noun, count in counts.items()])


@main.command(
    cls=AskCommand,
    epilog="""\b
Examples:
  rejoinder ask my-shop "are you open on sundays"
  rejoinder ask my-shop --audio question.wav --out replies
  rejoinder ask my-shop --audio recordings/*.wav --json > answers.jsonl
  rejoinder ask my-shop --conversation "a latte please" "make it large" "yes"

Each question or file is a conversation of its own, unless you say --conversation. The exit code is 1
when one of them could not be answered; the others still are.""",
)
@click.argument("folder", metavar="DOMAIN", type=click.Path(path_type=Path))
@click.argument("questions", metavar="[QUESTION]...", nargs=-1)
@click.option("--audio", "files", metavar="FILE...", multiple=True, help="Recordings to answer: WAV, FLAC, OGG or MP3.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each question or file.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Write the spoken replies into DIR.")
@click.option("--conversation", "together", is_flag=True, help="Take all of them as the turns of one conversation.")
@click.option("--no-bias", is_flag=True, help="Recognize without the domain's words, to see what they are worth.")
@shared_options
@click.pass_context
def ask(
    ctx: click.Context,
    folder: Path,
    questions: tuple[str, ...],
    files: tuple[str, ...],
    *,
    as_json: bool,
    out: Path | None,
    together: bool,
    no_bias: bool,
) -> None:
    """Ask the assistant of DOMAIN, in writing or with recordings."""
    from rejoinder.cli import answers

    asked = [*(answers.Question(text=text) for text in questions), *(answers.Question(file=file) for file in files)]
    if not asked:
        raise click.UsageError(f'nothing to ask; type: rejoinder ask {folder} "your question", or --audio FILE', ctx)
    if out is not None:
        if out.suffix in answers.AUDIO_ENDINGS and len(asked) > 1:
            raise click.UsageError(f"--out {out}: one file for {len(asked)} replies; name a folder", ctx)
        answers.make_folder(out)
    assistant = _load(ctx, folder, bias=not no_bias)
    n_failed = 0
    answered = answers.answer_all(assistant, asked, out=out, together=together)
    for n, answer in enumerate(_counted(answered, len(asked))):
        if as_json:
            click.echo(json.dumps(answers.as_record(answer), ensure_ascii=False))
        elif answer.reply is not None:
            click.echo(("\n" if n else "") + answers.as_text(answer))
        if answer.error is not None:
            n_failed += 1
            click.echo(f"Error: {answer.error}", err=True)
    if n_failed:
        ctx.exit(1)


@main.command(epilog="\b\nExamples:\n  rejoinder talk my-shop\n  rejoinder talk my-shop --loudspeaker")
@click.argument("folder", metavar="DOMAIN", type=click.Path(path_type=Path))
@click.option(
    "--loudspeaker", is_flag=True, help="Without headphones: do not listen during a reply, so it cannot hear itself."
)
@shared_options
@click.pass_context
def talk(ctx: click.Context, folder: Path, *, loudspeaker: bool) -> None:
    """Speak with the assistant of DOMAIN by microphone; interrupt it as you like. Ctrl-C ends it."""
    from rejoinder.talk import open_sounddevice, talk_by_microphone

    device = open_sounddevice()
    assistant = _load(ctx, folder)
    assistant.warm()
    talk_by_microphone(assistant, device, listen_while_speaking=not loudspeaker)


@main.command(epilog="\b\nExample:\n  rejoinder demo --out replies")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Where the spoken replies go.")
@shared_options
@click.pass_context
def demo(ctx: click.Context, out: Path | None) -> None:
    """Let the assistant of the example cafe hear and answer recorded customers."""
    from rejoinder.cli import demo as show

    cafe = show.find_cafe()
    show.run(_load(ctx, cafe), cafe, out)


@main.group(
    invoke_without_command=True,
    epilog="\b\nExamples:\n  rejoinder models\n  rejoinder models fetch hf:UsefulSensors/moonshine-tiny",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each model.")
@shared_options
@click.pass_context
def models(ctx: click.Context, *, as_json: bool) -> None:
    """List the pretrained models: role, size, licence, whether each is here."""
    if ctx.invoked_subcommand is not None:
        return
    from rejoinder.model_table import MODELS
    from rejoinder.models import check_installed

    rows = [("NAME", "ROLE", "SIZE", "LICENCE", "HERE", "WHAT IT IS")]
    for model in MODELS.values():
        try:
            check_installed(model)
            problem = None
        except RejoinderError as error:
            problem = str(error)
        if as_json:
            record = {**asdict(model), "n_bytes": model.n_bytes, "present": problem is None, "problem": problem}
            click.echo(json.dumps(record, ensure_ascii=False))
        here = "yes" if problem is None else f"no: {model.install_command}"
        rows.append((model.name, model.role, f"{model.n_bytes / 1e6:.0f} MB", model.licence, here, model.note))
    if not as_json:
        print_table(rows)


@models.command(epilog="\b\nExample:\n  rejoinder models fetch hf:UsefulSensors/moonshine-tiny")
@click.argument("name")
def fetch(name: str) -> None:
    """Download the model hf:OWNER/REPOSITORY into this machine's cache; the only command that downloads."""
    from rejoinder.models import fetch as fetch_model

    with _progress(f"fetching {name}"):
        folder = fetch_model(name)
    click.echo(folder)


@main.command(epilog="\b\nExamples:\n  rejoinder doctor\n  rejoinder doctor my-shop")
@click.argument("folder", metavar="[DOMAIN]", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each finding.")
@shared_options
@click.pass_context
def doctor(ctx: click.Context, folder: Path | None, *, as_json: bool) -> None:
    """Look at this machine: what is installed, which device, is everything needed here?"""
    from rejoinder.doctor import Status, examine
    from rejoinder.domain import Domain

    domain = Domain.load(folder) if folder else None
    findings = examine(device=settings_of(ctx).device, domain=domain)
    if as_json:
        for finding in findings:
            click.echo(json.dumps(asdict(finding), ensure_ascii=False))
    else:
        print_table(
            [(finding.status, finding.name, _with_remedy(finding.detail, finding.remedy)) for finding in findings]
        )
    if any(finding.status is Status.FAILED for finding in findings):
        ctx.exit(1)


def _with_remedy(detail: str, remedy: str | None) -> str:
    return f"{detail}; {remedy}" if remedy and remedy not in detail else detail


@main.command(context_settings={"ignore_unknown_options": True}, epilog="\b\nExample:\n  rejoinder bench")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def bench(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Measure latency, speed, memory and accuracy; needs the source checkout."""
    import subprocess

    from rejoinder.cli.demo import find_checkout

    command = [sys.executable, "-m", "benchmarks.run", *arguments]
    ctx.exit(subprocess.run(command, cwd=find_checkout("benchmarks"), check=False).returncode)


def _load(ctx: click.Context, folder: Path, *, bias: bool = True) -> "Assistant":
    from rejoinder.assistant import Assistant, AssistantOptions

    settings = settings_of(ctx)
    if settings.verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("rejoinder").setLevel(logging.DEBUG)
    with _progress("loading the models"):
        return Assistant.load(folder, options=AssistantOptions(device=settings.device, bias=bias))


def _counted(items: Iterator[Item], n_items: int) -> Iterator[Item]:
    """Count on stderr how far it is, if a person is watching and the answers go elsewhere."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, "answering", n_items, console=Console(stderr=True), transient=True)


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """Show on stderr that something is going on, if a person is watching."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
