"""What the cafe does with an order: its price, and putting it on the list of the barista."""

from collections import deque
from collections.abc import Mapping
from itertools import count

PRICES = {
    "coffee": 2.50,
    "drip coffee": 2.50,
    "house coffee": 2.50,
    "espresso": 2.50,
    "iced coffee": 3.00,
    "americano": 3.00,
    "cappuccino": 3.50,
    "latte": 3.50,
    "mocha": 4.00,
    "iced mocha": 4.25,
}
"""Dollars for a small one; milk, cream and sugar are free."""

SIZES = {"medium": 0.50, "twelve ounce": 0.50, "large": 1.00, "sixteen ounce": 1.00, "twenty ounce": 1.50}
SHOTS = {"double shot": 0.75, "triple shot": 1.50}
PLANT_MILKS = ("soy milk", "almond milk")

orders: deque[dict[str, str]] = deque(maxlen=100)
"""The barista's list; a real cafe would send the order to its till."""

_numbers = count(1)


def price(slots: Mapping[str, str]) -> dict[str, str]:
    """The price of an order, and what goes into it; pure, because it may run before the customer has finished."""
    dollars = PRICES[slots["coffeeDrink"]]
    dollars += SIZES.get(slots.get("size", ""), 0) + SHOTS.get(slots.get("numberOfShots", ""), 0)
    milk = slots.get("milkAmount", "")
    if milk.endswith(PLANT_MILKS):
        dollars += 0.50
    extras = " and ".join(filter(None, (milk, slots.get("sugarAmount"))))
    return {"price": f"${dollars:.2f}", "extras": extras}


def place_order(slots: Mapping[str, str]) -> dict[str, str]:
    """Put the order on the list and return its number; runs after the customer said yes.

    An order that was changed afterwards comes with the number that it was given, and takes the place of the first.
    """
    number = slots.get("order") or str(next(_numbers))
    for placed in [placed for placed in orders if placed["order"] == number]:
        orders.remove(placed)
    orders.append({**slots, "order": number})
    return {"order": number}
