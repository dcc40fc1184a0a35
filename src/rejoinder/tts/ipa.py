"""Phonemes for VITS voices of the Piper family: American English in the IPA that they were trained on, and its ids.

Written from phonetics and from the symbols that such voices declare in their `.onnx.json`; no code or data of eSpeak or
Piper, which are GPL, is used.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.errors import ModelError

_V = "[AIOWYiuæɑəɛɪʊʌɔɜᵻᵊɐɚɝ]"

_SOUNDS: tuple[tuple[str, str], ...] = (
    (rf"ɜɹ(?=[ˈˌ]?{_V})", "ɝɹ"),
    (r"ɜɹ?", "ɝ"),
    (r"\bəv\b", "ʌv"),
    (r"\bə(?=\w)", "ɐ"),  # "about"; the schwa of "sofa" stays
    (rf"əɹ(?=[ˈˌ]?{_V})", "ɚɹ"),
    (r"əɹ", "ɚ"),
    (rf"(?<={_V})tᵊ?n\b", "ʔn̩"),  # "button"
    (rf"({_V}\w*[^\Wˈˌ])i\b", r"\1ĭ"),  # "happy": short where it ends a longer word,
    (r"(?<![ˈˌ])i(?=[əɚᵊ])", "ĭ"),  # and before a schwa, as in "serious"
    (r"ɔ(?=[ŋfsθ])", "ɒ̆"),  # "long", "off", "lost", "cloth": short
    (r"[.…]{2,}|…", "."),
    (r"\s*[—–]\s*", ", "),
)
_RULES = tuple((re.compile(pattern), sounds) for pattern, sounds in _SOUNDS)

_SPELLED = str.maketrans(
    {
        **{"A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "ʧ": "tʃ", "ʤ": "dʒ", "T": "ɾ", "ᵊ": "ə"},
        **{"i": "iː", "ĭ": "i", "u": "uː", "ɑ": "ɑː", "ɔ": "ɔː", "ɒ": "ɔ", "ɝ": "ɜː", "̆": ""},
    }
)


def to_voice_ipa(phonemes: str) -> str:
    """misaki's phonemes (see `phonemizer`) in the narrower IPA of these voices: long vowels, r-colour, taps."""
    for pattern, sounds in _RULES:
        phonemes = pattern.sub(sounds, phonemes)
    return phonemes.translate(_SPELLED)


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The symbols of one voice and their ids."""

    ids: Mapping[str, tuple[int, ...]]

    @classmethod
    def read(cls, config: Mapping[str, Any], path: Path) -> "Alphabet":
        """Take `phoneme_id_map` from a voice's `.onnx.json` at `path`; raises `ModelError` if it cannot be used."""
        language = str(config.get("language", {}).get("code") or config.get("espeak", {}).get("voice") or "en")
        if not language.lower().startswith("en"):
            raise ModelError(f"{path}: the voice speaks '{language}'; text to phonemes knows English only")
        ids = {symbol: tuple(numbers) for symbol, numbers in config.get("phoneme_id_map", {}).items()}
        if missing := [symbol for symbol in ("^", "$", "_") if symbol not in ids]:
            raise ModelError(f"{path}: phoneme_id_map has no {' and no '.join(map(repr, missing))}: not a Piper voice")
        return cls(ids)

    def encode(self, phonemes: str) -> tuple[int, ...]:
        """The network's input for misaki's `phonemes`: begin, pad, then each symbol with a pad after it, end.

        Symbols that the voice does not have are left out; nothing is left of text without any sound.
        """
        known = [self.ids[symbol] for symbol in to_voice_ipa(phonemes) if symbol in self.ids]
        if not any(character.isalpha() for character in phonemes) or not known:
            return ()
        return tuple(self._padded(known))

    def _padded(self, symbols: list[tuple[int, ...]]) -> Iterator[int]:
        yield from self.ids["^"] + self.ids["_"]
        for numbers in symbols:
            yield from numbers + self.ids["_"]
        yield from self.ids["$"]
