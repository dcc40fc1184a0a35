"""What a run must reach: `--fail-under understood=97`, checked against its scores.

    understood=97                  at least 97% in every condition
    noise10.understood=90          in one condition
    deep.noise10.understood=90     of one system in one condition
    wer=5, cut_off=3               at most so many percent, where less is better
    latency.p95=800                at most so many milliseconds, with the fewest callers that were measured
    latency.p95@8=800              with eight callers
    conversations=100, voice.wer=5

Where no system is named it is the one that callers would meet: "deep" if it was run, else "instant", else the last that
is not "base".
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from rejoinder.errors import RejoinderError, one_of
from rejoinder.evaluate.records import BASE, DEEP, INSTANT
from rejoinder.evaluate.scores import Estimate, Heard, Latency, Scores

PREFERRED = (DEEP, INSTANT)
"""Systems that are checked where none is named: the first of these that was run."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What can be asked of a run."""

    part: Literal["heard", "latency", "voice", "conversations", "behaviour"]
    """Of `Scores`; "heard" is by condition."""
    figure: Callable[[Any], float | None]
    """The figure of that part in `unit`; None where it was not measured."""
    at_most: bool = False
    unit: Literal["%", " ms"] = "%"


def _percent(value: Estimate | float | None) -> float | None:
    share = value.value if isinstance(value, Estimate) else value
    return None if share is None else 100 * share


def _within(part: str, name: str, *, at_most: bool = False) -> Measure:
    """A share of `scores.Heard.<part>`, which is None where it was not measured."""
    return Measure("heard", lambda heard: _percent(getattr(getattr(heard, part), name, None)), at_most)


def _meanings(name: str) -> Measure:
    return Measure("heard", lambda one: _percent(getattr(one.understanding.heard, name)) if one.understanding else None)


def _delay(name: str) -> Measure:
    def figure(heard: Heard) -> float | None:
        cut_off = heard.turn_taking.cut_off
        nobody_waited = cut_off.n == 0 or cut_off.value == 1
        return None if nobody_waited else 1000 * getattr(heard.turn_taking, name)

    return Measure("heard", figure, at_most=True, unit=" ms")


def _latency(name: str) -> Measure:
    def figure(latency: Latency) -> float | None:
        nobody_waited = latency.n == latency.n_lost or latency.cut_off == 1
        return None if nobody_waited else getattr(latency, name)

    return Measure("latency", figure, at_most=True, unit=" ms")


def _share(n: int, of: int) -> float | None:
    return 100 * n / of if of else None


