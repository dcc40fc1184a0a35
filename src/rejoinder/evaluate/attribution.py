"""Where a turn was lost: turn taking, recognition or understanding.

Each turn that was not understood is blamed on the first stage without which it would have been: turn taking, if the
recording in one piece is understood; recognition, if the words that were said are; understanding, if not even those
are. A recording without a transcript has other hearings of itself for evidence: other words, heard by another system or
in another condition, that were understood.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rejoinder.evaluate.records import Meaning, PlayedTurn, Stage, Turn
from rejoinder.evaluate.words import normal_words


def attribute(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns of a whole run, in their order, with `lost` set.

    None for those that were understood, and for those of which it is not known what was meant.
    """
    every = tuple(turns)
    understood: dict[str, set[tuple[str, ...]]] = {}
    for turn in every:
        texts = understood.setdefault(turn.utterance, set())
        if turn.is_understood:
            texts.add(normal_words(turn.heard))
        elif turn.meant is not None and turn.whole is not None and _is(turn.of_whole, turn.meant):
            texts.add(normal_words(turn.whole))
    return tuple(replace(turn, lost=_lost(turn, understood[turn.utterance])) for turn in every)


def _lost(turn: Turn, understood: set[tuple[str, ...]]) -> Stage | None:
    """`understood` are the normalised words of hearings of the same recording that were understood."""
    if turn.meant is None or turn.is_understood:
        return None
    if turn.understood is None or _is(turn.of_whole, turn.meant):
        return Stage.TURNS
    heard = normal_words(turn.heard)
    if turn.said is not None and turn.of_reference is not None:
        if not _is(turn.of_reference, turn.meant):
            return Stage.UNDERSTANDING
        understood = {normal_words(turn.said)}
    if heard in understood:
        # The very words that are understood elsewhere: told apart by where turns ended, or by nothing that was heard.
        return Stage.TURNS if turn.n_turns > 1 else Stage.UNDERSTANDING
    return Stage.RECOGNITION if understood else Stage.UNKNOWN


def _is(understood: Meaning | None, meant: Meaning) -> bool:
    return understood is not None and understood.same_as(meant)


def lost_in(turn: PlayedTurn) -> Stage | None:
    """Where a turn of a conversation went wrong, by the checks that failed; None where none did.

    Turn taking, if the reply was not stopped as it should have been or came late, or nothing was heard. Else
    recognition, if other words were heard than said; understanding, if intent or slots are wrong all the same; and the
    dialogue, if only what was said or done is.
    """
    failed = {check.what for check in turn.checks if not check.ok}
    if not failed:
        return None
    said = normal_words(turn.caller)
    if failed <= {"interrupted", "within_ms"} or (said and not turn.heard):
        return Stage.TURNS
    if failed & {"intent", "slots"}:
        if turn.caller.startswith("("):  # a recording, whose words are not written
            return Stage.UNKNOWN
        return Stage.UNDERSTANDING if said == normal_words(turn.heard) else Stage.RECOGNITION
    return Stage.DIALOGUE


def lost_by_stage(turns: Sequence[Turn]) -> dict[str, int]:
    """How many of the turns were lost by each stage that lost any, in the order of the stages."""
    counts = {stage.value: sum(turn.lost is stage for turn in turns) for stage in Stage}
    return {stage: n for stage, n in counts.items() if n}
