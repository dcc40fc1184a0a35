"""From the records of a run to its figures."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from rejoinder.domain import Domain
from rejoinder.errors import RejoinderError
from rejoinder.evaluate.attribution import attribute, lost_by_stage
from rejoinder.evaluate.meaning import Judged, understanding
from rejoinder.evaluate.records import BASE, Played, Spoken, Turn, Wait
from rejoinder.evaluate.scores import (
    Behaviour,
    Conversations,
    Difference,
    Estimate,
    Heard,
    Latency,
    OperatingPoint,
    Recognition,
    Scores,
    TermScore,
    TurnTaking,
    Understanding,
    VoiceScore,
)
from rejoinder.evaluate.significance import difference, ratio, share
from rejoinder.evaluate.words import Errors, Pair, TermHits, Terms, confusions, error_rate, false_alarms

SCORES = "scores.json"

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def score(
    turns: Iterable[Turn],
    waits: Iterable[Wait] = (),
    spoken: Iterable[Spoken] = (),
    played: Iterable[Played] = (),
    *,
    domain: Domain,
    endpointing: Sequence[OperatingPoint] = (),
    behaviour: Mapping[str, Behaviour] | None = None,
) -> Scores:
    """All figures of a run; systems and conditions are in the order in which they come in the records.

    `endpointing` and `behaviour` (by system) are measured elsewhere and join the rest. Where turns were lost is worked
    out anew (`attribution.attribute`).
    """
    terms = Terms.of(domain)
    outcomes = [_Outcome.of(turn, terms) for turn in attribute(turns)]
    by_place = {
        system: _grouped(own, lambda outcome: outcome.turn.condition)
        for system, own in _grouped(outcomes, lambda outcome: outcome.turn.system).items()
    }
    return Scores(
        heard={
            system: {condition: _heard(among) for condition, among in by_condition.items()}
            for system, by_condition in by_place.items()
        },
        differences=_differences(by_place),
        endpointing=tuple(endpointing),
        latency={
            system: tuple(_latency(n, among) for n, among in sorted(_grouped(own, lambda wait: wait.n_callers).items()))
            for system, own in _grouped(waits, lambda wait: wait.system).items()
        },
        voice={system: _voice(own) for system, own in _grouped(spoken, lambda one: one.system).items()},
        conversations={system: _conversations(own) for system, own in _grouped(played, lambda one: one.system).items()},
        behaviour=dict(behaviour or {}),
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A turn, with its words compared where the set has them."""

    turn: Turn
    pair: Pair | None
    hits: TermHits | None

    @classmethod
    def of(cls, turn: Turn, terms: Terms) -> "_Outcome":
        if turn.said is None:
            return cls(turn, None, None)
        pair = Pair.of(turn.said, turn.heard)
        return cls(turn, pair, terms.compare(pair))


def _heard(outcomes: Sequence[_Outcome]) -> Heard:
    turns = [outcome.turn for outcome in outcomes]
    understood = [turn.is_understood for turn in turns if turn.is_understood is not None]
    return Heard(
        n=len(turns),
        understood=share(understood) if understood else None,
        recognition=_recognition(outcomes),
        understanding=_understanding(turns),
        turn_taking=_turn_taking(turns),
        lost=lost_by_stage(turns),
    )


def _recognition(outcomes: Sequence[_Outcome]) -> Recognition | None:
    """None where no turn has words."""
    pairs = [outcome.pair for outcome in outcomes if outcome.pair is not None]
    hits = [outcome.hits for outcome in outcomes if outcome.hits is not None]
    if not pairs:
        return None
    alarms, with_terms = false_alarms(hits), [one for one in hits if one.said]
    return Recognition(
        wer=_rate(pair.word_errors for pair in pairs),
        cer=_rate(pair.char_errors for pair in pairs),
        term_recall=_rate(map(_recalled, with_terms)) if with_terms else None,
        false_alarms=share(alarms) if alarms else None,
        terms=_term_scores(hits),
        confusions=confusions(hits),
    )