MEASURES: Mapping[str, Measure] = {
    "understood": Measure("heard", lambda heard: _percent(heard.understood)),
    "intent": _meanings("accuracy"),
    "intent_f1": _meanings("macro_f1"),
    "slot_f1": _meanings("slot_f1"),
    "out_of_scope": _within("understanding", "out_of_scope_auroc"),
    "calibration_error": _within("understanding", "calibration_error", at_most=True),
    "wer": _within("recognition", "wer", at_most=True),
    "cer": _within("recognition", "cer", at_most=True),
    "term_recall": _within("recognition", "term_recall"),
    "false_alarms": _within("recognition", "false_alarms", at_most=True),
    "cut_off": Measure(
        "heard",
        lambda heard: _percent(heard.turn_taking.cut_off) if heard.turn_taking.cut_off.n else None,
        at_most=True,
    ),
    "unanswered": Measure("heard", lambda heard: _share(heard.turn_taking.n_unanswered, heard.n), at_most=True),
    "delay.p50": _delay("delay_p50_s"),
    "delay.p95": _delay("delay_p95_s"),
    "latency.p50": _latency("p50_ms"),
    "latency.p95": _latency("p95_ms"),
    "latency.p99": _latency("p99_ms"),
    "latency.lost": Measure("latency", lambda latency: _share(latency.n_lost, latency.n), at_most=True),
    "voice.wer": Measure("voice", lambda voice: _percent(voice.wer), at_most=True),
    "voice.values": Measure(
        "voice", lambda voice: min((100 * right.value for right in voice.values_right.values()), default=None)
    ),
    "voice.first_audio.p95": Measure("voice", lambda voice: voice.first_audio_p95_ms, at_most=True, unit=" ms"),
    "conversations": Measure("conversations", lambda played: _share(played.n_ok, played.n)),
    "stop.p95": Measure(
        "behaviour", lambda one: one.stop_p95_ms if one.n_interruptions else None, at_most=True, unit=" ms"
    ),
    "stop.missed": Measure("behaviour", lambda one: _share(one.n_missed, one.n_interruptions), at_most=True),
    "stop.wrongly": Measure("behaviour", lambda one: _share(one.n_wrongly_stopped, one.n_backchannels), at_most=True),
}
"""By name; "voice.values" is of the kind of value that fares worst, and "stop.wrongly" of backchannels."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One thing that a run must reach."""

    text: str
    """As it was given."""
    name: str
    """One of `MEASURES`."""
    limit: float
    """In percent or milliseconds."""
    scope: str = ""
    """System, condition, or both ("deep.noise10"); empty: the system that callers would meet, in every condition."""
    n_callers: int | None = None

    @property
    def measure(self) -> Measure:
        """What it is about."""
        return MEASURES[self.name]

    def holds(self, figure: float) -> bool:
        """Whether a figure is good enough; one that is off by rounding alone is."""
        off = round(figure - self.limit, 6)
        return off <= 0 if self.measure.at_most else off >= 0

    def complaint(self, figure: float) -> str:
        """What is wrong with a figure that is not: "understood 87.5% is under 90%"."""
        unit = self.measure.unit
        n_digits = next(n for n in range(0 if unit == " ms" else 1, 9) if round(figure, n) != self.limit or n == 8)
        which = "over" if self.measure.at_most else "under"
        return f"{self.name} {figure:.{n_digits}f}{unit} is {which} {self.limit:g}{unit}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A threshold that a run did not reach."""

    threshold: Threshold
    message: str
    """One line: where, what, and by how much."""

    def __str__(self) -> str:
        return self.message


_EXPRESSION = re.compile(r"\s*([^=@\s]+?)\s*(?:@\s*(\d+)\s*)?=\s*(\d+(?:\.\d+)?)\s*(%|ms)?\s*")


def parse(text: str) -> Threshold:
    """Read one expression; raises `RejoinderError` that says what can be asked for."""
    match = _EXPRESSION.fullmatch(text)
    if not match:
        raise RejoinderError(
            f"'{text}' is no threshold; write it like understood=97, noise10.wer=12 or latency.p95=800"
        )
    path, n_callers, limit = match[1], match[2], float(match[3])
    names = [name for name in MEASURES if path == name or path.endswith(f".{name}")]
    if not names:
        parts = path.split(".")
        tails = [".".join(parts[at:]) for at in range(len(parts))]
        raise RejoinderError(f"'{text}': unknown measure '{path}'{_choices(tails, MEASURES)}")
    name = max(names, key=len)
    measure = MEASURES[name]
    if n_callers is not None and measure.part != "latency":
        raise RejoinderError(f"'{text}': '{name}' is not measured by the number of callers")
    if match[4] not in (None, measure.unit.strip()):
        raise RejoinderError(f"'{text}': '{name}' is not in {match[4]} but in {measure.unit.strip()}")
    if measure.unit == "%" and not measure.at_most and limit > 100:
        raise RejoinderError(f"'{text}': '{name}' is a percentage, at most 100")
    if measure.unit == "%" and not measure.at_most and 0 < limit < 1:
        raise RejoinderError(f"'{text}': '{name}' is in percent; for {limit:g} write {name}={100 * limit:g}")
    return Threshold(text, name, limit, path[: -len(name)].rstrip("."), int(n_callers) if n_callers else None)


