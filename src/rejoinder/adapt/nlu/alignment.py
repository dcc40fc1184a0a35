"""The tags of what was said, put on what a recognizer made of it."""

from collections import Counter
from collections.abc import Sequence

from rejoinder.nlu.joint import BEGIN, OUTSIDE

_SAME, _OTHER = 1.0, 0.5
"""What a letter counts that was heard as it was said, and one that was heard as another."""


def carry(said: Sequence[str], tags: Sequence[str], heard: Sequence[str]) -> tuple[str, ...]:
    """The tags of the words `said`, one for each word of `heard`.

    Letters are aligned, not words: recognizers cut and join words ("so relto" for "xarelto"). A heard word belongs to
    the value that most of its letters come from.
    """
    from rapidfuzz.distance import Levenshtein

    owners = _owners(said, tags)
    heard_text = " ".join(heard)
    sources: list[tuple[int | None, float] | None] = [None] * len(heard_text)
    for step in Levenshtein.opcodes(" ".join(said), heard_text):
        if step.tag in ("equal", "replace"):
            weight = _SAME if step.tag == "equal" else _OTHER
            for n in range(step.src_end - step.src_start):
                sources[step.dest_start + n] = (owners[step.src_start + n], weight)
    found: list[int | None] = []
    at = 0
    for word in heard:
        votes: Counter[int | None] = Counter()
        for source in sources[at : at + len(word)]:
            if source is not None:
                votes[source[0]] += source[1]  # type: ignore[assignment]  # halves are counted, too
        found.append(votes.most_common(1)[0][0] if votes else None)
        at += len(word) + 1
    return tuple(_tags(found, tags))


def _owners(said: Sequence[str], tags: Sequence[str]) -> list[int | None]:
    """For each letter of the words joined by spaces, where the value that it is part of begins."""
    owners: list[int | None] = []
    value: int | None = None
    for at, (word, tag) in enumerate(zip(said, tags, strict=True)):
        begins = tag.startswith(BEGIN)
        inside = tag != OUTSIDE and not begins
        owners += [value if inside else None] * (at > 0)  # the space before it
        value = at if begins else value if inside else None
        owners += [value] * len(word)
    return owners


def _tags(values: Sequence[int | None], tags: Sequence[str]) -> list[str]:
    made = []
    before: int | None = None
    for value in values:
        slot = None if value is None else tags[value].removeprefix(BEGIN)
        made.append(OUTSIDE if slot is None else f"{'I-' if value == before else BEGIN}{slot}")
        before = value
    return made
