"""A run in figures: what reports draw and `--fail-under` compares. Plain data, written to `scores.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95% interval (bootstrap by utterance) and the number of utterances behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class TermScore:
    """One term or slot value of the domain: how often it was said, heard when said, and heard when nobody said it."""

    term: str
    n_said: int
    n_heard: int
    n_false: int


@dataclass(frozen=True, slots=True)
class Recognition:
    """Where the set has words."""

    wer: Estimate
    cer: Estimate
    term_recall: Estimate | None
    false_alarms: Estimate | None
    """Share of the utterances without any term in which one was heard."""
    terms: tuple[TermScore, ...]
    confusions: tuple[tuple[str, str, int], ...]
    """Terms with what was heard in their place and how often, most frequent first."""


@dataclass(frozen=True, slots=True)
class SlotScore:
    """One slot, by exact value."""

    precision: float
    recall: float
    f1: float
    n: int


@dataclass(frozen=True, slots=True)
class Meanings:
    """Intents and slots against what was meant, of one kind of text."""

    accuracy: Estimate
    macro_f1: float
    intents: tuple[str, ...]
    """Rows and columns of `confusion`: "none" is what no intent covers."""
    confusion: tuple[tuple[int, ...], ...]
    """Row: what was meant; column: what was understood."""
    slot_f1: Estimate | None
    slots: Mapping[str, SlotScore]
    understood: Estimate
    """Intent and every slot right."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Turns of like confidence."""

    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True, slots=True)
class Understanding:
    """On recognized words, and on the reference words where there are some: the loss between is the recognizer's."""

    heard: Meanings
    reference: Meanings | None
    out_of_scope_auroc: float | None
    """None unless the set has utterances both within the domain and beyond it."""
    roc: tuple[tuple[float, float], ...]
    """False alarm rate and detection rate of out-of-scope, thinned to at most 200 points."""
    calibration_error: float
    """Expected calibration error of the intent's confidence (Naeini et al. 2015), ten bins."""
    calibration: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True)
class TurnTaking:
    """How turns were ended, in seconds of audio."""

    cut_off: Estimate
    delay_p50_s: float
    delay_p95_s: float
    """Of turns that were not cut off: from the last speech to the decision."""
    n_unanswered: int


@dataclass(frozen=True, slots=True)
class Heard:
    """One system in one condition."""

    n: int
    understood: Estimate | None
    recognition: Recognition | None
    understanding: Understanding | None
    turn_taking: TurnTaking
    lost: Mapping[str, int]
    """Turns lost by stage, by `records.Stage` value."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What the endpointer would do at one setting, on the same recordings."""

    setting: str
    cut_off: float
    delay_p50_s: float
    delay_p95_s: float
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Latency:
    """Waiting at a number of callers, in milliseconds."""

    n_callers: int
    n: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    endpointing_p50_ms: float
    first_audio_p50_ms: float
    first_audio_p95_ms: float
    stages_ms: Mapping[str, float]
    """Median work by stage."""
    draft_hits: float
    cut_off: float
    n_lost: int
    """Turns that were not answered."""


@dataclass(frozen=True, slots=True)
class VoiceScore:
    """What the assistant's voice said, heard again."""

    wer: Estimate
    values_right: Mapping[str, Estimate]
    """By kind: numbers, money, codes … parsed back to the same value."""
    terms: tuple[tuple[str, float], ...]
    """Word error rate by term, worst first."""
    first_audio_p50_ms: float
    first_audio_p95_ms: float


@dataclass(frozen=True, slots=True)
class Conversations:
    """The domain's own tests."""

    n: int
    n_ok: int
    flaky: tuple[str, ...]
    """Those that passed in some repeats and failed in others."""
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens while the assistant speaks."""

    stop_p50_ms: float
    stop_p95_ms: float
    """From the first sample of an interruption to the reply's end, in audio time."""
    n_interruptions: int
    n_missed: int
    """Interruptions that did not stop the reply."""
    n_backchannels: int
    n_wrongly_stopped: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One system against another on the same utterances."""

    measure: str
    condition: str
    system: str
    against: str
    value: float
    """Of `system` less that of `against`."""
    low: float
    high: float
    p: float
    """Two-sided, paired bootstrap by utterance."""


@dataclass(frozen=True, slots=True)
class Scores:
    """All figures of a run."""

    heard: Mapping[str, Mapping[str, Heard]]
    """By system and condition."""
    differences: tuple[Difference, ...] = ()
    endpointing: tuple[OperatingPoint, ...] = ()
    latency: Mapping[str, tuple[Latency, ...]] = field(default_factory=dict)
    """By system, in the order of callers."""
    voice: Mapping[str, VoiceScore] = field(default_factory=dict)
    conversations: Mapping[str, Conversations] = field(default_factory=dict)
    behaviour: Mapping[str, Behaviour] = field(default_factory=dict)
