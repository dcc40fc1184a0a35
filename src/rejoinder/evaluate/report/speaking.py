"""What the assistant says: its voice, heard again, and its conversations, as the domain's tests want them."""

from collections.abc import Iterator, Sequence

from rejoinder.evaluate.attribution import lost_in
from rejoinder.evaluate.records import Played, PlayedTurn, Spoken
from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.axes import Axis, fitting
from rejoinder.evaluate.report.charts import Bar, Group, Row, rows
from rejoinder.evaluate.report.components import Section, estimate, estimates, panel, panels, table, tabs
from rejoinder.evaluate.report.figures import milliseconds, percent
from rejoinder.evaluate.report.markup import Child, Html, fragment, tag
from rejoinder.evaluate.report.results import Results
from rejoinder.evaluate.report.sound import Sounds

N_TERMS = 12
N_MISHEARD = 40


def voice(results: Results, sounds: Sounds) -> Section | None:
    """Values said, heard and parsed back; the terms that are said worst; what was misheard, to listen to."""
    if not results.scores.voice:
        return None
    lead = "What the voice says is heard by the recognizer and parsed back: a number must come back as the same number."
    return Section(
        *("voice", "Voice", lead),
        panels(_values(results), _worst_terms(results), _voices(results), _misheard(results, sounds)),
    )


def _values(results: Results) -> Html | None:
    found = results.scores.voice
    kinds = dict.fromkeys(kind for one in found.values() for kind in one.values_right)
    groups = {
        kind: {
            system: found[system].values_right[kind]
            for system in results.systems
            if system in found and kind in found[system].values_right
        }
        for kind in kinds
    }
    chart = estimates(groups, results.marks, label="Values parsed back by kind", higher_is_better=True)
    if chart is None:
        return None
    return panel("Values parsed back", chart, about="said, heard, and understood as the same value")


def _worst_terms(results: Results) -> Html | None:
    views = {}
    for system in reversed(results.systems):
        one = results.scores.voice.get(system)
        worst = [(term, rate) for term, rate in one.terms if rate > 0][:N_TERMS] if one else []
        if worst:
            lines = [
                Row(term, [Bar(0.0, rate, "bad", f"{term}: {percent(rate)} of its words")], percent(rate))
                for term, rate in worst
            ]
            axis = Axis.from_zero([rate for _, rate in worst], show=figures.whole_percent, least=0.2)
            label = f"Terms by word error rate, {system}"
            views[system] = fitting(rows, [Group("", lines)], axis, label=label)
    if not views:
        return None
    about = "words of a term that the recognizer hears otherwise: the lexicon may want a pronunciation"
    return panel("Terms said worst", tabs("voice-terms", "System", views), about=about)


def _voices(results: Results) -> Html:
    lines = [
        [
            system,
            estimate(one.wer),
            milliseconds(one.first_audio_p50_ms),
            milliseconds(one.first_audio_p95_ms),
        ]
        for system, one in results.scores.voice.items()
    ]
    columns = ["System", "Word error rate", "First audio p50", "p95"]
    return panel("Heard again", table(columns, lines, caption="The voice heard again"))


def _misheard(results: Results, sounds: Sounds) -> Html | None:
    same: dict[tuple[str, str, str | None, str | None, str], list[Spoken]] = {}
    for one in results.spoken:
        if one.value_heard != one.value:
            same.setdefault((one.text, one.heard, one.value, one.value_heard, one.kind), []).append(one)
    lines = [
        [
            tag("bdi", text),
            tag("bdi", heard) if heard else tag("i", "nothing"),
            kind,
            tag("bdi", value),
            tag("bdi", back) if back is not None else tag("i", "nothing"),
            ", ".join(dict.fromkeys(one.system for one in among)),
            f"{len(among):,}",
            sounds.player(among[0].audio, f"{text}, as the voice says it"),
        ]
        for (text, heard, value, back, kind), among in list(same.items())[:N_MISHEARD]
    ]
    if not lines:
        return None
    columns = ["Said", "Heard", "Kind", "Value", "Parsed back", "System", "Times", "Listen"]
    body = table(columns, lines, caption="Values that came back otherwise", n_words=8)
    more = f"; the first {N_MISHEARD} of {len(same)}" if len(same) > N_MISHEARD else ""
    return panel("Values that came back otherwise", body, about=f"as parsed from what was heard{more}", is_wide=True)


