"""YAML files as plain data that remembers its lines, with includes merged in.

Every scalar stays the text that the owner wrote: `no` is a word here, not false, and a code `007` keeps its zeros. The
schema turns texts into numbers where it wants them.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from glob import has_magic
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from rejoinder.errors import DomainError, one_of

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a piece of data stands: `("slots", "size", "values", 2)`."""

QUOTES_HINT = "; a text must stand in quotes if it begins with [ or {, has ': ' in it, or a comma or ? inside brackets"
QUOTES_SIGNS = ("flow", "block", "mapping values")
"""Words in YAML's complaints that most often mean missing quotes."""

NO_ITEM = -1
"""Stands in a path for the item of a list that is no longer there."""

EMPTY = frozenset(("", "~", "null"))
"""What YAML reads as no value, when it stands unquoted."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A line of a file, the first being 1. `n_file` orders the files as they were read."""

    n_file: int
    line: int
    file: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def did_you_mean(name: str, choices: "list[str] | tuple[str, ...]") -> str:
    """What to say after "unknown": the near miss, and the choices."""
    near = get_close_matches(name, choices, n=1, cutoff=0.6)
    return f"(did you mean '{near[0]}'? {one_of(choices)})" if near else f"({one_of(choices)})"


def files_matching(pattern: str, folder: Path) -> list[Path]:
    """The files of `folder` that a name or a glob ("knowledge/*.md") stands for, sorted."""
    if Path(pattern).is_absolute():
        return []
    try:
        found = sorted(folder.glob(pattern)) if has_magic(pattern) else [folder / pattern]
    except ValueError:  # "**" beside other characters
        return []
    return [path for path in found if path.is_file()]


