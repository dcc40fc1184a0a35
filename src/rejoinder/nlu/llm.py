"""Answers from a language model behind any OpenAI-compatible URL, for what no intent and no knowledge answers.

It has a budget until its first words; whatever goes wrong before them, the caller of `LlmAnswerer.answer` speaks the
domain's own reply. What callers said is never logged.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any

from rejoinder.domain import LlmSettings, Passage
from rejoinder.errors import ModelError, require_extra

_LOG = logging.getLogger(__name__)

REFUSAL = "OUT_OF_SCOPE"
"""What the model is told to say, and nothing else, about anything that is not one of its topics."""

LONGEST_GAP_S = 5.0
"""Seconds without a further word after which an answer that has begun is ended where it is."""

LONGEST_ANSWER_CHARS = 1_200
"""About a minute of speech; nobody listens to more on the phone."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn that came before: what the caller said and what was replied."""

    said: str
    replied: str


class LlmAnswerer:
    """Asks one server. Synchronous, and safe to call from several threads at once."""

    def __init__(self, settings: LlmSettings, client: Any, *, key: str | None = None) -> None:
        self._settings = settings
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @classmethod
    def load(cls, settings: LlmSettings) -> "LlmAnswerer":
        """Open a client; nothing is sent. Raises `MissingExtraError` without httpx, `ModelError` without its key."""
        require_extra("llm", "httpx")
        import httpx

        key = os.environ.get(settings.key_env) if settings.key_env else None
        if settings.key_env and not key:
            raise ModelError(
                f"llm: the environment variable {settings.key_env} is not set; type: export {settings.key_env}=…"
            )
        timeout = httpx.Timeout(LONGEST_GAP_S, connect=settings.budget_s)
        return cls(settings, httpx.Client(timeout=timeout), key=key)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def answer(
        self, text: str, history: Sequence[Exchange] = (), passages: Sequence[Passage] = ()
    ) -> Iterator[str] | None:
        """The pieces of an answer to `text`, as they arrive; None when there is none within the budget.

        `history` are the turns before, oldest first, `passages` what the answer may rest on. None also when the server
        fails, sends nothing that can be read, or says that the question is none of its topics. Closing the iterator
        ends the request.
        """
        pieces: Queue[str | None] = Queue()
        stop = threading.Event()
        body = self._body(text, history, passages)
        # Its own thread, since a server that trickles bytes never runs into a socket's timeout.
        threading.Thread(target=self._receive, args=(body, pieces, stop), name="llm", daemon=True).start()
        begun = _first_words(pieces, deadline=time.monotonic() + self._settings.budget_s)
        if begun is None:
            stop.set()
            return None
        return _rest(begun, pieces, stop)

    def _body(self, text: str, history: Sequence[Exchange], passages: Sequence[Passage]) -> dict[str, Any]:
        messages = [{"role": "system", "content": self._instructions(passages)}]
        for exchange in history:
            messages.append({"role": "user", "content": exchange.said})
            messages.append({"role": "assistant", "content": exchange.replied})
        messages.append({"role": "user", "content": text})
        return {"model": self._settings.model, "messages": messages, "stream": True, "temperature": 0.2}

    def _instructions(self, passages: Sequence[Passage]) -> str:
        parts = [self._settings.instructions]
        if self._settings.topics:
            topics = "\n".join(f"- {topic}" for topic in self._settings.topics)
            parts.append(
                f"You may only talk about:\n{topics}\nAbout anything else answer with the word {REFUSAL} alone."
            )
        if passages:
            known = "\n\n".join(f"{passage.heading}: {passage.text}" for passage in passages)
            parts.append(f"Rest your answer on this:\n{known}")
        parts.append("Your answer is spoken aloud: no lists, no markup, no links.")
        return "\n\n".join(parts)

    def _receive(self, body: dict[str, Any], pieces: "Queue[str | None]", stop: threading.Event) -> None:
        """Put the pieces of the answer into the queue, and None at its end."""
        import httpx

        url = f"{self._settings.url.rstrip('/')}/chat/completions"
        try:
            with self._client.stream("POST", url, json=body, headers=self._headers) as response:
                response.raise_for_status()
                for line in response.iter_lines():
                    if stop.is_set():
                        break
                    piece = _piece(line)
                    if piece:
                        pieces.put(piece)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RuntimeError) as error:
            status = f" {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else ""
            _LOG.warning("the language model at %s failed: %s%s", self._settings.url, type(error).__name__, status)
        finally:
            pieces.put(None)


def _piece(line: str) -> str:
    """The words in one line of server-sent events; "" for every other line."""
    if not line.startswith("data:"):
        return ""
    try:
        delta = json.loads(line.removeprefix("data:"))["choices"][0]["delta"].get("content")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return delta if isinstance(delta, str) else ""


def _first_words(pieces: "Queue[str | None]", *, deadline: float) -> str | None:
    """The beginning of the answer, once it is clear that it is no refusal; None after the deadline or at an end."""
    text = ""
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            piece = pieces.get(timeout=left_s)
        except Empty:
            return None
        if piece is None:  # a whole answer may be shorter than the refusal
            pieces.put(None)
            return text if text.strip() and not text.strip().startswith(REFUSAL) else None
        text += piece
        begun = text.strip()
        if begun.startswith(REFUSAL):
            return None
        if begun and not REFUSAL.startswith(begun):
            return text
    return None


def _rest(begun: str, pieces: "Queue[str | None]", stop: threading.Event) -> Iterator[str]:
    n_chars = len(begun)
    try:
        yield begun
        while n_chars < LONGEST_ANSWER_CHARS:
            try:
                piece = pieces.get(timeout=LONGEST_GAP_S)
            except Empty:
                return
            if piece is None:
                return
            n_chars += len(piece)
            yield piece
    finally:
        stop.set()