def conversations(results: Results) -> Section | None:
    """Passed, flaky and failed, and the checks that failed."""
    if not results.played and not results.scores.conversations:
        return None
    groups: dict[tuple[str, str, str, str], list[Played]] = {}
    for one in results.played:
        groups.setdefault((one.system, one.file, one.name, one.mode), []).append(one)
    shown = sorted(groups.values(), key=lambda repeats: (_ORDER[_state(repeats)], repeats[0].file, repeats[0].name))
    n_ok = sum(_state(repeats) == "passed" for repeats in shown)
    lead = f"{n_ok} of {figures.count(len(shown), 'conversation')} of the domain's tests went as expected."
    if not shown:
        lead = "The domain's own tests."
    body = tag("ul", [_conversation(repeats, len(results.systems) > 1) for repeats in shown], class_="conversations")
    return Section("conversations", "Conversations", lead, fragment(_counts(results), body), len(shown) - n_ok or None)


_ORDER = {"failed": 0, "flaky": 1, "passed": 2}
_SIGNS = {"failed": "✕", "flaky": "≈", "passed": "✓"}


def _state(repeats: Sequence[Played]) -> str:
    n_ok = sum(one.ok for one in repeats)
    return "passed" if n_ok == len(repeats) else "flaky" if n_ok else "failed"


def _counts(results: Results) -> Html | None:
    """By system, where several were tested."""
    scored = results.scores.conversations
    if len(scored) < 2:
        return None
    lines = [
        [system, str(one.n), str(one.n_ok), str(len(one.flaky)), str(len(one.failed))] for system, one in scored.items()
    ]
    columns = ["System", "Conversations", "Passed", "Flaky", "Failed"]
    return panels(panel("By system", table(columns, lines, caption="Conversations by system"), is_wide=True))


def _conversation(repeats: Sequence[Played], names_system: bool) -> Html:
    """One conversation with its repeats; the turns are those of the first that failed."""
    state, n_ok = _state(repeats), sum(one.ok for one in repeats)
    shown = next((one for one in repeats if not one.ok), repeats[0])
    about = [shown.file, shown.mode, *([shown.system] if names_system else [])]
    if len(repeats) > 1:
        about.append(f"{n_ok} of {len(repeats)} passed")
    head = tag(
        "summary",
        tag("span", _SIGNS[state], class_=f"sign {state}", aria_hidden="true"),
        tag("span", state, class_="unseen"),
        tag("b", tag("bdi", shown.name)),
        tag("small", " · ".join(about)),
    )
    turns = tag("ol", [_turn(turn) for turn in shown.turns], class_="dialogue")
    error = (
        tag("p", "Could not be played to its end: ", tag("bdi", shown.error), class_="error") if shown.error else None
    )
    return tag("li", tag("details", head, error, turns, open=state == "failed"))


def _turn(turn: PlayedTurn) -> Html:
    took = f" · {milliseconds(turn.took_ms)}" if turn.took_ms is not None else ""
    heard = tag("small", "heard: ", tag("bdi", turn.heard)) if turn.heard and turn.heard != turn.caller else None
    return tag(
        "li",
        tag("p", tag("span", "Caller", class_="who"), tag("bdi", turn.caller), heard, class_="caller"),
        tag("p", tag("span", "Assistant", class_="who"), tag("bdi", turn.reply), tag("small", took) if took else None),
        _checks(turn),
    )


def _checks(turn: PlayedTurn) -> Html | None:
    failed = [check for check in turn.checks if not check.ok]
    n_ok = len(turn.checks) - len(failed)
    lines: Iterator[Child] = (
        tag(
            "li",
            tag("span", "✕", class_="sign failed", aria_hidden="true"),
            tag("b", check.what),
            " expected ",
            tag("code", tag("bdi", check.expected)),
            ", got ",
            tag("code", tag("bdi", check.got)),
        )
        for check in failed
    )
    passed = tag(
        "li", tag("span", "✓", class_="sign passed", aria_hidden="true"), f"{figures.count(n_ok, 'check')} passed"
    )
    lost = tag("li", f"Lost by {stage}") if (stage := lost_in(turn)) is not None else None
    return tag("ul", lines, lost, passed if n_ok else None, class_="checks") if turn.checks else None
