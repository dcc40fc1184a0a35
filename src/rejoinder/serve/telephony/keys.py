"""What a caller types on the telephone: single keys to a typed turn. Pure; its clock is the line's audio."""

KEYS = frozenset("0123456789*#")
"""Keys of a telephone; the letters A to D that the signal also knows are on none."""

PAUSE_S = 2.5
"""Silence after which a number counts as typed whole."""

MOST_KEYS = 32
"""Longer than a card's number; what is typed after that is dropped."""


class TypedKeys:
    """The keys of one number: `#` ends it, `*` starts over, and so does a pause end it."""

    def __init__(self) -> None:
        self._typed = ""
        self._last_s = 0.0

    def press(self, key: str, at_s: float) -> str | None:
        """One key: the number that it completes, if it does. Whatever is no key is ignored."""
        if key not in KEYS:
            return None
        self._last_s = at_s
        if key == "#":
            return self._take()
        self._typed = "" if key == "*" else (self._typed + key)[:MOST_KEYS]
        return None

    def due(self, at_s: float) -> str | None:
        """The number that a pause has completed by now, if there is one."""
        return self._take() if at_s - self._last_s >= PAUSE_S else None

    def _take(self) -> str | None:
        typed, self._typed = self._typed, ""
        return typed or None
