"""A run as it comes out of an evaluation, made up but scored for real: every section of a report has something to show.

Three systems, five conditions, callers of a cafe with words and meanings, recordings of failed turns, a load test, the
voice heard again, conversations. What callers, terms and files are called tries to break out of the page.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from rejoinder import audio
from rejoinder.domain import Domain, Term
from rejoinder.evaluate import records
from rejoinder.evaluate.records import Check, Meaning, Played, PlayedTurn, Run, Spoken, Turn, Wait, append, read
from rejoinder.evaluate.scores import Behaviour, OperatingPoint
from rejoinder.evaluate.scoring import score, write_scores
from rejoinder.events import Samples

HOSTILE = "</script><script>window.broken=1</script>"
HOSTILE_ATTRIBUTE = '" onmouseover="window.broken=1" x=\''
HOSTILE_IMAGE = "<img src=x onerror=window.broken=1>"

SYSTEMS = ("base", "instant", "deep")
CONDITIONS = ("clean", "phone", "noise10", "reverb", "fast")
N_UTTERANCES = 40

SENTENCES: Sequence[tuple[str, str | None, Mapping[str, str]]] = (
    ("a large latte with oat milk please", "orderDrink", {"drink": "latte", "size": "large", "milk": "oat milk"}),
    ("can I get an iced mocha with cream", "orderDrink", {"drink": "iced mocha", "milk": "cream"}),
    ("two shots of espresso to go", "orderDrink", {"drink": "espresso", "shots": "double shot"}),
    ("make it a cappuccino instead", "changeOrder", {"drink": "cappuccino"}),
    ("when do you open on Sunday", "openingHours", {}),
    ("what is the Wi-Fi password", "askWifi", {}),
    ("cancel my order please", "cancelOrder", {}),
    ("how much is a small americano", "askPrice", {"drink": "americano", "size": "small"}),
    ("do you sell bicycle tires", None, {}),
    ("who won the football last night", None, {}),
)
MISHEARD = {
    "latte": "la tay",
    "oat": "note",
    "mocha": "mocker",
    "espresso": "express oh",
    "cappuccino": "cup of chino",
    "open": "hope and",
    "Wi-Fi": "why five",
    "cancel": "counsel",
    "americano": "american oh",
    "bicycle": "by cycle",
}
MISTAKEN = {
    "orderDrink": "changeOrder",
    "changeOrder": "orderDrink",
    "askPrice": "orderDrink",
    "openingHours": "askWifi",
    "askWifi": "openingHours",
    "cancelOrder": "changeOrder",
    None: "askPrice",
}
SKILL = {"base": 0.66, "instant": 0.86, "deep": 0.95}
HARDNESS = {"clean": 0.0, "phone": 0.05, "noise10": 0.16, "reverb": 0.1, "fast": 0.08}


def domain() -> Domain:
    """Terms of a cafe, one of them named by an attacker."""
    names = ("latte", "mocha", "espresso", "cappuccino", "americano", "Wi-Fi", "oat milk", HOSTILE)
    return Domain("cafe", Path(), terms=tuple(Term(name) for name in names))


def speech(n_words: int, seed: int) -> Samples:
    """Something that looks like speech: a voice that glides and pauses, float32 of shape (n_samples,)."""
    rng = np.random.default_rng(seed)
    pieces = [np.zeros(audio.SAMPLE_RATE // 4)]
    for _ in range(n_words):
        n = int(audio.SAMPLE_RATE * rng.uniform(0.18, 0.36))
        pitch = np.linspace(rng.uniform(110, 150), rng.uniform(95, 130), n)
        phase = 2 * np.pi * np.cumsum(pitch) / audio.SAMPLE_RATE
        voice = sum(np.sin(k * phase) / k for k in (1, 2, 3, 5))
        pieces += [0.16 * rng.uniform(0.5, 1) * voice * np.hanning(n) ** 0.6, np.zeros(int(n * rng.uniform(0, 0.25)))]
    pieces.append(np.zeros(audio.SAMPLE_RATE // 2))
    return np.concatenate(pieces).astype(np.float32)


def write_run(folder: Path, *, systems: Sequence[str] = SYSTEMS, id: str = "2026-11-23-cafe", seed: int = 0) -> Path:
    """A whole run in `folder`; another `seed` is another evening."""
    run = Run(
        id=id,
        domain=f"Corner Cafe {HOSTILE}",
        created="2026-11-23T18:04:11+00:00",
        systems={
            "base": {"recognizer": "moonshine-tiny", "understanding": "minilm-int8", "voice": "hibari"},
            "instant": {"recognizer": "moonshine-tiny + bias", "understanding": "head 4c1f", "voice": "hibari"},
            "deep": {"recognizer": "asr-7d20", "understanding": "nlu-91ce", "voice": "voice-03aa"},
        },
        conditions=CONDITIONS,
        test_set={"name": "the domain's recordings", "n": N_UTTERANCES, "sha256": "5f0c" * 16},
        machine="2 cores of an Intel Xeon, 7.8 GB",
        version="0.1.0",
        key="k",
        minutes=3.6,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / records.RUN).write_text(json.dumps(asdict(run)))
    rng = np.random.default_rng(seed)
    for turn in _turns(folder, systems, rng):
        append(folder, records.TURNS, turn)
    for wait in _waits(systems, rng):
        append(folder, records.WAITS, wait)
    for one in _spoken(folder, systems, rng):
        append(folder, records.SPOKEN, one)
    for played in _played(systems):
        append(folder, records.PLAYED, played)
    write_scores(
        folder,
        score(
            read(folder, records.TURNS, Turn),
            read(folder, records.WAITS, Wait),
            read(folder, records.SPOKEN, Spoken),
            read(folder, records.PLAYED, Played),
            domain=domain(),
            endpointing=_endpointing(),
            behaviour={system: Behaviour(96, 180, 20, 1 if system == "base" else 0, 24, 2) for system in systems},
        ),
    )
    return folder


def _turns(folder: Path, systems: Sequence[str], rng: np.random.Generator) -> Iterator[Turn]:
    hard = rng.uniform(size=N_UTTERANCES)
    (folder / "audio").mkdir(exist_ok=True)
    for condition in CONDITIONS:
        for n in range(N_UTTERANCES):
            said, intent, slots = SENTENCES[n % len(SENTENCES)]
            utterance = f"call-{n:03}"
            if n == 3:
                said = f"a latte {HOSTILE} {HOSTILE_ATTRIBUTE} & <b>\u202eoat milk\u202c \x00 please"
            name = f"audio/{utterance}-{condition}.flac"
            speech_end_s = 0.25 + 0.3 * len(said.split())
            for system in systems:
                luck = 0.55 * hard[n] + 0.45 * rng.uniform()
                is_wrong = luck > SKILL[system] - HARDNESS[condition] or n == 3
                if is_wrong and not (folder / name).exists():
                    audio.save(folder / name, speech(len(said.split()), n))
                about = (system, condition, utterance)
                turn = _turn(about, said, Meaning(intent, slots), speech_end_s, is_wrong, rng)
                yield replace(turn, audio=name if is_wrong else None)


def _turn(
    about: tuple[str, str, str], said: str, meant: Meaning, speech_end_s: float, wrong: bool, rng: np.random.Generator
) -> Turn:
    """One turn as a system heard it; `about`: system, condition, utterance."""
    system, condition, utterance = about
    kind = rng.choice(["recognition", "understanding", "turns", "silent"], p=[0.6, 0.22, 0.14, 0.04]) if wrong else ""
    sure = float(rng.beta(4, 2.5) if wrong else rng.beta(9, 1.5))
    right = Meaning(meant.intent, meant.slots, sure, "classifier")
    mistaken = Meaning(MISTAKEN[meant.intent], dict(list(meant.slots.items())[1:]), sure, "classifier")
    heard = said
    if kind == "recognition" or (not wrong and rng.uniform() < HARDNESS[condition]):
        heard = " ".join(MISHEARD.get(word, word) if rng.uniform() < 0.8 else "the" for word in said.split())
    cut = kind == "turns"
    if cut:
        heard = " ".join(said.split()[:3])
    delay_s = float(rng.gamma(6, 0.05))
    ended = kind != "silent"
    return Turn(
        system=system,
        condition=condition,
        utterance=utterance,
        duration_s=speech_end_s + 0.75,
        said=said,
        heard=heard if ended else "",
        confidence=float(rng.beta(6, 2)),
        meant=meant,
        understood=(mistaken if wrong else right) if ended else None,
        of_reference=mistaken if kind == "understanding" else right,
        whole=said if cut else heard if wrong else None,
        of_whole=right if cut else mistaken if wrong else None,
        speech_end_s=speech_end_s,
        heard_until_s=(speech_end_s * 0.6 if cut else speech_end_s) if ended else None,
        decided_s=(speech_end_s * 0.6 + 0.4 if cut else speech_end_s + delay_s) if ended else None,
        n_turns=2 if cut else int(ended),
        reply=f"That comes to $4.50. {HOSTILE_IMAGE}" if wrong and ended else "Sure.",
        took_s={"recognize": 0.12, "understand": 0.01, "respond": 0.02, "first audio": 0.004},
    )


def _waits(systems: Sequence[str], rng: np.random.Generator) -> Iterator[Wait]:
    for system in systems:
        slower = {"base": 1.0, "instant": 1.05, "deep": 1.3}[system]
        for n_callers in (1, 2, 4, 8, 16):
            load = 1 + (n_callers / 9) ** 2.2
            for n in range(60):
                work_s = 0.09 * slower * load * rng.gamma(20, 0.05)
                yield Wait(
                    system=system,
                    n_callers=n_callers,
                    utterance=f"call-{n:03}",
                    endpointing_s=0.26 + 0.02 * load + float(rng.gamma(3, 0.02)),
                    first_audio_s=float(0.006 * slower * load * rng.gamma(3, 0.4)),
                    took_s={
                        "recognize": work_s,
                        "understand": 0.011 * load,
                        "respond": 0.034 * load,
                        "first audio": 0.004,
                    },
                    draft_hit=bool(rng.uniform() < 0.86),
                    cut_off=bool(rng.uniform() < 0.03),
                    answered=not (n_callers == 16 and n % 20 == 7),
                )


def _spoken(folder: Path, systems: Sequence[str], rng: np.random.Generator) -> Iterator[Spoken]:
    says = {
        "number": ("Your order number is 4,217.", "four two one seventy", "4217", "42170"),
        "money": ("That comes to $14.50.", "that comes to fourteen fifty", "14.50", "1450"),
        "code": ("Your code is QX-71B.", "your code is queue x seventy one bee", "QX71B", "X71B"),
        "date": ("We have it on March 3rd.", "we have it on march third", "03-03", "03-30"),
    }
    for system in systems:
        for kind, (text, heard, value, other) in says.items():
            for n in range(12):
                right = bool(rng.uniform() < {"base": 0.78, "instant": 0.9, "deep": 0.94}[system])
                name = None
                if not right:
                    name = f"audio/said-{kind}.flac"
                    if not (folder / name).exists():
                        audio.save(folder / name, speech(5, len(text)))
                back = value if right else (None if n % 5 == 0 else other)
                wrong = 0 if right else 2
                yield Spoken(system, kind, text, heard, 6, wrong, value, back, 0.004 + 0.001 * n, 2.1, name)
        for term in ("latte", "mocha", "cappuccino", "americano", HOSTILE):
            wrong = 1 if rng.uniform() < 0.4 or term == HOSTILE else 0
            yield Spoken(system, "term", term, "x" if wrong else term, 1, wrong, first_audio_s=0.004, duration_s=0.6)
        yield Spoken(
            system, "reply", "We open at seven.", "we open at seven", 4, 0, first_audio_s=0.005, duration_s=1.2
        )


def _played(systems: Sequence[str]) -> Iterator[Played]:
    def turn(caller: str, reply: str, *checks: Check) -> PlayedTurn:
        return PlayedTurn(caller, caller.lower(), reply, checks, 212.0)

    def check(what: str, expected: str, got: str | None = None) -> Check:
        return Check(what, expected, expected if got is None else got, got is None)

    for system in systems[-1:]:
        for repeat in range(3):
            first = turn("A large latte", "With which milk?", check("intent", "orderDrink"), check("says", "milk"))
            yield Played(system, "tests/order.yaml", "order a latte", "audio", repeat, (first,), None, 1.2)
            late = check("within_ms", "500", "731") if repeat == 1 else check("within_ms", "500")
            yield Played(
                system, "tests/order.yaml", "answers in time", "audio", repeat, (turn("Hours?", "Seven.", late),)
            )
            wrong = turn(
                f"Cancel {HOSTILE}",
                HOSTILE_IMAGE,
                check("intent", "cancelOrder", "changeOrder"),
                check("says", f"cancelled {HOSTILE_ATTRIBUTE}", HOSTILE),
                check("slots", "{}"),
            )
            yield Played(system, "tests/cancel.yaml", f"cancel {HOSTILE_IMAGE}", "text", repeat, (first, wrong))
        yield Played(system, "tests/broken.yaml", "plays a missing file", "audio", 0, (), f"no such file {HOSTILE}")


def _endpointing() -> tuple[OperatingPoint, ...]:
    found = []
    for n, ms in enumerate((150, 200, 250, 300, 400, 500, 700, 900)):
        cut, is_default = 0.19 * float(np.exp(-ms / 170)), ms == 300
        found.append(OperatingPoint(f"fixed {ms} ms", 1.6 * cut, ms / 1000 + 0.02, ms / 1000 + 0.06))
        found.append(OperatingPoint(f"risk {n}%", cut, ms / 1000 - 0.06, ms / 1000 + 0.12 + 0.02 * n, is_default))
    return tuple(found)
