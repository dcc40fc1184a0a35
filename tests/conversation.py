"""A small cafe, and conversations with it in which each turn is as understanding would report it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rejoinder.dialogue import Compute, DialogueState, Reply, after_action, respond
from rejoinder.domain import Action, Domain, Intent, IntentSlot, Slot, SlotKind
from rejoinder.errors import ActionError
from rejoinder.events import Understanding

CAFE = Domain(
    "cafe",
    Path(),
    slots={
        "drink": Slot("drink", SlotKind.CLOSED),
        "size": Slot("size", SlotKind.CLOSED),
        "milk": Slot("milk", SlotKind.CLOSED),
        "phone": Slot("phone", SlotKind.PHONE),
        "code": Slot("code", SlotKind.CODE),
        "gift": Slot("gift", SlotKind.YES_NO),
        "budget": Slot("budget", SlotKind.MONEY),
    },
    intents={
        "order": Intent(
            "order",
            slots=(
                IntentSlot("drink", required=True, ask=("What would you like?", "Which drink?")),
                IntentSlot("size", required=True, ask=("What size?", "How large should the {drink} be?")),
                IntentSlot("milk"),
            ),
            confirm=("A {size} {drink}[ with {milk}] for {price}, right?",),
            replies=("Thanks, number {number}[, ready in {minutes} minutes].",),
            compute="menu:price",
            action=Action("order", call="till:order", failure="The till does not answer."),
        ),
        "price": Intent(
            "price",
            slots=(IntentSlot("drink", required=True, ask=("The price of what?",)), IntentSlot("size")),
            replies=("A [{size} ]{drink} is {price}.",),
            compute="menu:price",
        ),
        "hours": Intent("hours", replies=("We open at seven.", "From seven on.")),
        "reserve": Intent(
            "reserve",
            slots=(
                IntentSlot("phone", required=True, ask=("Your number?",)),
                IntentSlot("gift", required=True, ask=("Is it a gift?",)),
                IntentSlot("code"),
                IntentSlot("budget"),
            ),
            confirm=("I have {phone}[, code {code}][, at most {budget}], gift: {gift}. Right?",),
            replies=("Reserved.",),
        ),
        "bell": Intent("bell", replies=("Ring, {echo}.",), action=Action("bell", call="till:bell")),
        "complain": Intent("complain", replies=("Let me get the boss.",), ends="transfer"),
        "leave": Intent("leave", ends="hangup"),
    },
)


def price(name: str, slots: Mapping[str, str]) -> Mapping[str, str]:
    assert name == "menu:price"
    return {"price": "$5" if slots.get("size") == "large" else "$3"}


def broken(_name: str, _slots: Mapping[str, str]) -> Mapping[str, str]:
    raise ActionError("compute 'menu:price' took longer than 0.5 s")


def said(text: str, intent: str | None = None, source: str = "pattern", **slots: str) -> Understanding:
    return Understanding(text, intent, 0.9, slots, source)


def slot(text: str = "…", intent: str = "order", **slots: str) -> Understanding:
    return said(text, intent, "slot", **slots)


def command(name: str, **slots: str) -> Understanding:
    return said(name, name, "command", **slots)


NONSENSE = said("colourless green ideas", None, "none")
SILENCE = said("", None, "none")
KNOWLEDGE = Understanding(
    "do you have wifi", source="knowledge", answer="Yes, it is free.", answer_source="knowledge/house.md#Wifi"
)
ORDER = said("a large latte", "order", drink="latte", size="large")


@dataclass
class Call:
    """A conversation on a domain; what actions were to run is kept in `actions`."""

    domain: Domain = CAFE
    compute: Compute = price
    result: Mapping[str, str] | None = field(default_factory=lambda: {"number": "12"})
    state: DialogueState = field(default_factory=DialogueState)
    reply: Reply = field(default_factory=lambda: Reply(""))
    actions: list[Mapping[str, str]] = field(default_factory=list)

    def hear(self, *turns: Understanding) -> str:
        for turn in turns:
            self.state, self.reply = respond(self.domain, self.state, turn, compute=self.compute)
            if self.reply.action is not None:
                assert self.reply.text == ""
                self.actions.append(self.reply.slots)
                self.state, self.reply = after_action(self.domain, self.state, self.reply, self.result)
        return self.reply.text