@dataclass(slots=True)
class Source:
    """What domain.yaml and its includes say, and everything that is wrong with it so far."""

    path: Path
    data: dict[str, Any] = field(default_factory=dict)
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[tuple[Mark, str]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    dropped: list[KeyPath] = field(default_factory=list)
    keys: str = ""
    """What is said to stand in the file where it holds something else."""

    @classmethod
    def load(cls, path: Path, *, keys: str = "name, slots, intents, …") -> "Source":
        """Read `path` and what it includes; raises `DomainError` when a file is missing or is not YAML."""
        source = cls(path, keys=keys)
        if not source._include(path, inside=()):
            source.stop()  # what a file that was not read would have said is not to be missed elsewhere
        return source

    def mark(self, path: KeyPath) -> Mark:
        """The line of `path`, or of the nearest thing around it that has one."""
        # The values of `size: [small, large]` stand right under the slot, where the schema has them under 'values'.
        unfolded = tuple(part for part in path if part != "values")
        nearest = max(self._nearest(path), self._nearest(unfolded), key=len)
        return self.marks.get(nearest) or Mark(0, 1, str(self.path))

    def _nearest(self, path: KeyPath) -> KeyPath:
        while path and path not in self.marks:
            path = path[:-1]
        return path

    def problem(self, path: KeyPath, what: str) -> None:
        """Note that something is wrong at `path`, unless that follows from what was dropped there."""
        if not self.is_dropped(path):
            self.problems.append((self.mark(path), what))

    def give_up(self, path: KeyPath, what: str) -> None:
        """Note that something is wrong at `path`, so that whatever follows from it is not noted too."""
        self.problem(path, what)
        self.dropped.append(path)

    def names(self, *path: str) -> list[str]:
        """The keys of the mapping at `path`, dropped ones included."""
        inside = (key[-1] for key in self.marks if len(key) == len(path) + 1 and key[:-1] == path)
        return [name for name in inside if isinstance(name, str)]

    def is_dropped(self, path: KeyPath) -> bool:
        """Whether `path`, something inside it or something around it was dropped."""
        return any(path[: len(gone)] == gone[: len(path)] for gone in self.dropped)

    def drop(self, path: KeyPath) -> None:
        """Take what stands at `path` out of the data: its problem was noted, and no other is to follow from it."""
        around: Any = self.data
        at: Any = self.data
        existing: list[str | int] = []
        for part in path:
            if isinstance(at, list) and part == "values":
                continue
            if not (part in at if isinstance(at, dict) else isinstance(at, list) and isinstance(part, int)):
                break
            existing.append(part)
            around, at = at, at[part]
        if not existing:
            return
        del around[existing[-1]]
        gone, inside = existing[-1], tuple(existing[:-1])
        if isinstance(gone, int):
            self.marks = {_moved(key, inside, gone): mark for key, mark in self.marks.items()}
            self.dropped = [_moved(key, inside, gone) for key in self.dropped]
            gone = NO_ITEM
        self.dropped.append((*inside, gone))

    def stop(self) -> None:
        """Raise `DomainError` with every problem found, one a line, in the files' order."""
        unique = sorted(dict.fromkeys(self.problems), key=itemgetter(0))
        raise DomainError("\n".join(f"{mark.file}:{mark.line}: {what}" for mark, what in unique))

    def _include(self, path: Path, *, inside: tuple[Path, ...]) -> bool:
        """Add the data of `path` and, after it, of the files that it includes; whether all of them could be read."""
        self.files.append(path.resolve())
        reader = _Reader(path, n_file=len(self.files) - 1, keys=self.keys)
        data = reader.read()
        self.problems.extend(reader.problems)
        if data is None:
            return False
        includes = data.pop("include", [])
        self._merge(data, reader.marks)
        includes = [includes] if isinstance(includes, str) else includes
        if not isinstance(includes, list) or not all(isinstance(name, str) for name in includes):
            self.problems.append((reader.marks[("include",)], "'include' must be a file name or a list of file names"))
            return False
        is_whole = True
        inside = (*inside, path.resolve())
        for n, name in enumerate(includes):
            mark = reader.marks.get(("include", n), reader.marks[("include",)])
            found = files_matching(name, path.parent)
            if not found:
                self.problems.append((mark, f"no file matches '{name}' in {path.parent}"))
                is_whole = False
            for file in found:
                if file.resolve() in inside:
                    chain = " -> ".join(p.name for p in (*inside, file))
                    self.problems.append((mark, f"files include each other in a circle: {chain}"))
                    is_whole = False
                elif file.resolve() not in self.files:
                    is_whole = self._include(file, inside=inside) and is_whole
        return is_whole

    def _merge(self, data: dict[str, Any], marks: dict[KeyPath, Mark]) -> None:
        """Join lists end to end and mappings key by key; whatever is said twice is a problem."""
        for key, value in data.items():
            mine = self.data.get(key)
            if mine is None:
                self.data[key] = value
                self._adopt(marks, (key,))
            elif isinstance(mine, list) and isinstance(value, list):
                self._adopt(marks, (key,), n_before=len(mine))
                mine.extend(value)
            elif isinstance(mine, dict) and isinstance(value, dict):
                for inner, item in value.items():
                    if inner in mine:
                        self._said_twice(f"'{inner}' in '{key}'", marks[(key, inner)], self.mark((key, inner)))
                    else:
                        mine[inner] = item
                        self._adopt(marks, (key, inner))
            elif value is not None:
                self._said_twice(f"'{key}'", marks[(key,)], self.mark((key,)))

    def _adopt(self, marks: dict[KeyPath, Mark], at: KeyPath, *, n_before: int = 0) -> None:
        """Take over the marks at and under `at`; the items of a list come after `n_before` that are there already."""
        for path, mark in marks.items():
            if path[: len(at)] == at:
                n = path[len(at)] if len(path) > len(at) else None
                moved = (*at, n + n_before, *path[len(at) + 1 :]) if isinstance(n, int) else path
                self.marks.setdefault(moved, mark)

    def _said_twice(self, what: str, mark: Mark, first: Mark) -> None:
        self.problems.append((mark, f"{what} is given twice (first at {first.file}:{first.line})"))


def _moved(key: KeyPath, inside: KeyPath, gone: int) -> KeyPath:
    """Where `key` stands once the item `gone` of the list at `inside` was taken out."""
    n = key[len(inside)] if len(key) > len(inside) and key[: len(inside)] == inside else None
    if not isinstance(n, int) or n < gone:
        return key
    return (*inside, NO_ITEM if n == gone else n - 1, *key[len(inside) + 1 :])


def _compose(text: str) -> yaml.Node | None:
    """The YAML's tree. libyaml reads it ten times faster where it is there; the complaints are always the same ones."""
    if yaml.__with_libyaml__:
        try:
            return yaml.compose(text, Loader=yaml.CBaseLoader)
        except yaml.YAMLError:
            pass
    return yaml.compose(text, Loader=yaml.BaseLoader)


class _Reader:
    """One YAML file: its data, and the line of every key and item."""

    def __init__(self, path: Path, *, n_file: int, keys: str) -> None:
        self.path = path
        self.n_file = n_file
        self.keys = keys
        self.marks: dict[KeyPath, Mark] = {}
        self.problems: list[tuple[Mark, str]] = []

    def read(self) -> dict[str, Any] | None:
        """The file's mapping; None when it cannot be read at all."""
        try:
            node = _compose(self.path.read_text(encoding="utf-8-sig"))
            if node is None:
                return {}
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, (), ())
            self._problem(1, f"must be a mapping of keys ({self.keys})")
        except OSError as error:
            self._problem(1, f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self._problem(1, f"is not UTF-8 text (byte {error.start})")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(filter(None, (error.context, error.problem)))
            hint = QUOTES_HINT if any(sign in what for sign in QUOTES_SIGNS) else ""
            self._problem(mark.line + 1 if mark else 1, f"not valid YAML: {what}{hint}")
        except yaml.YAMLError as error:
            self._problem(1, f"not valid YAML: {str(error).splitlines()[0]}")
        return None

    def _problem(self, line: int, what: str) -> None:
        self.problems.append((Mark(self.n_file, line, str(self.path)), what))

    def _data(self, node: yaml.Node, path: KeyPath, around: tuple[yaml.Node, ...]) -> Any:
        """What `node`, which stands at `path` inside the nodes `around`, holds."""
        line = node.start_mark.line + 1
        self.marks.setdefault(path, Mark(self.n_file, line, str(self.path)))
        if node in around:
            problem = "an alias stands inside what it stands for"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        around = (*around, node)
        if isinstance(node, yaml.SequenceNode):
            return [self._data(item, (*path, n), around) for n, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, around)
        text: str = node.value
        is_plain = isinstance(node, yaml.ScalarNode) and not node.style
        return None if is_plain and text.lower() in EMPTY else text

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, around: tuple[yaml.Node, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(line, "a key must be a plain text; put a value that begins with { or [ in quotes")
                continue
            key = key_node.value
            if key in data:
                self._problem(line, f"'{key}' is given twice (first in line {self.marks[(*path, key)].line})")
                continue
            self.marks[(*path, key)] = Mark(self.n_file, line, str(self.path))
            data[key] = self._data(value_node, (*path, key), around)
        return data
