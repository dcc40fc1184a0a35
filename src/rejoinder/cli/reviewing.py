"""`rejoinder review`: what it takes, and how it shows the turns that are worth a look."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rejoinder.cli.commands import main, shared_options
from rejoinder.cli.table import print_table
from rejoinder.errors import SettingsError, require_extra

if TYPE_CHECKING:
    from rejoinder.domain import Domain
    from rejoinder.serve.store.database import Store
    from rejoinder.serve.store.turns import Verdict

_PATH = click.Path(path_type=Path)

_WIDTH = 48  # characters of a text in the table


@main.command(
    epilog="""\b
Examples:
  rejoinder review my-shop --store sqlite:///calls.db           the turns that were least sure
  rejoinder review my-shop --fine 17
  rejoinder review my-shop --correct 17 --intent hours --text "do you shut on sundays"
  rejoinder review my-shop --out-of-scope 18
  rejoinder review my-shop --forget call_5f0c1b2a9d3e4f60       a whole call, and what was learned of it

\b
The store is that of rejoinder serve: --store, the file of --config, or REJOINDER_STORE. Corrections are
written to corrections.jsonl in DOMAIN, where rejoinder adapt learns from them; recordings, if they were
kept, to corrections/manifest.jsonl. A running server shows the same turns at /review."""
)
@click.argument("folder", metavar="DOMAIN", type=_PATH)
@click.option("--store", metavar="URL", help="The database, as the server has it: sqlite:///calls.db")
@click.option("--config", metavar="FILE", type=_PATH, help="The server's YAML file with settings.")
@click.option("--fine", metavar="TURN", type=int, help="It was understood as it should be.")
@click.option("--correct", metavar="TURN", type=int, help="It should have been taken for --intent.")
@click.option("--out-of-scope", metavar="TURN", type=int, help="No intent of the domain covers it.")
@click.option("--text", metavar="WORDS", default="", help="What was really said.")
@click.option("--intent", metavar="NAME", help="What was meant.")
@click.option("--slot", "slots", metavar="NAME=VALUE", multiple=True, help="A value in it; may be repeated.")
@click.option("--forget", metavar="CALL", help="Delete a call.")
@click.option("--forget-key", metavar="NAME", help="Delete all calls that were made with the key of this name.")
@click.option("-n", "n_most", type=click.IntRange(min=1), default=20, show_default=True, help="List so many turns.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each turn.")
@shared_options
def review(
    folder: Path,
    *,
    store: str | None,
    config: Path | None,
    n_most: int,
    as_json: bool,
    forget: str | None,
    forget_key: str | None,
    **said: object,
) -> None:
    """Look at the turns of real calls that the assistant of DOMAIN was least sure of, and correct them."""
    require_extra("serve", "sqlalchemy")
    from rejoinder.domain import Domain

    domain = Domain.load(folder)
    with _opened(store, config) as opened:
        if forget is not None or forget_key is not None:
            _forget(opened, domain, call=forget, key=forget_key)
        elif (found := _verdict(said)) is not None:
            verdict, turn = found
            _correct(opened, domain, turn, verdict, said)
        else:
            _list(opened, n_most, as_json=as_json)


@contextmanager
def _opened(url: str | None, config: Path | None) -> Iterator["Store"]:
    from sqlalchemy.exc import SQLAlchemyError

    from rejoinder.serve.settings import resolve
    from rejoinder.serve.store.database import Store, reason

    settings = resolve(file=config, flags={"store": url}).settings
    if settings.store is None:
        raise SettingsError("where is the store? Add --store sqlite:///calls.db, as the server has it")
    opened = Store.open(settings.store)
    try:
        yield opened
    except SQLAlchemyError as error:
        raise SettingsError(f"the store does not answer ({reason(error)})") from error
    finally:
        opened.close()


def _verdict(said: dict[str, object]) -> "tuple[Verdict, int] | None":
    """Which turn is spoken of, and how."""
    from rejoinder.serve.store.turns import Verdict

    options = {"fine": Verdict.FINE, "correct": Verdict.CORRECTED, "out_of_scope": Verdict.OUT_OF_SCOPE}
    given = [(verdict, turn) for name, verdict in options.items() if isinstance(turn := said[name], int)]
    if len(given) > 1:
        raise click.UsageError("--fine, --correct and --out-of-scope: take one of them")
    if not given and (said["text"] or said["intent"] or said["slots"]):
        raise click.UsageError("which turn? Add: --correct TURN")
    return given[0] if given else None


def _correct(store: "Store", domain: "Domain", turn: int, verdict: "Verdict", said: dict[str, object]) -> None:
    from rejoinder.serve.store.review import apply, correction_of

    kept = store.get(turn)
    if kept is None:
        raise click.UsageError(f"there is no turn {turn} in the store; rejoinder review {domain.folder} lists them")
    slots = dict(_pair(str(one)) for one in said["slots"]) if isinstance(said["slots"], tuple) else {}
    intent = None if said["intent"] is None else str(said["intent"])
    correction = correction_of(kept, verdict, text=str(said["text"]), intent=intent, slots=slots)
    for file in apply(store, domain, kept, correction):
        click.echo(f"wrote {domain.folder / file}")
    click.echo(f"\nNext:\n  rejoinder adapt {domain.folder}")


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.UsageError(f"--slot {text}: write it as NAME=VALUE")
    return name.strip(), value.strip()


def _forget(store: "Store", domain: "Domain", *, call: str | None, key: str | None) -> None:
    from rejoinder.serve.store.learning import unlearn

    calls = [*(store.forget(call) if call is not None else ()), *(store.forget_owner(key) if key is not None else ())]
    gone = dict.fromkeys([*calls, *([call] if call is not None else [])])
    n_learned = sum(unlearn(domain.folder, one) for one in gone)
    turns = f"{len(calls)} turn{'s' * (len(calls) != 1)}"
    learned = f"{n_learned} entr{'y' if n_learned == 1 else 'ies'}"
    click.echo(f"Deleted {turns}, and {learned} that the domain had learned from.")
    if n_learned:
        click.echo(f"Models trained meanwhile still know them; to make them anew: rejoinder adapt {domain.folder}")


def _list(store: "Store", n_most: int, *, as_json: bool) -> None:
    from rejoinder.serve.store.doubts import doubtful
    from rejoinder.serve.store.review import doubt_as_json

    doubts = doubtful(store.latest())
    if as_json:
        for doubt in doubts[:n_most]:
            click.echo(json.dumps(doubt_as_json(doubt), ensure_ascii=False))
        return
    if not doubts:
        click.echo("No turn in the store is doubtful.")
        return
    rows = [("TURN", "CALL", "SAID", "TAKEN FOR", "BECAUSE")]
    for doubt in doubts[:n_most]:
        turn = doubt.kept.turn
        said = turn.text if len(turn.text) <= _WIDTH else f"{turn.text[: _WIDTH - 1]}…"
        rows.append((str(doubt.kept.id), turn.call, said, turn.intent or turn.source, ", ".join(doubt.reasons)))
    print_table(rows)
    if len(doubts) > n_most:
        click.echo(f"\n… and {len(doubts) - n_most} more (-n)")
