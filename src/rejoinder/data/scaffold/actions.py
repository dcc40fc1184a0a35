"""What the assistant does besides talking. A function gets the slots as text and returns values for the replies."""

from collections.abc import Mapping

PRICES = {"brakes": 30, "tire": 20}
"""Dollars; everything else is quoted below."""

bookings: list[dict[str, str]] = []


def price(slots: Mapping[str, str]) -> dict[str, str]:
    """The price of a repair. Named under 'compute', so it changes nothing: it may run while the caller speaks."""
    return {"price": f"${PRICES.get(slots['part'], 25)}"}


def book(slots: Mapping[str, str]) -> dict[str, str]:
    """Note the booking and return its number. Named under 'action', so it runs once, after the caller's yes."""
    bookings.append(dict(slots))
    return {"number": str(len(bookings))}
