"""What a run is judged by: the measures with their names and directions, and figures as people read them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from rejoinder.evaluate.records import Run
from rejoinder.evaluate.scores import Difference, Estimate, Heard, Scores

MINUS = "\N{MINUS SIGN}"
NOTHING = "–"
"""Stands where there is no figure."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A share of one system in one condition."""

    key: str
    """As `scores.Difference.measure`."""
    title: str
    about: str
    higher_is_better: bool
    of: Callable[[Heard], Estimate | None]

    def is_better(self, change: float) -> bool | None:
        """Whether a change is for the better; None for none."""
        if not change or math.isnan(change):
            return None
        return (change > 0) == self.higher_is_better


def _understood(heard: Heard) -> Estimate | None:
    return heard.understood


def _wer(heard: Heard) -> Estimate | None:
    return heard.recognition.wer if heard.recognition else None


def _cer(heard: Heard) -> Estimate | None:
    return heard.recognition.cer if heard.recognition else None


def _term_recall(heard: Heard) -> Estimate | None:
    return heard.recognition.term_recall if heard.recognition else None


def _false_alarms(heard: Heard) -> Estimate | None:
    return heard.recognition.false_alarms if heard.recognition else None


def _intent(heard: Heard) -> Estimate | None:
    return heard.understanding.heard.accuracy if heard.understanding else None


def _slot_f1(heard: Heard) -> Estimate | None:
    return heard.understanding.heard.slot_f1 if heard.understanding else None


def _cut_off(heard: Heard) -> Estimate | None:
    return heard.turn_taking.cut_off


UNDERSTOOD = Measure("understood", "Understood", "intent and every slot right", True, _understood)
WER = Measure("wer", "Word error rate", "words heard wrongly, left out or added", False, _wer)
CUT_OFF = Measure("cut_off", "Cut off", "callers taken to have finished before they had", False, _cut_off)

MEASURES = (
    UNDERSTOOD,
    WER,
    Measure("cer", "Character error rate", "letters heard wrongly, left out or added", False, _cer),
    Measure("term_recall", "Terms heard", "of the domain's terms that were said", True, _term_recall),
    Measure("false_alarms", "Terms made up", "utterances with a term that nobody said", False, _false_alarms),
    Measure("intent_accuracy", "Intent right", "what the caller wants, slots aside", True, _intent),
    Measure("slot_f1", "Slot F1", "slots and their exact values", True, _slot_f1),
    CUT_OFF,
)


def systems_of(run: Run, scores: Scores) -> tuple[str, ...]:
    """The systems that have figures, in the run's order."""
    known = [*run.systems, *scores.heard, *scores.latency, *scores.voice, *scores.conversations, *scores.behaviour]
    measured = {*scores.heard, *scores.latency, *scores.voice, *scores.conversations, *scores.behaviour}
    return tuple(name for name in dict.fromkeys(known) if name in measured)


def conditions_of(run: Run, scores: Scores) -> tuple[str, ...]:
    """The conditions that have figures, in the run's order; the first is the one headlines are about."""
    measured = dict.fromkeys(name for by_condition in scores.heard.values() for name in by_condition)
    return tuple(name for name in dict.fromkeys([*run.conditions, *measured]) if name in measured)


def measured(scores: Scores) -> str:
    """What figures are of: "40 recordings", or where none was heard "12 conversations, 60 sentences of its voice"."""
    n_heard = max((heard.n for by_condition in scores.heard.values() for heard in by_condition.values()), default=0)
    if n_heard:
        return count(n_heard, "recording")
    n_over = max((one.n_interruptions + one.n_backchannels for one in scores.behaviour.values()), default=0)
    found = (
        (max((one.n for one in scores.conversations.values()), default=0), "conversation", None),
        (
            max((one.wer.n for one in scores.voice.values()), default=0),
            "sentence of its voice",
            "sentences of its voice",
        ),
        (n_over, "reply spoken over", "replies spoken over"),
        (max((one.n for levels in scores.latency.values() for one in levels), default=0), "wait", None),
    )
    return ", ".join(count(n, one, several) for n, one, several in found if n) or "nothing measured"


def heard_in(scores: Scores, system: str, condition: str) -> Heard | None:
    """One system in one condition, where it was measured."""
    return scores.heard.get(system, {}).get(condition)


def is_sure(found: Difference) -> bool:
    """Whether a difference is more than chance: its interval leaves out zero, and p is below 5%."""
    return not found.low <= 0 <= found.high and found.p < 0.05


def percent(value: float | None) -> str:
    """A share: 0.871 -> "87.1%"."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{100 * value:.1f}%".replace("-", MINUS)


def whole_percent(value: float) -> str:
    """A share on an axis: 0.8 -> "80%"."""
    return f"{100 * value:.0f}%"


def interval(low: float, high: float) -> str:
    """A 95% interval of a share: "83.0–90.4%"."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{100 * low:.1f}–{100 * high:.1f}%"


def points(change: float) -> str:
    """A change of a share, in percentage points: 0.213 -> "+21.3"."""
    if not math.isfinite(change):
        return NOTHING
    rounded = f"{100 * abs(change):.1f}"
    return rounded if rounded == "0.0" else f"{MINUS if change < 0 else '+'}{rounded}"


def milliseconds(value: float | None) -> str:
    """A time: 412.3 -> "412 ms", 1234 -> "1.23 s", 3.21 -> "3.2 ms"."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.1f} ms" if abs(value) < 10 else f"{value:.0f} ms"


def axis_milliseconds(value: float) -> str:
    """A time on an axis: 0 -> "0", 500 -> "500 ms", 1500 -> "1.5 s"."""
    if not value:
        return "0"
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


def chance(p: float) -> str:
    """A p-value: "p = 0.03", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.01 else f"p = {p:.2f}"


def count(n: int, one: str, several: str | None = None) -> str:
    """A number of things: "1 turn", "1,204 turns"."""
    return f"{n:,} {one if n == 1 else several or one + 's'}"
