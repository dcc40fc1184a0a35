"""Every turn that went wrong: its audio, what was said, heard, meant and understood, and the stage that lost it."""

from collections.abc import Iterable, Mapping, Sequence

from rejoinder.evaluate.records import Meaning, Stage, Turn
from rejoinder.evaluate.report import figures
from rejoinder.evaluate.report.components import Section, swatch, table
from rejoinder.evaluate.report.figures import count, milliseconds, percent
from rejoinder.evaluate.report.hearing import STAGES, stage_badge
from rejoinder.evaluate.report.markup import Html, fragment, tag
from rejoinder.evaluate.report.results import Mark, Results
from rejoinder.evaluate.report.sound import Moment, Sounds
from rejoinder.evaluate.words import diff

NO_INTENT = "none"
"""Shown for what no intent covers."""


def failed_turns(results: Results, sounds: Sounds) -> Section | None:
    """Turns that were not understood or, where only the words are known, heard otherwise."""
    if not results.turns:
        return None
    groups = grouped(results.turns, results.conditions)
    failed = [turns for turns in groups if any(is_failed(turn) for turn in turns)]
    if not failed:
        body = tag("p", "Every turn was understood, in every condition and by every system.", class_="happy")
        return Section("failed", "Failed turns", "", body)
    # A page that cannot take in all recordings takes in those of the system that callers would meet.
    failed.sort(key=lambda turns: not any(is_failed(turn) and turn.system == results.main for turn in turns))
    cards = [card(turns, results.marks, sounds) for turns in failed]
    lost = [turn for turns in failed for turn in turns if is_failed(turn)]
    n_recordings = len({turn.utterance for turn in lost})
    lead = f"{len(lost):,} of {count(len(results.turns), 'turn')} went wrong, of {count(n_recordings, 'recording')}."
    body = fragment(filters(lost, results.systems, results.conditions), tag("div", cards, class_="turns"), _more())
    return Section("failed", "Failed turns", lead, body, len(lost))


def grouped(turns: Iterable[Turn], conditions: Sequence[str]) -> list[list[Turn]]:
    """The turns of one recording in one condition together, by conditions."""
    groups: dict[tuple[str, str], list[Turn]] = {}
    for turn in turns:
        groups.setdefault((turn.condition, turn.utterance), []).append(turn)
    order = {condition: n for n, condition in enumerate(conditions)}
    return sorted(groups.values(), key=lambda among: order.get(among[0].condition, len(order)))


def is_failed(turn: Turn) -> bool:
    """Whether it was misunderstood or, where it is not known what was meant, misheard."""
    if turn.is_understood is not None:
        return not turn.is_understood
    return turn.said is not None and any(piece.kind != "equal" for piece in diff(turn.said, turn.heard))


def stage_of(turn: Turn) -> Stage:
    """Where a failed turn was lost; one of which only the words are known, by the recognizer or never heard."""
    return turn.lost or (Stage.TURNS if not turn.n_turns else Stage.RECOGNITION)


def filters(lost: Sequence[Turn], systems: Sequence[str], conditions: Sequence[str]) -> Html:
    """Choices by which the page's script hides turns."""
    stages = [stage.value for stage in Stage if any(stage_of(turn) is stage for turn in lost)]
    search = tag("label", "Search", tag("input", type="search", name="search", placeholder="words, intents, values"))
    chosen = (("system", "System", systems), ("condition", "Condition", conditions), ("stage", "Lost by", stages))
    return tag(
        "form",
        search,
        [_choice(name, title, names) for name, title, names in chosen if len(names) > 1],
        tag("output", class_="matches", aria_live="polite"),
        class_="filters",
        role="search",
        aria_label="Failed turns",
        hidden=True,
    )


def _choice(name: str, title: str, names: Sequence[str]) -> Html:
    options = [tag("option", "all", value=""), *(tag("option", one, value=one) for one in names)]
    return tag("label", title, tag("select", options, name=name))


def _more() -> Html:
    return tag("button", "Show more", type="button", class_="more", hidden=True)


def card(turns: Sequence[Turn], marks: Mapping[str, Mark], sounds: Sounds) -> Html:
    """One recording in one condition, with every system that failed on it."""
    first = turns[0]
    lost = [turn for turn in turns if is_failed(turn)]
    fine = [turn.system for turn in turns if not is_failed(turn)]
    title = first.said if first.said is not None else in_words(first.meant)
    return tag(
        "article",
        tag(
            "header",
            tag("h3", tag("bdi", title)),
            tag("p", tag("b", first.condition), f" · {first.utterance} · {first.duration_s:.1f} s"),
        ),
        tag(
            "div",
            _sound(lost, sounds),
            tag("p", "Understood by ", ", ".join(fine), ".", class_="fine") if fine else None,
            class_="listen",
        ),
        tag("div", [attempt(turn, marks[turn.system]) for turn in lost], class_="attempts"),
        class_="turn",
        data_condition=first.condition,
        data_search=_searched(turns),
    )


