"""A server process, simulated: callers who take turns, and the work that they make, on a `Machine`.

Callers are those of the load test (`callers`), the work is what a session makes of them: partials while they speak,
everything at a pause, the clauses of the reply. The event loop is not simulated message by message: it takes its share
of the cores. Ten seconds of twenty callers take about ten milliseconds.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.capacity_costs import Costs, Script
from benchmarks.capacity_machine import LEAST_S, Machine
from rejoinder.session import DRAFT_S, PARTIAL_S, SessionOptions
from rejoinder.turns import TurnOptions
from rejoinder.vad import CHUNK_S

PARTIAL_INTERVAL_S = SessionOptions().partial_interval_s
PAUSE_WANTED_S = TurnOptions().least_silence_s - TurnOptions().pause_s

LEAD_S = 0.5
"""Line noise before the words of a recording."""

THINK_S = (0.3, 1.2)
INTERRUPTS_S = 1.0
N_TURNS_BETWEEN = 4
PATIENCE_S = 10.0
"""As the load test's callers: when they speak again, how they interrupt and when they give up (`callers`)."""

WARM_UP_S = 20.0
"""Turns that begin before are not counted."""

LOOP_MOST = 0.8
"""Of a core that a process's event loop may take: it has one thread, and what comes must not wait for it."""


@dataclass(frozen=True, slots=True)
class Load:
    """Who calls, and on what."""

    n_callers: int
    n_cores: int = 2
    loop_s: float = 0.023
    """What the event loop takes of a core for one caller."""
    busy_others: float = 0.0
    """Cores that other programs take."""
    slower: float = 1.0
    """Processor time of all work, as a multiple of what was measured."""
    elsewhere_s: float | None = None
    """Recognition is done by another machine, a GPU's, say, and its words are there after so long."""
    talk_s: float = 180.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What callers met with, and what it took."""

    n_turns: int
    n_lost: int
    p50_s: float
    """From the decision that a turn is over to the first sample of the reply; infinite for turns that were lost."""
    p95_s: float
    draft_hits: float
    cores: float
    """In use, the event loop's share included."""
    turn_s: float
    """From one turn of a caller to the next."""
    replying: float
    """Share of the time in which a caller hears a reply."""


def simulate(load: Load, costs: Costs) -> Outcome:
    """Let so many callers talk, and see how long they wait. The same for the same seed."""
    loop = load.n_callers * load.loop_s * load.slower
    n_left = load.n_cores - load.busy_others
    machine = Machine(load.n_cores, n_cores=n_left, loop=loop, serial=costs.serial)
    talk = _Talk(machine, costs, random.Random(load.seed), load.slower, load.elsewhere_s)
    callers = [_Caller(talk) for _ in range(load.n_callers)]
    for k, caller in enumerate(callers):
        machine.at(WARM_UP_S / 2 * k / load.n_callers, caller.begin)
    machine.run(WARM_UP_S)
    busy_s, replied_s = machine.busy_s, talk.replied_s
    machine.run(WARM_UP_S + load.talk_s)
    waits = np.array(talk.waits_s)
    p50, p95 = np.quantile(waits, [0.5, 0.95], method="lower") if len(waits) else (math.inf, math.inf)
    return Outcome(
        len(waits),
        int(np.isinf(waits).sum()),
        float(p50),
        float(p95),
        talk.n_hits / max(1, len(waits)),
        (machine.busy_s - busy_s) / load.talk_s + loop,
        load.n_callers * load.talk_s / max(1, len(waits)),
        (talk.replied_s - replied_s) / (load.n_callers * load.talk_s),
    )


@dataclass(slots=True)
class _Talk:
    """What the callers of a process share."""

    machine: Machine
    costs: Costs
    random: random.Random
    slower: float
    elsewhere_s: float | None
    waits_s: list[float] = field(default_factory=list)
    n_hits: int = 0
    replied_s: float = 0.0

    def work_out(
        self,
        line: tuple[float, float],
        audio_s: float,
        heard: Callable[[], bool],
        speak: tuple[float, Callable[[], bool]],
        wanted_in_s: float,
    ) -> None:
        """Recognize, understand and, if `heard` says so, synthesize, as `Pipeline.look_ahead` does on one thread."""
        constant, slope = line
        recognize_s = 0.0 if self.elsewhere_s is not None else constant + slope * audio_s
        understand = (self.slower * (recognize_s + self.costs.understand_s), heard)

        def begin() -> None:
            self.machine.do(understand, (self.slower * speak[0], speak[1]), wanted_in_s=wanted_in_s)

        if self.elsewhere_s is None:
            begin()
        else:
            self.machine.at(self.machine.now_s + self.elsewhere_s, begin)


class _Caller:
    """One caller, who speaks, listens and speaks again."""

    def __init__(self, talk: _Talk) -> None:
        self._talk = talk
        self._n_turns = 0

    def begin(self, *, over_reply: bool = False) -> None:
        """Begin a turn."""
        talk = self._talk
        self._n_turns += 1
        script = talk.random.choice(talk.costs.scripts)
        turn = _Turn(talk, script, talk.machine.now_s + LEAD_S, over_reply=over_reply, answered=self._answered)
        turn.begin()

    def _answered(self, turn: "_Turn") -> None:
        """The reply begins: listen, or interrupt it."""
        talk, reply = self._talk, _Reply(self._talk, turn.script)
        if self._n_turns % N_TURNS_BETWEEN == 0:
            reply.interrupted_at = talk.machine.now_s + INTERRUPTS_S
            reply.begin(then=lambda _: None)
            talk.machine.at(reply.interrupted_at, lambda: self.begin(over_reply=True))
        else:
            think_s = talk.random.uniform(*THINK_S)
            reply.begin(then=lambda ends_s: talk.machine.at(ends_s + think_s, self.begin))


