"""What to say next: `(state, understanding) -> (state, reply)`, pure.

Drafts call it as often as they like; only the session, after the turn is over, keeps the new state and runs the action.

A conversation fills one frame at a time, an intent with its slots: what is missing is asked for, what must be confirmed
is, then the reply is spoken or the action runs. Side questions are answered without leaving the frame. A finished frame
stays at hand until the next one, so that "make it large" still changes it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from rejoinder.domain import Action, Domain, Intent, IntentSlot, SlotKind
from rejoinder.domain.templates import needs, render, spoken_value
from rejoinder.errors import ActionError
from rejoinder.events import Understanding

CONFIRM = "confirm"
"""What `expectation` names when a yes or a no is awaited; the answer may come in a slot of this name."""

YES, NO = "yes", "no"
"""The commands that answer a question; the others are repeat, cancel, person, goodbye, thanks and help."""

MOST_FAILURES = 3
"""How often in a row a question may go unanswered; then the call goes to a person."""

Compute: TypeAlias = Callable[[str, Mapping[str, str]], Mapping[str, str]]
"""Runs a domain's pure function: ("module:function", slots) to the values that join the slots; raises `ActionError`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the assistant says to one turn.

    `action`, when there is one, runs after commit with `slots` as its arguments. Its result may fill more of the
    template, so what is then said is rendered afterwards, by `after_action`, and `text` is empty until then.
    """

    text: str
    action: Action | None = None
    slots: Mapping[str, str] = field(default_factory=dict)
    """The slots of `intent` with what `compute` made of them."""
    intent: str | None = None
    source: str | None = None
    """Where the answer stands, when it comes from the knowledge."""
    ends: str | None = None
    """"hangup" or "transfer" when the call is over after this."""


@dataclass(frozen=True, slots=True)
class DialogueState:
    """Where a conversation stands."""

    intent: str | None = None
    """The intent that is being filled or confirmed."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """The values of `intent`, or of `done` when there is none, with what its action returned."""
    expecting: str | None = None
    """The slot that was just asked for."""
    confirming: bool = False
    """Whether the last reply asked for a yes."""
    last_reply: str = ""
    n_turns: int = 0
    done: str | None = None
    """The intent that was finished last; a correction takes it up again."""
    question: str = ""
    """What was asked last and awaits an answer, in the words in which it was asked."""
    n_failures: int = 0
    """How many turns in a row left the pending question unanswered."""


def expectation(state: DialogueState) -> tuple[str | None, str | None]:
    """For understanding: the slot that was asked for, or `CONFIRM`, and the intent that words may add to."""
    return CONFIRM if state.confirming else state.expecting, state.intent or state.done


def greet(domain: Domain, state: DialogueState) -> tuple[DialogueState, Reply]:
    """The first words of a call."""
    text = _variant(domain, domain.replies.greeting, {}, state.n_turns)
    return replace(state, last_reply=text), Reply(text)


def idle(domain: Domain, state: DialogueState) -> tuple[DialogueState, Reply]:
    """What to say into a long silence: whether the caller is there, and the pending question once more."""
    text = _variant(domain, domain.replies.idle, {}, state.n_turns)
    return state, Reply(f"{text} {state.question}".rstrip(), intent=state.intent)


def respond(
    domain: Domain, state: DialogueState, understanding: Understanding, *, compute: Compute = lambda _name, _slots: {}
) -> tuple[DialogueState, Reply]:
    """The answer to one turn. Variants of replies go by the number of the turn, so that equal input has equal output.

    Where `compute` raises `ActionError`, the reply is the failure text of the intent's action, and the frame stays.
    """
    after, reply = _Turn(domain, state, compute).take(understanding)
    return replace(after, n_turns=state.n_turns + 1, last_reply=reply.text or state.last_reply), reply


def after_action(
    domain: Domain, state: DialogueState, reply: Reply, result: Mapping[str, str] | None
) -> tuple[DialogueState, Reply]:
    """What to say once the action of `reply` has run, in the state that came with it: None means that it failed.

    The result joins the slots, and it stays with the finished frame: when the caller then changes something, the action
    runs again with, say, the `order_number` that it returned first, and can change that order in place of adding one.
    """
    intent = domain.intents.get(reply.intent or "")
    if intent is None or result is None:
        text = _failure(reply.action)
        ends = "transfer" if intent is not None and intent.ends == "transfer" else None
        return replace(state, last_reply=text), replace(reply, text=text, action=None, ends=ends)
    values = {**reply.slots, **result}
    if state.done == intent.name:
        state = replace(state, slots={**state.slots, **result})
    text = _closing(domain, intent, values, state.n_turns)
    return replace(state, last_reply=text), Reply(text, slots=values, intent=intent.name, ends=intent.ends)


@dataclass(frozen=True, slots=True)
class _Turn:
    """The decision on one turn. Its methods return the state after it, whose count and last reply `respond` sets."""

    domain: Domain
    state: DialogueState
    compute: Compute

    def take(self, understanding: Understanding) -> tuple[DialogueState, Reply]:
        """Decide by what was meant: a command, words for the frame, an answer to a side question, another intent."""
        command = understanding.intent if understanding.source == "command" else None
        if self.state.confirming and CONFIRM in understanding.slots:  # "yes, and with sugar"
            command = understanding.slots[CONFIRM]
        if command is not None and command not in (YES, NO):
            return self._command(command, understanding)
        frame = self.domain.intents.get(self.state.intent or self.state.done or "")
        given = _given(frame, understanding)
        if command is not None:
            return self._yes_or_no(command, frame, given) or self._not_understood(understanding)
        if understanding.answer is not None:
            return self._aside(Reply(understanding.answer, source=understanding.answer_source))
        if frame is not None and given and self._continues(frame, understanding):
            stuck = self.state.expecting is not None and not self._changes(given)
            return self._not_understood(understanding) if stuck else self._advance(frame, {**self.state.slots, **given})
        intent = self.domain.intents.get(understanding.intent or "")
        if intent is None or understanding.source == "none":
            return self._not_understood(understanding)
        return self._begin(intent, understanding)

    def _command(self, command: str, understanding: Understanding) -> tuple[DialogueState, Reply]:
        """What can be said at any time."""
        match command:
            case "repeat":
                text = self.state.last_reply or self._say(self.domain.replies.nothing_to_repeat)
                return self.state, Reply(text, intent=self.state.intent)
            case "cancel" if self.state.intent is None:
                return self.state, Reply(self._say(self.domain.replies.nothing_to_cancel))
            case "cancel":
                return DialogueState(), Reply(self._say(self.domain.replies.cancelled))
            case "person":
                return self._hand_over()
            case "goodbye":
                return DialogueState(), Reply(self._say(self.domain.replies.goodbye), ends="hangup")
            case "thanks":
                return self._aside(Reply(self._say(self.domain.replies.thanks)))
            case "help":
                return self._aside(Reply(self._say(self.domain.replies.help)))
            case _:
                return self._not_understood(understanding)

    def _yes_or_no(
        self, command: str, frame: Intent | None, given: Mapping[str, str]
    ) -> tuple[DialogueState, Reply] | None:
        """A yes or a no, maybe with values ("no, make it large"); None when nothing had asked for it."""
        state = self.state
        if frame is None:
            return None
        asked = self.domain.slots.get(state.expecting or "")
        if asked is not None and asked.kind is SlotKind.YES_NO:
            given = {asked.name: command, **given}
        if self._changes(given):
            return self._advance(frame, {**state.slots, **given})
        if state.confirming and command == YES:
            return self._advance(frame, state.slots, confirmed=True)
        if state.confirming:
            text = self._say(self.domain.replies.declined)
            return DialogueState(frame.name, state.slots), Reply(text, intent=frame.name)
        if state.intent is not None and state.expecting is None and (frame.confirm or command == YES):
            return self._advance(frame, state.slots)
        return None

    def _changes(self, given: Mapping[str, str]) -> bool:
        """Whether values differ from those of the frame."""
        return any(self.state.slots.get(name, "") != value for name, value in given.items())

    def _continues(self, frame: Intent, understanding: Understanding) -> bool:
        """Whether words with values for the frame go on with it, rather than begin another."""
        if understanding.source == "slot":
            return True
        if understanding.source == "none" or understanding.intent != frame.name:
            return False
        is_open = self.state.intent is not None and not self.state.confirming
        if is_open or _CORRECTION.search(understanding.text):
            return True
        required = [slot.name for slot in frame.slots if slot.required]
        named = [name for name in required if understanding.slots.get(name)]
        # "a large mocha" begins anew, "with oat milk" does not; "a mocha" does once the last order is finished
        return len(named) < len(required) if self.state.confirming else bool(required) and not named

    def _begin(self, intent: Intent, understanding: Understanding) -> tuple[DialogueState, Reply]:
        """Another intent: a mere question is answered on the side, all else becomes the frame."""
        given = _given(intent, understanding)
        in_progress = self.state.intent is not None
        if intent.name == self.state.intent and not given:
            return self._not_understood(understanding)
        only_asks = not (intent.confirm or intent.action or intent.ends) and intent.name != self.state.intent
        if only_asks and (in_progress or not intent.slots):
            # "what is the copay?" while a refill of Xarelto is being arranged asks about Xarelto
            shared = {slot.name: self.state.slots.get(slot.name, "") for slot in intent.slots}
            if _missing(intent, {**shared, **given}) is None:
                _, reply = self._advance(intent, {**shared, **given})
                return self._aside(reply)
        return self._advance(intent, given)

    def _advance(
        self, intent: Intent, slots: Mapping[str, str], *, confirmed: bool = False
    ) -> tuple[DialogueState, Reply]:
        """Ask for the first slot that is missing, else confirm, else finish. An empty value takes a slot away."""
        slots = {name: value for name, value in slots.items() if value}
        missing = _missing(intent, slots)
        if missing is not None:
            text = self._say(missing.ask, slots)
            state = DialogueState(intent.name, slots, expecting=missing.name, question=text)
            return state, Reply(text, slots=slots, intent=intent.name)
        try:
            values = {**slots, **(self.compute(intent.compute, slots) if intent.compute else {})}
        except ActionError:
            return DialogueState(intent.name, slots), Reply(_failure(intent.action), slots=slots, intent=intent.name)
        if intent.confirm and not confirmed:
            text = self._say(intent.confirm, values)
            state = DialogueState(intent.name, slots, confirming=True, question=text)
            return state, Reply(text, slots=values, intent=intent.name)
        state = DialogueState(slots=slots, done=intent.name)
        if intent.action is not None:
            return state, Reply("", action=intent.action, slots=values, intent=intent.name)
        text = _closing(self.domain, intent, values, self.state.n_turns)
        return state, Reply(text, slots=values, intent=intent.name, ends=intent.ends)

    def _aside(self, reply: Reply) -> tuple[DialogueState, Reply]:
        """An answer that leaves the frame as it is and comes back to the question that was open."""
        if not self.state.question:
            return replace(self.state, n_failures=0), reply
        back = self._say(self.domain.replies.resume, {"question": _inside_sentence(self._question())})
        return replace(self.state, n_failures=0), replace(reply, text=f"{reply.text} {back}".strip())

    def _not_understood(self, understanding: Understanding) -> tuple[DialogueState, Reply]:
        """Words that answer nothing. They never touch the frame, but too many of them bring a person to the phone."""
        heard_words = understanding.source != "command" and understanding.text.strip() != ""
        replies = self.domain.replies.out_of_scope if heard_words else self.domain.replies.not_understood
        if self.state.intent is None:
            return self.state, Reply(self._say(replies))
        n_failures = self.state.n_failures + 1
        if n_failures >= MOST_FAILURES:
            return self._hand_over()
        question = self._question()
        text = self._say(self.domain.replies.again if question else replies, {"question": question})
        return replace(self.state, n_failures=n_failures, question=question), Reply(text, intent=self.state.intent)

    def _hand_over(self) -> tuple[DialogueState, Reply]:
        """To a person, who gets what is known so far."""
        text = self._say(self.domain.replies.transfer)
        return DialogueState(), Reply(text, slots=self.state.slots, intent=self.state.intent, ends="transfer")

    def _question(self) -> str:
        """The open question, in other words if the domain has them."""
        intent = self.domain.intents.get(self.state.intent or "")
        asked = [slot for slot in intent.slots if slot.name == self.state.expecting] if intent else []
        return self._say(asked[0].ask, self.state.slots) if asked else self.state.question

    def _say(self, templates: tuple[str, ...], values: Mapping[str, str] = MappingProxyType({})) -> str:
        return _variant(self.domain, templates, values, self.state.n_turns)


_CORRECTION = re.compile(r"^\W*(no|nope|wait)\b|\b(actually|instead|make (it|that|them)|i mea(n|nt))\b", re.IGNORECASE)
"""What tells "actually a large one" from a second order."""
_LOWERED = re.compile(
    r"(?:What|Which|How|When|Where|Who|Whose|Would|Will|Do|Does|Did|Should|Shall|Is|Are|Can|Could|May|And|For|To|That|"
    r"That's|It's|The|Your|You|An?)\b"
)


def _given(intent: Intent | None, understanding: Understanding) -> dict[str, str]:
    """The values that were said and belong to the intent."""
    known = {slot.name for slot in intent.slots} if intent else set()
    return {name: value for name, value in understanding.slots.items() if name in known}


def _missing(intent: Intent, slots: Mapping[str, str]) -> IntentSlot | None:
    """The first slot to ask for."""
    return next((slot for slot in intent.slots if slot.required and not slots.get(slot.name)), None)


def _closing(domain: Domain, intent: Intent, values: Mapping[str, str], n_turns: int) -> str:
    """The last words on an intent: its own, or those that suit what becomes of the call."""
    own = {"transfer": domain.replies.transfer, "hangup": domain.replies.goodbye}.get(intent.ends or "", ())
    return _variant(domain, intent.replies or own, values, n_turns)


def _failure(action: Action | None) -> str:
    return (action or Action("")).failure


def _inside_sentence(question: str) -> str:
    """A question without its capital, if its first word has one only for being first."""
    question = re.sub(r"^So,? ", "", question)
    return question[0].lower() + question[1:] if _LOWERED.match(question) else question


def _variant(domain: Domain, templates: tuple[str, ...], values: Mapping[str, str], n_turns: int) -> str:
    """One of the templates, in turn, rendered; one with a gap only if every one has."""
    present = {name for name, value in values.items() if value}
    whole = [template for template in templates if needs(template) <= present] or templates
    if not whole:
        return ""
    kinds = {name: slot.kind for name, slot in domain.slots.items()}
    spoken = {name: spoken_value(value, kinds[name]) if name in kinds else value for name, value in values.items()}
    return render(whole[n_turns % len(whole)], spoken)