def _choices(names: Sequence[str], known: Iterable[str]) -> str:
    """What to say after something unknown: the nearest to one of `names`, and all that is known."""
    choices = tuple(known)
    near = [(SequenceMatcher(None, name, one).ratio(), one) for name in names for one in choices]
    likeness, nearest = max(near, default=(0.0, ""))
    meant = f"; did you mean '{nearest}'?" if likeness > 0.6 else ""
    return f"{meant} ({one_of(choices, n_most=len(choices))})"


def usual_system(systems: Iterable[str]) -> str:
    """The system that callers would meet, of at least one: see the top of this module."""
    run = tuple(systems)
    for name in PREFERRED:
        if name in run:
            return name
    return next((name for name in reversed(run) if name != BASE), run[-1])


def resolve(threshold: Threshold, systems: Sequence[str], conditions: Sequence[str]) -> tuple[str | None, str | None]:
    """The system and the condition that a threshold names, None for those that it does not.

    Raises `RejoinderError` for a name that is neither of `systems` nor of `conditions`, so that a command can tell
    before the run.
    """
    scope = threshold.scope
    found: tuple[str | None, str | None] | None = None
    if not scope or scope in systems:
        found = scope or None, None
    elif scope in conditions:
        found = None, scope
    else:  # names may hold dots ("noise2.5")
        dots = [at for at, char in enumerate(scope) if char == "."]
        pairs = [(scope[:at], scope[at + 1 :]) for at in dots]
        found = next(((one, other) for one, other in pairs if one in systems and other in conditions), None)
    if found is None:
        known = (*systems, *conditions)
        unknown = [part for part in (scope, *scope.split(".")) if part not in known]
        which = "no system and no condition of this run"
        raise RejoinderError(f"'{threshold.text}': '{scope}' is {which}{_choices(unknown, known)}")
    if found[1] is not None and threshold.measure.part != "heard":
        raise RejoinderError(f"'{threshold.text}': '{threshold.name}' is not measured by condition")
    return found


def check(thresholds: Iterable[Threshold], scores: Scores) -> tuple[Failure, ...]:
    """Those that the run does not reach, in their order; what it has no figures for is not reached either.

    Raises `RejoinderError` for a system or a condition that was not run.
    """
    return tuple(failure for threshold in thresholds for failure in _failures(threshold, scores))


def _failures(threshold: Threshold, scores: Scores) -> Iterator[Failure]:
    parts = (scores.heard, scores.latency, scores.voice, scores.conversations, scores.behaviour)
    systems = tuple(dict.fromkeys(system for part in parts for system in part))
    conditions = tuple(dict.fromkeys(condition for heard in scores.heard.values() for condition in heard))
    if not systems:
        yield Failure(threshold, f"{threshold.text}: nothing was measured")
        return
    system, condition = resolve(threshold, systems, conditions)
    system = system or usual_system(systems)
    figures = [(place, threshold.measure.figure(part)) for place, part in _places(threshold, scores, system, condition)]
    if all(figure is None for _, figure in figures):
        where = ", ".join(filter(None, (system, condition)))
        yield Failure(threshold, f"{where}: {threshold.text} cannot be checked: the run has no figures for it")
        return
    for place, figure in figures:
        if figure is None:
            yield Failure(threshold, f"{place}: {threshold.text} cannot be checked: the run has no figures for it")
        elif not threshold.holds(figure):
            yield Failure(threshold, f"{place}: {threshold.complaint(figure)}")


def _places(threshold: Threshold, scores: Scores, system: str, condition: str | None) -> Iterator[tuple[str, object]]:
    """Where a threshold must hold, in words, with the part of the scores that tells."""
    match threshold.measure.part:
        case "heard":
            for name, heard in scores.heard.get(system, {}).items():
                if condition in (None, name):
                    yield f"{system}, {name}", heard
        case "latency":
            for latency in scores.latency.get(system, ()):
                if threshold.n_callers in (None, latency.n_callers):
                    callers = "1 caller" if latency.n_callers == 1 else f"{latency.n_callers} callers"
                    yield f"{system}, {callers}", latency
                    return  # the fewest
        case part:
            scored = getattr(scores, part)
            if system in scored:
                yield system, scored[system]