@dataclass(slots=True, eq=False)
class _Turn:
    """What a caller says, and the work ahead of the reply."""

    talk: _Talk
    script: Script
    began_s: float
    over_reply: bool
    answered: "Callable[[_Turn], None]"
    n_paused: int = 0
    paused: bool = False
    drafted: bool = False
    """Whether a partial's draft has the reply to the whole turn, spoken."""
    ready_s: float | None = None
    over: bool = False

    def begin(self) -> None:
        at = self.talk.machine.at
        for pause_s in self.script.pauses_s:
            at(self.began_s + pause_s, self._pause)
        for resumed_s in self.script.resumed_s:
            at(self.began_s + resumed_s, self._resume)
        at(self.began_s + self.script.over_s, self._decide)
        at(self.began_s + TurnOptions().least_speech_s + PARTIAL_INTERVAL_S / 2, self._look_ahead)

    @property
    def _at_last(self) -> bool:
        return self.n_paused == len(self.script.pauses_s)

    def _look_ahead(self) -> None:
        """Recognize what has been said so far, unless the threads have more urgent things to do."""
        machine = self.talk.machine
        if self.over or (self.paused and self._at_last):
            return
        if self.paused or (machine.busy and not self.over_reply):
            machine.at(machine.now_s + CHUNK_S, self._look_ahead)
            return
        began_s, costs = machine.now_s, self.talk.costs
        drafts = self.talk.random.random() < costs.drafted

        def heard() -> bool:
            if not (drafts and not self.paused and not self.over):
                look_again()
                return False
            return True

        def spoken() -> bool:
            self.drafted = self.drafted or self.talk.random.random() < costs.kept
            look_again()
            return False

        def look_again() -> None:
            now_s = machine.now_s
            machine.at(now_s + max(PARTIAL_INTERVAL_S, now_s - began_s), self._look_ahead)

        self.talk.work_out(
            costs.partial_s,
            began_s - self.began_s,
            heard,
            (self.script.clauses[0].cpu_s, spoken),
            DRAFT_S if self.over_reply else PARTIAL_S,
        )

    def _pause(self) -> None:
        """Work out the reply to all that has been said."""
        self.n_paused += 1
        self.paused = True
        n, costs = self.n_paused, self.talk.costs

        def heard() -> bool:
            if n < len(self.script.pauses_s) and (n < self.n_paused or not self.paused):
                return False
            if self.drafted:
                self._is_ready(n)
            return not self.drafted

        def spoken() -> bool:
            self._is_ready(n)
            return False

        self.talk.work_out(
            costs.pause_s,
            self.script.pauses_s[n - 1],
            heard,
            (self.script.clauses[0].cpu_s, spoken),
            PAUSE_WANTED_S,
        )

    def _resume(self) -> None:
        self.paused = False

    def _is_ready(self, n: int) -> None:
        """The reply to the first `n` stretches of speech can be heard."""
        if n < len(self.script.pauses_s):
            return
        self.ready_s = self.talk.machine.now_s
        if self.over:
            self._answer()

    def _decide(self) -> None:
        """The turn is over."""
        self.over = True
        if self.ready_s is not None:
            self._answer()

    def _answer(self) -> None:
        talk = self.talk
        wait_s = max(0.0, talk.machine.now_s - self.began_s - self.script.over_s)  # rounding leaves less than none
        if talk.machine.now_s >= WARM_UP_S:
            talk.waits_s.append(math.inf if wait_s > PATIENCE_S else wait_s)
            talk.n_hits += wait_s <= LEAST_S
        self.answered(self)


@dataclass(slots=True, eq=False)
class _Reply:
    """The rest of a reply: a clause is made when the one before it has been handed over."""

    talk: _Talk
    script: Script
    interrupted_at: float = math.inf
    plays_until_s: float = 0.0

    def begin(self, *, then: Callable[[float], None]) -> None:
        """`then` is given when the reply will have been heard to its end."""
        self._hand_over(0, then)

    def _hand_over(self, n: int, then: Callable[[float], None]) -> None:
        machine, clauses = self.talk.machine, self.script.clauses
        began_s = max(self.plays_until_s, machine.now_s)
        self.plays_until_s = began_s + clauses[n].audio_s
        self.talk.replied_s += max(0.0, min(self.plays_until_s, self.interrupted_at) - began_s)
        if n + 1 == len(clauses):
            then(self.plays_until_s)
        elif machine.now_s < self.interrupted_at:

            def made() -> bool:
                self._hand_over(n + 1, then)
                return False

            wanted_in_s = self.plays_until_s - machine.now_s
            machine.do((self.talk.slower * clauses[n + 1].cpu_s, made), wanted_in_s=wanted_in_s)


def most_callers(load: Load, costs: Costs, bound_s: float, *, n_seeds: int = 2) -> int:
    """As many callers as can talk with 95% of their turns answered within the bound, for every seed."""
    most_for_loop = math.floor(LOOP_MOST / (load.loop_s * load.slower)) if load.loop_s else math.inf

    def holds(n_callers: int) -> bool:
        if n_callers > most_for_loop:
            return False
        runs = (simulate(replace(load, n_callers=n_callers, seed=seed), costs) for seed in range(n_seeds))
        return all(run.p95_s <= bound_s for run in runs)

    low, high = 0, 4 * load.n_cores
    while holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
