"""A run as a comment on a pull request: what failed on top, then one short table.

What callers said is their owner's, and a pull request may be public: words are left out unless they are asked for.
"""

from collections.abc import Iterable, Iterator, Sequence

from rejoinder.evaluate.records import Run, Turn
from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.figures import MEASURES, Measure, count, milliseconds, percent, points
from rejoinder.evaluate.report.turns import in_words, is_failed, stage_of
from rejoinder.evaluate.scores import Difference, Scores
from rejoinder.evaluate.thresholds import usual_system

N_WORST = 5
SHOWN = ("understood", "wer", "term_recall", "intent_accuracy", "slot_f1", "cut_off")


def summary(
    run: Run,
    scores: Scores,
    *,
    failures: Iterable[object] = (),
    turns: Sequence[Turn] = (),
    has_words: bool = False,
) -> str:
    """Markdown of the system that callers would meet, each figure with its change against the base.

    `failures` are thresholds that were not reached, a line each; of `turns`, those are named that went wrong in most
    conditions, with what was said and heard only if `has_words`.
    """
    systems, conditions = figures.systems_of(run, scores), figures.conditions_of(run, scores)
    system = usual_system(systems) if systems else ""
    parts = [
        f"## {_plain(run.domain)}: evaluation",
        "\n".join(f"- ❌ {_plain(str(failure))}" for failure in failures),
        "\n".join(_table(scores, system, conditions)),
        "\n".join(_other_figures(scores, system)),
        "\n".join(_worst(turns, system, has_words)),
        "\n".join(f"- Not measured: {_plain(problem)}" for problem in _first(run.problems)),
        f"<sub>{_plain(_about(run, scores, system))}</sub>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(scores: Scores, system: str, conditions: Sequence[str]) -> Iterator[str]:
    """A line for each measure, a column for each condition."""
    by_condition = scores.heard.get(system, {})
    shown = [condition for condition in conditions if condition in by_condition]
    measured = [
        measure
        for measure in MEASURES
        if measure.key in SHOWN and any(measure.of(by_condition[condition]) for condition in shown)
    ]
    if not measured:
        return
    against = {one.against for one in scores.differences if one.system == system}
    title = " against ".join([system, *against])
    yield f"| {_plain(title)} | {' | '.join(map(_plain, shown))} |"
    yield "|---|" + "---:|" * len(shown)
    for measure in measured:
        cells = [_cell(scores, measure, system, condition) for condition in shown]
        yield f"| {measure.title} | {' | '.join(cells)} |"


def _cell(scores: Scores, measure: Measure, system: str, condition: str) -> str:
    one = measure.of(scores.heard[system][condition])
    found = next(
        (
            each
            for each in scores.differences
            if (each.measure, each.condition, each.system) == (measure.key, condition, system)
        ),
        None,
    )
    return (percent(one.value) if one else figures.NOTHING) + (f" ({_change(measure, found)})" if found else "")


def _change(measure: Measure, found: Difference) -> str:
    """Signed; with a sign for good or bad where it is no chance."""
    better = measure.is_better(found.value)
    return points(found.value) + ((" ✅" if better else " 🔻") if figures.is_sure(found) and better is not None else "")


def _other_figures(scores: Scores, system: str) -> Iterator[str]:
    alone = min(scores.latency.get(system, ()), key=lambda one: one.n_callers, default=None)
    if alone:
        waits = f"{milliseconds(alone.p50_ms)}, p95 {milliseconds(alone.p95_ms)}"
        yield f"- Reply begins after {waits}, with {count(alone.n_callers, 'caller')}"
    voice = scores.voice.get(system)
    if voice:
        yield f"- Voice heard again with {percent(voice.wer.value)} of its words wrong"
    played = scores.conversations.get(system)
    if played:
        flaky = f", {len(played.flaky)} flaky" if played.flaky else ""
        yield f"- Conversations: {played.n_ok} of {played.n} passed{flaky}"


def _first(problems: Sequence[str]) -> Iterator[str]:
    """So many that a comment stays short."""
    yield from problems[:N_WORST]
    if len(problems) > N_WORST:
        yield f"{len(problems) - N_WORST} more, which the report lists"


def _worst(turns: Sequence[Turn], system: str, has_words: bool) -> Iterator[str]:
    """Recordings that went wrong in most conditions."""
    failed: dict[str, list[Turn]] = {}
    for turn in turns:
        if turn.system == system and is_failed(turn):
            failed.setdefault(turn.utterance, []).append(turn)
    worst = sorted(failed.values(), key=len, reverse=True)[:N_WORST]
    if not worst:
        return
    yield f"<details><summary>{count(len(failed), 'recording')} went wrong; the worst</summary>"
    yield ""
    for among in worst:
        first = among[0]
        stages = ", ".join(dict.fromkeys(stage_of(turn).value for turn in among))
        where = ", ".join(turn.condition for turn in among)
        yield f"- {_code(first.utterance)}: lost by {stages} in {_plain(where)}{_words(first) if has_words else ''}"
    yield ""
    yield "</details>"


def _words(turn: Turn) -> str:
    if turn.said is not None:
        return f"; said {_code(turn.said)}, heard {_code(turn.heard)}"
    return f"; meant {_code(in_words(turn.meant))}, understood {_code(in_words(turn.understood))}"


def _about(run: Run, scores: Scores, system: str) -> str:
    models = ", ".join(f"{stage} {model}" for stage, model in run.systems.get(system, {}).items())
    parts = [run.id, models, figures.measured(scores), run.machine, f"Rejoinder {run.version}"]
    return " · ".join(part for part in parts if part)


def _plain(text: str) -> str:
    """A text of which nothing is markup, and that calls nobody: an "@" is followed by nothing that could be a name."""
    flat = " ".join(text.split())
    for mark, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\N{ZERO WIDTH SPACE}")):
        flat = flat.replace(mark, instead)
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#~!" else letter for letter in flat)


def _code(text: str) -> str:
    """A text as code: the one place in Markdown where nothing is markup but its own mark."""
    flat = " ".join(text.replace("`", "'").split())
    return f"`{flat}`" if flat else "nothing"
