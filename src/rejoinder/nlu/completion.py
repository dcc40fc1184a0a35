"""How finished the words are, for the endpointer: it waits while a caller is in the middle of something."""

import re
from collections.abc import Mapping, Sequence

from rejoinder.domain import Intent, Slot, SlotKind
from rejoinder.events import Completion
from rejoinder.nlu.slots import Span

DANGLING = frozenset(
    """a an the and or but nor with without of to at for from by as than about into onto under between my your his her
    its our their every each because if when while was were be been i we they am can could would will should may might
    must did had very bit little um uh er erm so like double triple minus plus point area called named says""".split()
)
"""Words after which a sentence goes on. Those that also end sentences ("what is that", "I do") are not among them."""

_HESITATION = re.compile(r"(?:\b(?:um+|uh+|er+|erm|hmm+|so|like|well)|[-–—]|\.\.\.|…|,)\s*[.…]*$", re.IGNORECASE)
"""A hesitation or a sign of an unfinished sentence at the end of the recognizer's own spelling."""


def dangles(text: str, words: Sequence[str]) -> bool:
    """Whether the last word promises more: "with", "and a", "um"."""
    return bool(words and words[-1] in DANGLING) or _HESITATION.search(text.strip()) is not None


def value_completion(slot: Slot, span: Span) -> Completion:
    """How finished an answer is that is a value and nothing else."""
    if not span.finished:
        return Completion.INCOMPLETE
    if slot.kind in (SlotKind.CODE, SlotKind.PHONE) and not slot.lengths:
        return Completion.PLAUSIBLE
    return Completion.COMPLETE


def may_grow(values: Mapping[str, str], last: Sequence[Span], slots: Mapping[str, Slot]) -> bool:
    """Whether one of the understood `values` is spelled, of no set length, and ends the words: more letters may come.

    `last` are all spans at the end. Digits of a length that some slot asks for, a zip code's five, are whole.
    """
    spelled = (SlotKind.CODE, SlotKind.PHONE)
    growing = [s for s in last if slots[s.slot].kind in spelled and values.get(s.slot) == s.value]
    whole = {(s.start, s.end) for s in last if s.finished and slots[s.slot].kind in spelled and slots[s.slot].lengths}
    return any((span.start, span.end) not in whole for span in growing)


def intent_completion(intent: Intent, slots: Sequence[str], *, exact: bool) -> Completion:
    """How finished a sentence is that means `intent` and holds `slots`, and does not dangle.

    A missing required slot leaves an `exact` pattern plausible: a caller may well end there and be asked.
    """
    missing = [slot.name for slot in intent.slots if slot.required and slot.name not in slots]
    if not missing:
        return Completion.COMPLETE
    return Completion.PLAUSIBLE if exact else Completion.INCOMPLETE
