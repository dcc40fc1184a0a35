"""The recognizer's text tokens: byte-pair pieces read from the `tokenizer.bin` that lies beside moonshine's weights, or
from the `tokenizer.json` with which Hugging Face's hub has them.

Encoding is that of the SentencePiece model the recognizer was trained with, as Hugging Face converts it: merge the
adjacent pair whose union has the lowest id until none is left, then spell what is unknown in bytes. The texts that are
encoded here are short (a domain's phrases), so plain Python needs no further library.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rejoinder.errors import ModelError

BEGIN_ID = 1
END_ID = 2
SPACE = "▁"
"""How a piece spells a space; a piece that begins with it begins a word."""

_FIRST_BYTE_ID = 3
_N_BYTES = 256
_SPECIAL_PREFIX = b"<<"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""How `tokenizer.json` spells the piece that is a single byte."""


def is_byte(token: int) -> bool:
    """Whether a token is a single byte, which spells what the vocabulary lacks."""
    return _FIRST_BYTE_ID <= token < _FIRST_BYTE_ID + _N_BYTES


class Tokenizer:
    """Text to token ids and back."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """`pieces[i]` is the UTF-8 text of token i; ids 0, 1, 2 are marks and 3 to 258 the single bytes."""
        self._pieces = tuple(pieces)
        self._ids: dict[str, int] = {}
        for index in range(_FIRST_BYTE_ID + _N_BYTES, len(self._pieces)):
            piece = self._pieces[index]
            if not piece.startswith(_SPECIAL_PREFIX):
                self._ids.setdefault(piece.decode("utf-8"), index)
        # No piece spans two words, so words can be encoded, and remembered, one by one.
        self._word = lru_cache(maxsize=8192)(self._encode_word)
        self._word_starts = tuple(piece.startswith(SPACE.encode()) for piece in self._pieces)

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read `tokenizer.json`, or `tokenizer.bin`: for each token its length, one byte or two (low 7 bits, then times
        128), and its bytes.

        Raises `ModelError` when the file is missing, cut off or another kind of tokenizer's.
        """
        path = Path(path)
        if not path.is_file():
            raise ModelError(f"{path}: no such file; a moonshine folder needs its tokenizer.bin")
        if path.suffix == ".json":
            return cls(_pieces_in_json(path))
        content = path.read_bytes()
        pieces: list[bytes] = []
        at = 0
        while at < len(content):
            length = content[at]
            at += 1
            if length >= 128 and at < len(content):
                length += 128 * content[at] - 128
                at += 1
            if at + length > len(content):
                raise ModelError(f"{path}: cut off after {len(pieces)} tokens; install the model anew")
            pieces.append(content[at : at + length])
            at += length
        if len(pieces) <= _FIRST_BYTE_ID + _N_BYTES:
            raise ModelError(f"{path}: holds {len(pieces)} tokens only; it is not a moonshine tokenizer")
        return cls(pieces)

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.bin`."""
        lengths = (len(piece) for piece in self._pieces)
        heads = (bytes([n]) if n < 128 else bytes([n % 128 + 128, n // 128]) for n in lengths)
        Path(path).write_bytes(b"".join(head + piece for head, piece in zip(heads, self._pieces, strict=True)))

    def __len__(self) -> int:
        return len(self._pieces)

    def starts_word(self, token: int) -> bool:
        """Whether the token begins with a space."""
        return self._word_starts[token]

    def piece(self, token: int) -> str:
        """The text of one token, spaces as `SPACE`, bytes that are no text on their own as the replacement mark."""
        return self._pieces[token].decode("utf-8", errors="replace")

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`, without begin and end marks; the first word gets a leading space as in training."""
        if not text:
            return ()
        if text.startswith(" ") or text.endswith(" ") or "  " in text or SPACE in text:
            return self._merged(SPACE + text.replace(" ", SPACE))
        return tuple(token for word in text.split(" ") for token in self._word(word))

    def _encode_word(self, word: str) -> tuple[int, ...]:
        return self._merged(SPACE + word)

    def _merged(self, text: str) -> tuple[int, ...]:
        """Join neighbours as the vocabulary was made: the pair with the lowest id first."""
        symbols = list(text)
        ids = self._ids
        while len(symbols) > 1:
            best: tuple[int, int, int] | None = None
            where = -1
            for i in range(len(symbols) - 1):
                left, right = symbols[i], symbols[i + 1]
                merged = ids.get(left + right)
                if merged is None or left not in ids or right not in ids:
                    continue
                rank = (merged, ids[left], ids[right])
                if best is None or rank < best:
                    best, where = rank, i
            if best is None:
                break
            symbols[where : where + 2] = [symbols[where] + symbols[where + 1]]
        return tuple(token for symbol in symbols for token in self._symbol_ids(symbol))

    def _symbol_ids(self, symbol: str) -> tuple[int, ...]:
        if symbol in self._ids:
            return (self._ids[symbol],)
        return tuple(_FIRST_BYTE_ID + byte for byte in symbol.encode())

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`; marks and special tokens vanish, and so does the leading space."""
        first_piece = _FIRST_BYTE_ID
        spelled = b"".join(
            self._pieces[t] for t in tokens if t >= first_piece and not self._pieces[t].startswith(_SPECIAL_PREFIX)
        )
        return spelled.decode("utf-8", errors="replace").replace(SPACE, " ").removeprefix(" ")


def _pieces_in_json(path: Path) -> list[bytes]:
    """The pieces of a byte-pair tokenizer as Hugging Face's `tokenizers` keeps it, in the order of their ids."""
    wrong = f"{path}: is not a moonshine tokenizer (byte pairs that fall back to bytes)"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        texts = {int(token): text for text, token in content["model"]["vocab"].items()}
        texts |= {int(added["id"]): added["content"] for added in content["added_tokens"]}
        kind = content["model"]["type"], content["model"].get("byte_fallback")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{wrong}: {error!r}") from error
    bytes_at = range(_FIRST_BYTE_ID, _FIRST_BYTE_ID + _N_BYTES)
    n_bytes = sum(_BYTE.fullmatch(texts.get(token, "")) is not None for token in bytes_at)
    if kind != ("BPE", True) or n_bytes < _N_BYTES or sorted(texts) != list(range(len(texts))):
        raise ModelError(wrong)
    return [_piece(texts[token]) for token in range(len(texts))]


def _piece(text: str) -> bytes:
    byte = _BYTE.fullmatch(text)
    return bytes.fromhex(byte[1]) if byte else text.encode()