_Counts = tuple[int, int]
"""What an utterance adds to a part and to its whole: errors and words, right ones and all."""


def _rate(counts: Iterable[_Counts]) -> Estimate:
    return ratio(*_columns(counts))


def _columns(counts: Iterable[_Counts]) -> tuple[list[int], list[int]]:
    """The parts and the wholes, for `significance`."""
    rows = tuple(counts)
    return [part for part, _ in rows], [whole for _, whole in rows]


def _recalled(hits: TermHits) -> _Counts:
    return len(hits.said) - len(hits.missed), len(hits.said)


def _term_scores(hits: Sequence[TermHits]) -> tuple[TermScore, ...]:
    """The terms that were said or heard, those first that went wrong most often."""
    by_term: dict[str, list[int]] = {}  # said, missed, false
    for one in hits:
        for at, found in enumerate((one.said, [missed.term for missed in one.missed], one.false)):
            for term in found:
                by_term.setdefault(term, [0, 0, 0])[at] += 1
    ordered = sorted(by_term.items(), key=lambda item: (-item[1][1] - item[1][2], item[0]))
    return tuple(TermScore(term, said, said - missed, false) for term, (said, missed, false) in ordered)


def _understanding(turns: Sequence[Turn]) -> Understanding | None:
    """None where it is not known of any turn what was meant."""
    heard = [Judged(turn.meant, turn.understood) for turn in turns if turn.meant is not None]
    reference = [
        Judged(turn.meant, turn.of_reference)
        for turn in turns
        if turn.meant is not None and turn.of_reference is not None
    ]
    return understanding(heard, reference) if heard else None


def _turn_taking(turns: Sequence[Turn]) -> TurnTaking:
    """Shares are of the turns that the session ended at all."""
    ended = [turn for turn in turns if turn.heard_until_s is not None]
    delays = [
        turn.decided_s - turn.speech_end_s for turn in ended if turn.decided_s is not None and not turn.is_cut_off
    ]
    return TurnTaking(
        cut_off=share([turn.is_cut_off for turn in ended]),
        delay_p50_s=_percentile(delays, 50),
        delay_p95_s=_percentile(delays, 95),
        n_unanswered=len(turns) - len(ended),
    )


def _count_understood(outcome: _Outcome) -> _Counts | None:
    understood = outcome.turn.is_understood
    return None if understood is None else (int(understood), 1)


def _count_errors(outcome: _Outcome) -> _Counts | None:
    return outcome.pair.word_errors if outcome.pair else None


def _count_recalled(outcome: _Outcome) -> _Counts | None:
    return _recalled(outcome.hits) if outcome.hits and outcome.hits.said else None


COMPARED: Mapping[str, Callable[[_Outcome], _Counts | None]] = {
    "understood": _count_understood,
    "wer": _count_errors,
    "term_recall": _count_recalled,
}
"""Measures by which systems are compared; None for an utterance that a measure is not about."""


def _differences(by_place: Mapping[str, Mapping[str, Sequence[_Outcome]]]) -> tuple[Difference, ...]:
    """Every system against the base, or else the first, on the recordings that both heard in a condition."""
    against = BASE if BASE in by_place else next(iter(by_place), "")
    found: list[Difference] = []
    for system, by_condition in by_place.items():
        for condition, outcomes in by_condition.items() if system != against else ():
            others = by_place[against].get(condition, ())
            for measure, count in COMPARED.items():
                pairs = _paired(count, outcomes, others)
                if pairs:
                    change = difference(_columns(ours for ours, _ in pairs), _columns(theirs for _, theirs in pairs))
                    found.append(Difference(measure, condition, system, against, **asdict(change)))
    return tuple(found)


def _paired(
    count: Callable[[_Outcome], _Counts | None], outcomes: Iterable[_Outcome], others: Iterable[_Outcome]
) -> list[tuple[_Counts, _Counts]]:
    """The counts of both for each utterance that has them."""
    theirs = {other.turn.utterance: count(other) for other in others}
    both = ((count(one), theirs.get(one.turn.utterance)) for one in outcomes)
    return [(one, other) for one, other in both if one is not None and other is not None]


