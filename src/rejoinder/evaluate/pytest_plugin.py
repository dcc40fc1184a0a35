"""A pytest plug-in: `pytest --rejoinder` collects the conversations of domains, each as a test of its own.

It takes `tests/*.yaml` beside a `domain.yaml`, and leaves every other file alone; without the option, only such a file
that is named on the command line. An assistant is loaded when its first conversation runs, once for all of them.
Nothing of Rejoinder's but this module is imported before that.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rejoinder.assistant import Assistant
    from rejoinder.domain import Domain
    from rejoinder.evaluate.conversation import Conversation
    from rejoinder.evaluate.records import Played

_ASSISTANTS: "pytest.StashKey[dict[Path, Assistant]]" = pytest.StashKey()


class ConversationFailedError(Exception):
    """A conversation that did not go as it should."""

    def __init__(self, played: "Played") -> None:
        super().__init__(played.name)
        self.played = played


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("rejoinder", "conversations with voice assistants")
    group.addoption(
        "--rejoinder", action="store_true", help="play the conversations in tests/*.yaml beside domain.yaml"
    )
    group.addoption(
        "--rejoinder-mode", choices=("text", "audio"), default="text", help="typed (the default), or spoken and heard"
    )
    group.addoption(
        "--rejoinder-repeat", type=int, default=1, metavar="N", help="play each so often, to find those that are flaky"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to play conversations no times at all: they would all pass."""
    if config.getoption("--rejoinder-repeat") < 1:
        raise pytest.UsageError("--rejoinder-repeat must be 1 or more")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ConversationFile | None":
    """Conversations of a domain, if they are asked for."""
    folder = file_path.parent
    if file_path.suffix != ".yaml" or folder.name != "tests" or not (folder.parent / "domain.yaml").is_file():
        return None
    if not parent.config.getoption("--rejoinder") and not parent.session.isinitpath(file_path):
        return None
    return ConversationFile.from_parent(parent, path=file_path)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the assistants go."""
    for assistant in config.stash.get(_ASSISTANTS, {}).values():
        assistant.close()


class ConversationFile(pytest.File):
    """A file of conversations."""

    def collect(self) -> "Iterator[ConversationItem]":
        """Its conversations; where file or domain are wrong, a collection error says what and where."""
        from rejoinder.domain import Domain
        from rejoinder.errors import DomainError
        from rejoinder.evaluate.conversation import read_conversations

        try:
            domain = Domain.load(self.path.parent.parent)
            conversations = read_conversations(self.path, domain)
        except DomainError as error:
            raise self.CollectError(str(error)) from None
        for conversation in conversations:
            yield ConversationItem.from_parent(self, name=conversation.name, conversation=conversation, domain=domain)


class ConversationItem(pytest.Item):
    """A conversation, as a test."""

    def __init__(self, *, conversation: "Conversation", domain: "Domain", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conversation = conversation
        self.domain = domain

    def runtest(self) -> None:
        """Play it; raises `ConversationFailedError` for the first repetition that goes wrong."""
        from rejoinder.evaluate.play import play_all

        mode, repeat = self.config.getoption("--rejoinder-mode"), self.config.getoption("--rejoinder-repeat")
        for played in play_all(self._assistant(), [self.conversation], system="", mode=mode, repeat=repeat):
            if not played.ok:
                raise ConversationFailedError(played)

    def _assistant(self) -> "Assistant":
        """The domain's, loaded if no conversation has needed it before."""
        from rejoinder.assistant import Assistant

        assistants = self.config.stash.setdefault(_ASSISTANTS, {})
        if self.domain.folder not in assistants:
            assistants[self.domain.folder] = Assistant.load(self.domain.folder)
        return assistants[self.domain.folder]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The dialogue with what was expected of it, where it is the conversation that failed."""
        from rejoinder.errors import RejoinderError
        from rejoinder.evaluate.junit import as_text

        if isinstance(excinfo.value, ConversationFailedError):
            played = excinfo.value.played
            again = f", repetition {played.repeat + 1}" if played.repeat else ""
            return f"{self.path}:{self.conversation.line}: {played.name} (as {played.mode}{again})\n\n{as_text(played)}"
        if isinstance(excinfo.value, RejoinderError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands: pytest counts lines from 0."""
        return self.path, self.conversation.line - 1, self.name
