"""The first thing to read: the main figures, each with its change against the base, and all systems together."""

from collections.abc import Iterator

from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.components import Section, between, change, estimate, panel, swatch, table
from rejoinder.evaluate.report.figures import CUT_OFF, UNDERSTOOD, WER, Measure, percent
from rejoinder.evaluate.report.markup import Child, Html, fragment, tag
from rejoinder.evaluate.report.results import Results
from rejoinder.evaluate.scores import Latency

INTENT = next(measure for measure in figures.MEASURES if measure.key == "intent_accuracy")
SLOTS = next(measure for measure in figures.MEASURES if measure.key == "slot_f1")
TERMS = next(measure for measure in figures.MEASURES if measure.key == "term_recall")

NOTABLE = 0.05
"""A wait that changes by less than this share of it is the same."""

HEADLINES = (UNDERSTOOD, WER, INTENT, TERMS, CUT_OFF)
"""Measures on cards, where they were measured."""


def headline(results: Results) -> Section | None:
    """Cards for the system that callers would meet, and a table of all."""
    if results.main is None:
        return None
    cards = [*_measure_cards(results, results.main), *_other_cards(results, results.main)]
    if not cards:
        return None
    body = fragment(tag("div", cards, class_="cards"), _all_systems(results))
    return Section("headline", "Headline", verdict(results), body)


def verdict(results: Results) -> str:
    """The run in one sentence."""
    system = results.main or ""
    for condition in results.conditions[:1]:
        heard = figures.heard_in(results.scores, system, condition)
        if heard is None or heard.understood is None:
            continue
        said = f"{system} understands {percent(heard.understood.value)} of the turns in {condition}"
        found = results.change(UNDERSTOOD.key, condition, system)
        if found is None:
            return f"{said} ({figures.interval(heard.understood.low, heard.understood.high)})."
        if not figures.is_sure(found):
            return f"{said}; against {found.against} that is {figures.points(found.value)} points, which may be chance."
        more = "more" if found.value > 0 else "fewer"
        size = figures.points(abs(found.value)).lstrip("+")
        return f"{said}, {size} points {more} than {found.against} (95% interval {between(found)})."
    return f"The figures of {system}."


def _card(title: str, value: str, about: str, *details: Child) -> Html:
    return tag(
        "div",
        tag("h3", title),
        tag("p", value, class_="value"),
        [tag("p", detail, class_="detail") for detail in details if detail],
        tag("p", about, class_="about"),
        class_="card",
    )


def _measure_cards(results: Results, system: str) -> Iterator[Html]:
    """In the first condition, with the worst of the others."""
    if not results.conditions:
        return
    condition = results.conditions[0]
    for measure in HEADLINES:
        heard = figures.heard_in(results.scores, system, condition)
        one = measure.of(heard) if heard else None
        if one is None:
            continue
        yield _card(
            measure.title,
            percent(one.value),
            measure.about,
            _against_base(results, measure, condition, system),
            f"{figures.interval(one.low, one.high)} in {condition}",
            _worst(results, measure, system),
        )


def _against_base(results: Results, measure: Measure, condition: str, system: str) -> Html | None:
    base = results.against.get(system)
    if base is None:
        return None
    found = results.change(measure.key, condition, system)
    if found:
        return fragment(change(measure, found.value, found), tag("small", f"{between(found)} vs {base}"))
    ours, theirs = (figures.heard_in(results.scores, name, condition) for name in (system, base))
    one, other = (measure.of(heard) if heard else None for heard in (ours, theirs))
    if one is None or other is None:
        return None
    return fragment(change(measure, one.value - other.value), tag("small", f"vs {base}"))


def _worst(results: Results, measure: Measure, system: str) -> str | None:
    found = [
        (one.value, condition)
        for condition in results.conditions
        if (heard := figures.heard_in(results.scores, system, condition)) and (one := measure.of(heard))
    ]
    if len(found) < 2:
        return None
    value, condition = min(found) if measure.higher_is_better else max(found)
    return f"worst {percent(value)} in {condition}"


def _other_cards(results: Results, system: str) -> Iterator[Html]:
    scores = results.scores
    alone = first_latency(results, system)
    if alone:
        yield _card(
            "Reply begins after",
            figures.milliseconds(alone.p50_ms),
            "last sample of speech to first sample of the reply",
            _faster(results, system, alone),
            f"p95 {figures.milliseconds(alone.p95_ms)} with {figures.count(alone.n_callers, 'caller')}",
        )
    if system in scores.voice:
        yield _card(
            "Voice understood again",
            percent(1 - scores.voice[system].wer.value),
            "words that the recognizer hears as the voice said them",
            f"first audio p50 {figures.milliseconds(scores.voice[system].first_audio_p50_ms)}",
        )
    played = scores.conversations.get(system)
    if played:
        yield _card(
            "Conversations passed",
            f"{played.n_ok} of {played.n}",
            "the domain's own tests",
            figures.count(len(played.flaky), "is flaky", "are flaky") if played.flaky else None,
        )


def first_latency(results: Results, system: str) -> Latency | None:
    """With the fewest callers."""
    return min(results.scores.latency.get(system, ()), key=lambda one: one.n_callers, default=None)


def _faster(results: Results, system: str, ours: Latency) -> Html | None:
    """The change against the base, a time that is better when it is shorter."""
    base = results.against.get(system)
    theirs = first_latency(results, base) if base else None
    if theirs is None or theirs.n_callers != ours.n_callers:
        return None
    shift = ours.p50_ms - theirs.p50_ms
    kind = "same" if abs(shift) < NOTABLE * theirs.p50_ms else "better" if shift < 0 else "worse"
    arrow = {"same": "→", "better": "▼", "worse": "▲"}[kind]
    sign = figures.MINUS if shift < 0 else "+"
    return fragment(
        tag(
            "span",
            tag("span", arrow, aria_hidden="true"),
            f" {sign}{figures.milliseconds(abs(shift))}",
            tag("span", f", {kind}", class_="unseen"),
            class_=f"change {kind}",
        ),
        tag("small", f"vs {base}"),
    )


def _all_systems(results: Results) -> Html | None:
    """A line for each system in the first condition; None for one alone."""
    if len(results.systems) < 2 or not results.conditions:
        return None
    condition = results.conditions[0]
    found = {system: figures.heard_in(results.scores, system, condition) for system in results.systems}
    measured = [measure for measure in HEADLINES if any(heard and measure.of(heard) for heard in found.values())]
    has_latency = bool(results.scores.latency)
    lines = [
        [
            fragment(swatch(results.marks[system].colour, results.marks[system].shape), system),
            *(
                tag(
                    "span",
                    estimate(measure.of(heard) if heard else None),
                    " ",
                    _shift(results, measure, system, condition),
                )
                for measure in measured
            ),
            *((_times(results, system),) if has_latency else ()),
        ]
        for system, heard in found.items()
    ]
    columns = ["System", *(measure.title for measure in measured), *(("Reply p50 / p95",) if has_latency else ())]
    return panel(f"All systems in {condition}", table(columns, lines, caption="All systems"), is_wide=True)


def _shift(results: Results, measure: Measure, system: str, condition: str) -> Html | None:
    found = results.change(measure.key, condition, system)
    return change(measure, found.value, found) if found else None


def _times(results: Results, system: str) -> str:
    alone = first_latency(results, system)
    return f"{figures.milliseconds(alone.p50_ms)} / {figures.milliseconds(alone.p95_ms)}" if alone else figures.NOTHING
