"""The pharmacy's small tables and what the assistant does with them.

Example data for a demonstration, not a medical reference. A pair that is not listed is never called safe, and every
answer about medicines taken together sends the caller to the pharmacist.
"""

from collections.abc import Mapping
from itertools import count

GENERICS = {
    "Xarelto": "rivaroxaban",
    "Eliquis": "apixaban",
    "Plavix": "clopidogrel",
    "Coumadin": "warfarin",
    "Lipitor": "atorvastatin",
    "Crestor": "rosuvastatin",
    "Zocor": "simvastatin",
    "Glucophage": "metformin",
    "Ozempic": "semaglutide",
    "Jardiance": "empagliflozin",
    "Januvia": "sitagliptin",
    "Synthroid": "levothyroxine",
    "Zoloft": "sertraline",
    "Lexapro": "escitalopram",
    "Singulair": "montelukast",
    "Viagra": "sildenafil",
}
"""The active ingredient of every brand that we carry."""

NOT_IN_STOCK_AS_GENERIC = ("Xarelto", "Eliquis", "Ozempic", "Jardiance", "Januvia")
"""Brands of which this store has no generic on its shelf."""

COPAY = {"generic": 10, "brand": 40, "special": 75}
"""Dollars by tier of the example plan."""

SPECIAL = ("Ozempic", "semaglutide", "Jardiance", "empagliflozin")

BLEEDING = "may raise the risk of bleeding"
INTERACTIONS = {
    frozenset(("warfarin", "aspirin")): BLEEDING,
    frozenset(("warfarin", "ibuprofen")): BLEEDING,
    frozenset(("warfarin", "naproxen")): BLEEDING,
    frozenset(("rivaroxaban", "aspirin")): BLEEDING,
    frozenset(("rivaroxaban", "ibuprofen")): BLEEDING,
    frozenset(("rivaroxaban", "naproxen")): BLEEDING,
    frozenset(("apixaban", "aspirin")): BLEEDING,
    frozenset(("apixaban", "ibuprofen")): BLEEDING,
    frozenset(("apixaban", "naproxen")): BLEEDING,
    frozenset(("clopidogrel", "ibuprofen")): BLEEDING,
    frozenset(("clopidogrel", "omeprazole")): "may make the clopidogrel work less well",
    frozenset(("lisinopril", "spironolactone")): "may raise potassium too much",
    frozenset(("losartan", "spironolactone")): "may raise potassium too much",
    frozenset(("lisinopril", "ibuprofen")): "may strain the kidneys",
    frozenset(("simvastatin", "clarithromycin")): "may harm the muscles",
    frozenset(("atorvastatin", "clarithromycin")): "may harm the muscles",
    frozenset(("sertraline", "tramadol")): "may raise serotonin too much",
    frozenset(("escitalopram", "tramadol")): "may raise serotonin too much",
    frozenset(("methotrexate", "ibuprofen")): "may raise the level of methotrexate",
    frozenset(("sildenafil", "nitroglycerin")): "may lower blood pressure dangerously",
}
"""Widely documented warnings, by active ingredients."""

REFILLS = {"4152637": "ready", "7301945": "in progress", "2864079": "waiting for your doctor"}
"""The state of some prescriptions, for trying it out."""

refills: list[dict[str, str]] = []
_numbers = count(1001)


def order_refill(slots: Mapping[str, str]) -> dict[str, str]:
    """Note the refill and return its confirmation number; a real pharmacy would call its own system here."""
    number = str(next(_numbers))
    refills.append({"confirmation": number, **slots})
    return {"confirmation": " ".join(number)}


def refill_status(slots: Mapping[str, str]) -> dict[str, str]:
    """Where a prescription stands."""
    match REFILLS.get(slots["prescription"]):
        case "ready":
            status = "Your prescription is ready. You can pick it up any time today."
        case None:
            status = "I can't find a prescription with that number. Please check it, or ask for the pharmacist."
        case state:
            status = f"Your prescription is {state}. We will text you when it is ready."
    return {"status": status}


def copay(slots: Mapping[str, str]) -> dict[str, str]:
    """What the example plan leaves the caller to pay for a month."""
    drug = slots["drug"]
    tier = "special" if drug in SPECIAL else "brand" if drug in GENERICS else "generic"
    return {"answer": f"With most plans, the copay for {drug} is ${COPAY[tier]} a month. Your own plan may differ."}


def generic(slots: Mapping[str, str]) -> dict[str, str]:
    """Whether a medicine is, or has, a generic here."""
    drug = slots["drug"]
    if drug not in GENERICS:
        answer = f"{drug} is a generic already."
    elif drug in NOT_IN_STOCK_AS_GENERIC:
        answer = f"{drug} is {GENERICS[drug]}. We have no generic of it in stock; the pharmacist can tell you more."
    else:
        answer = f"Yes, the generic for {drug} is {GENERICS[drug]}, and we have it in stock."
    return {"answer": answer[0].upper() + answer[1:]}


def interaction(slots: Mapping[str, str]) -> dict[str, str]:
    """What is noted about two medicines taken together; never that they are safe."""
    drug, other = slots["drug"], slots["other_drug"]
    ingredients = frozenset(GENERICS.get(name, name) for name in (drug, other))
    if len(ingredients) == 1:
        answer = f"{drug} and {other} have the same active ingredient, so taking both may be too much."
    elif warning := INTERACTIONS.get(ingredients):
        answer = f"There is a warning: {drug} taken with {other} {warning}."
    else:
        answer = f"I have no note about {drug} and {other}, which does not mean that they are safe together."
    return {"answer": f"{answer[0].upper()}{answer[1:]} Please ask the pharmacist before you take them together."}
