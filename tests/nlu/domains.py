"""A small shop, made by hand, that the tests of understanding share."""

from pathlib import Path

from rejoinder.domain import Choice, Domain, Intent, IntentSlot, Passage, Slot, SlotKind


def closed(name: str, *values: str, **forms: tuple[str, ...]) -> Slot:
    """A closed slot; `forms` are further spellings of a value whose spaces are underscores."""
    choices = tuple(Choice(value, (value, *forms.get(value.replace(" ", "_"), ()))) for value in values)
    return Slot(name, SlotKind.CLOSED, choices)


SLOTS = {
    slot.name: slot
    for slot in (
        closed("size", "small", "medium", "large", "twenty ounce"),
        closed("roast", "light roast", "medium roast", "dark roast"),
        closed("drink", "latte", "mocha", "iced mocha", "coffee", "house coffee", "espresso", "flat white"),
        closed("milk", "milk", "soy milk", "a little bit of soy milk", "almond milk", soy_milk=("soya",)),
        closed("source", "savings", "checking"),
        closed("target", "savings", "checking"),
        Slot("guests", SlotKind.NUMBER, min=1, max=12),
        Slot("day", SlotKind.DATE),
        Slot("hour", SlotKind.TIME),
        Slot("amount", SlotKind.MONEY),
        Slot("phone", SlotKind.PHONE, lengths=(10,)),
        Slot("member", SlotKind.CODE),
    )
}

ORDER = Intent(
    "order",
    patterns=(
        "(can I get|I want|I'd like|give me) [a|an] [{size}] [{roast}] {drink} [with {milk}]",
        "(can I get|I want|I'd like|give me) [a|an] [{roast}] [{size}] {drink} [with {milk}]",
    ),
    slots=(
        IntentSlot("drink", required=True, ask=("Which drink?",)),
        IntentSlot("size", ask=("Which size?",)),
        IntentSlot("roast"),
        IntentSlot("milk"),
    ),
)
BOOK = Intent(
    "book",
    patterns=("[I'd like to] book a table for {guests} [people] [on] {day} [at {hour}]", "I want to reserve a table"),
    examples=("do you have a table free tonight",),
    slots=(
        IntentSlot("guests", required=True, ask=("For how many?",)),
        IntentSlot("day", required=True, ask=("For which day?",)),
        IntentSlot("hour"),
        IntentSlot("phone"),
    ),
)
TRANSFER = Intent(
    "transfer",
    patterns=("(move|transfer) {amount} from {source} to {target}", "put {amount} into {target} from {source}"),
    slots=tuple(IntentSlot(name, required=True, ask=(f"Which {name}?",)) for name in ("amount", "source", "target")),
)
HOURS = Intent("hours", patterns=("when do you (open|close)", "what are your [opening] hours", "how late are you open"))
CANCEL_TABLE = Intent("cancelTable", patterns=("cancel my (table|booking|reservation)",))
MEMBER = Intent(
    "member",
    patterns=("check my membership", "my member number is {member}"),
    slots=(IntentSlot("member", required=True),),
)

PASSAGES = (
    Passage("about.md#Wifi", "Wifi", "Guests have free wireless internet. The password is printed on your receipt."),
    Passage("about.md#Allergies", "Allergies", "Our almond milk contains nuts. The brownies are free of gluten."),
    Passage(
        "about.md#Parking",
        "Parking",
        "There is a car park behind the building. It is free for two hours. After that it costs a dollar an hour.",
    ),
)


def shop() -> Domain:
    """Six intents, every kind of slot, and three passages of knowledge."""
    intents = {intent.name: intent for intent in (ORDER, BOOK, TRANSFER, HOURS, CANCEL_TABLE, MEMBER)}
    return Domain("shop", Path(), slots=SLOTS, intents=intents, passages=PASSAGES)