def in_words(meaning: Meaning | None) -> str:
    """A meaning in a line: "orderDrink: size large"."""
    if meaning is None:
        return "nothing"
    slots = ", ".join(f"{name} {value}" for name, value in meaning.slots.items())
    return f"{meaning.intent or NO_INTENT}{': ' if slots else ''}{slots}"


def _searched(turns: Sequence[Turn]) -> str:
    texts = [turns[0].utterance, turns[0].said or "", in_words(turns[0].meant)]
    for turn in turns:
        texts += [turn.heard, in_words(turn.understood) if turn.understood else ""]
    return " ".join(dict.fromkeys(text.casefold() for text in texts if text))


def _sound(lost: Sequence[Turn], sounds: Sounds) -> Html | None:
    """One player for the recording; systems hear the same audio, or else each has its own."""
    heard: dict[str, list[Turn]] = {}
    for turn in lost:
        content = sounds.content_of(turn.audio)
        if content:
            heard.setdefault(content, []).append(turn)
    players = [
        sounds.player_with_wave(among[0].audio, f"{among[0].utterance}, {among[0].condition}", _moments(among))
        for among in heard.values()
    ]
    return fragment(*players) if players else None


def _moments(turns: Sequence[Turn]) -> list[Moment]:
    """Where the caller's speech ends, and when each system took the turn to be over."""
    moments = [(turns[0].speech_end_s, "ends", f"speech ends {turns[0].speech_end_s:.2f} s")]
    return moments + [
        (turn.decided_s, "decided", f"{turn.system} decides {turn.decided_s:.2f} s")
        for turn in turns
        if turn.decided_s is not None
    ]


def attempt(turn: Turn, mark: Mark) -> Html:
    """How one system heard, understood and answered."""
    stage = stage_of(turn)
    facts = [f"confidence {percent(turn.confidence)}"]
    if turn.is_cut_off:
        facts.append("cut off")
    elif turn.decided_s is not None:
        facts.append(f"decided after {milliseconds(1000 * (turn.decided_s - turn.speech_end_s))}")
    if turn.n_turns != 1:
        facts.append(count(turn.n_turns, "turn"))
    return tag(
        "section",
        tag(
            "p",
            tag("b", swatch(mark.colour, mark.shape), turn.system),
            stage_badge(stage),
            tag("small", " · ".join(facts)),
            class_="who-failed",
        ),
        tag("p", tag("span", "heard", class_="what"), _heard(turn), class_="words"),
        _whole(turn),
        _meanings(turn),
        tag("p", tag("span", "replied", class_="what"), tag("bdi", turn.reply), class_="words") if turn.reply else None,
        tag("p", STAGES[stage][1], class_="why"),
        class_="attempt",
        data_system=turn.system,
        data_stage=stage.value,
    )


def _heard(turn: Turn) -> Html:
    """What was heard, with its differences from what was said where that is known."""
    if turn.said is None:
        return tag("bdi", turn.heard) if turn.heard else tag("i", "nothing")
    pieces: list[Html | str] = []
    for piece in diff(turn.said, turn.heard):
        if piece.kind == "equal":
            pieces.append(" ".join(piece.heard))
            continue
        if piece.said:
            pieces.append(tag("del", " ".join(piece.said)))
        if piece.heard:
            pieces.append(tag("ins", " ".join(piece.heard)))
    return tag("bdi", [part for piece in pieces for part in (piece, " ")])


def _whole(turn: Turn) -> Html | None:
    """What the recognizer makes of the recording in one piece, where that is something else."""
    if turn.whole is None or turn.whole == turn.heard:
        return None
    return tag("p", tag("span", "in one piece", class_="what"), tag("bdi", turn.whole), class_="words")


def _meanings(turn: Turn) -> Html | None:
    """Intent and slots side by side, those that differ marked."""
    if turn.meant is None:
        return None
    understood = turn.understood
    if understood is None:
        return tag("p", tag("span", "understood", class_="what"), tag("i", "nothing: no turn ended"), class_="words")
    slots = dict.fromkeys([*turn.meant.slots, *understood.slots])
    pairs = [
        ("intent", turn.meant.intent or NO_INTENT, understood.intent or NO_INTENT),
        *(
            (slot, turn.meant.slots.get(slot, figures.NOTHING), understood.slots.get(slot, figures.NOTHING))
            for slot in slots
        ),
    ]
    lines = []
    for name, meant, taken in pairs:
        same = meant == taken
        sign = tag("span", "✓" if same else "✕", class_=f"sign {'passed' if same else 'failed'}", aria_hidden="true")
        said = tag("span", "same" if same else "differs", class_="unseen")
        lines.append([fragment(sign, said, name), tag("bdi", meant), tag("bdi", taken if same else tag("mark", taken))])
    return table(["", "Meant", "Understood"], lines, caption="Meant and understood", n_words=3)