def _latency(n_callers: int, waits: Sequence[Wait]) -> Latency:
    """Waiting is that of turns that were answered and not cut off: who is interrupted does not wait."""
    answered = [wait for wait in waits if wait.answered]
    waited = [wait for wait in answered if not wait.cut_off]
    total, first_audio = [wait.total_s for wait in waited], [wait.first_audio_s for wait in waited]
    stages = dict.fromkeys(stage for wait in answered for stage in wait.took_s)
    return Latency(
        n_callers=n_callers,
        n=len(waits),
        p50_ms=_percentile_ms(total, 50),
        p95_ms=_percentile_ms(total, 95),
        p99_ms=_percentile_ms(total, 99),
        endpointing_p50_ms=_percentile_ms([wait.endpointing_s for wait in waited], 50),
        first_audio_p50_ms=_percentile_ms(first_audio, 50),
        first_audio_p95_ms=_percentile_ms(first_audio, 95),
        stages_ms={stage: _percentile_ms([wait.took_s.get(stage, 0.0) for wait in answered], 50) for stage in stages},
        draft_hits=_mean([wait.draft_hit for wait in answered]),
        cut_off=_mean([wait.cut_off for wait in answered]),
        n_lost=len(waits) - len(answered),
    )


def _voice(spoken: Sequence[Spoken]) -> VoiceScore:
    values = _grouped((one for one in spoken if one.value is not None), lambda one: one.kind)
    terms = _grouped((one for one in spoken if one.kind == "term"), lambda one: one.text)
    rates = {term: error_rate(Errors(one.n_errors, one.n_words) for one in said) for term, said in terms.items()}
    first_audio = [one.first_audio_s for one in spoken]
    return VoiceScore(
        wer=_rate([Errors(one.n_errors, one.n_words) for one in spoken]),
        values_right={kind: share([one.value_heard == one.value for one in said]) for kind, said in values.items()},
        terms=tuple(sorted(rates.items(), key=lambda rate: (-rate[1], rate[0]))),
        first_audio_p50_ms=_percentile_ms(first_audio, 50),
        first_audio_p95_ms=_percentile_ms(first_audio, 95),
    )


def _conversations(played: Sequence[Played]) -> Conversations:
    """One that is played as text and as audio counts twice; it is right when every repeat is."""
    repeats = _grouped(played, lambda one: (one.file, one.name, one.mode))
    outcomes = {f"{file}: {name} ({mode})": {one.ok for one in among} for (file, name, mode), among in repeats.items()}
    return Conversations(
        n=len(outcomes),
        n_ok=sum(ok == {True} for ok in outcomes.values()),
        flaky=tuple(name for name, ok in outcomes.items() if len(ok) == 2),
        failed=tuple(name for name, ok in outcomes.items() if ok == {False}),
    )


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """In the order in which the keys first come."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _percentile(values: Sequence[float], percent: float) -> float:
    """0 of no values."""
    return float(np.percentile(values, percent)) if values else 0.0


def _percentile_ms(seconds: Sequence[float], percent: float) -> float:
    return 1000 * _percentile(seconds, percent)


def _mean(values: Sequence[float]) -> float:
    """0 of no values."""
    return sum(values) / max(len(values), 1)


def write_scores(folder: Path, scores: Scores) -> None:
    """Write them to the run's `scores.json`."""
    from pydantic import TypeAdapter

    (folder / SCORES).write_bytes(TypeAdapter(Scores).dump_json(scores, indent=1))


def read_scores(folder: Path) -> Scores:
    """The scores of a run; raises `RejoinderError` where there are none, or they are of another version."""
    from pydantic import TypeAdapter, ValidationError

    path = folder / SCORES
    if not path.is_file():
        raise RejoinderError(f"{path}: no such file; a run's scores are written when it is finished")
    try:
        return TypeAdapter(Scores).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RejoinderError(f"{path}: {where}: {first['msg']}; evaluate again") from error
