"""Read one YAML file strictly, and keep the line of every value.

YAML guesses: an unquoted ``no`` is false, ``12:30:45`` is 45045, ``010`` is 8, a second key
silently wins over the first, nine short lines of aliases are a billion values. Everything
that a reader of the file could take for something else is refused here, with its place and
what to write instead. What is left means the same in YAML 1.1 and 1.2.

Limits: 256 KiB a file, 10,000 values with every alias written out, nesting of 32.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from upkeep.yaml_scalars import Mark, plain_value, refuse

MAX_BYTES = 256 * 1024
MAX_VALUES = 10_000
MAX_DEPTH = 32

Loc = tuple[str | int, ...]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)


@dataclass(slots=True)
class Node:
    """A value and where it is written: a scalar, a list of nodes or a dict of nodes.

    ``mark`` is the place of the key for a value of a mapping, else of the value itself.
    ``values`` is the number of values in it with every alias written out.
    """

    mark: Mark
    content: Any
    values: int = 1
    depth: int = 0

    def plain(self) -> Any:
        """The value without its places: dict, list, str, int, float, bool, date or None."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, node in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content

    def nearest(self, path: Sequence[str | int]) -> Node:
        """The deepest node on ``path`` that is written; a part that is not there is skipped."""
        node = self
        for part in path:
            node = node.child(part) or node
        return node

    def child(self, part: str | int) -> Node | None:
        """The value under a key or at an index, or None."""
        if isinstance(self.content, dict):
            return self.content.get(part)
        if isinstance(self.content, list) and isinstance(part, int):
            return self.content[part] if 0 <= part < len(self.content) else None
        return None

    def walk(self, path: Loc = ()) -> Iterator[tuple[Loc, Node]]:
        """Every node with its path, this one first."""
        yield path, self
        if isinstance(self.content, dict):
            for key, node in self.content.items():
                yield from node.walk((*path, key))
        elif isinstance(self.content, list):
            for index, node in enumerate(self.content):
                yield from node.walk((*path, index))


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end was not read yet."""

    mark: Mark
    content: Any
    anchor: str | None
    key: str | None = None
    key_mark: Mark | None = None
    values: int = 1
    depth: int = 0


@dataclass(slots=True)
class _Builder:
    """Turns events into nodes, without recursion."""

    file: str
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    root: Node | None = None
    documents: int = 0

    def take(self, event: yaml.Event) -> None:
        mark = _mark(self.file, event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                refuse(mark, "---", "a file holds one document", "write one file for each model")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event, mark)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event, mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, mark)

    def _wants_key(self) -> bool:
        top = self.stack[-1] if self.stack else None
        return top is not None and isinstance(top.content, dict) and top.key is None

    def _open(self, event: yaml.CollectionStartEvent, mark: Mark) -> None:
        _no_tag(event.tag, mark)
        if self._wants_key():
            refuse(mark, "? [..]", "a key is a plain word", "write the key as text")
        content: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.stack.append(_Open(mark, content, event.anchor))
        if len(self.stack) > MAX_DEPTH:
            refuse(mark, len(self.stack), f"is nested deeper than {MAX_DEPTH}", "flatten it")

    def _close(self) -> None:
        done = self.stack.pop()
        self._place(Node(done.mark, done.content, done.values, done.depth + 1), done.anchor)

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> None:
        _no_tag(event.tag, mark)
        if _UNPRINTABLE.search(event.value):  # by an escape such as "\0"
            refuse(mark, event.value, "holds an unprintable character", "remove it")
        if self._wants_key():
            self._key(event.value, mark)
            return
        plain = bool(event.implicit[0])
        value = plain_value(event.value, mark) if plain else event.value
        self._place(Node(mark, value), event.anchor)

    def _key(self, key: str, mark: Mark) -> None:
        top = self.stack[-1]
        if key == "<<":
            refuse(mark, key, "merge keys are not read", "put what models share in defaults.yaml")
        if key in top.content:
            rule = f"duplicate key, first written in line {top.content[key].mark.line}"
            refuse(mark, key, rule, "remove one of them")
        top.key, top.key_mark = key, mark

    def _alias(self, event: yaml.AliasEvent, mark: Mark) -> None:
        known = self.anchors.get(event.anchor or "")
        if self._wants_key() or known is None:
            refuse(
                mark, f"*{event.anchor}", "names no finished value before it", "write the value out"
            )
        self._place(Node(mark, known.content, known.values, known.depth), None)

    def _place(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        top.values += node.values
        top.depth = max(top.depth, node.depth)
        if top.values > MAX_VALUES:
            rule = f"is more than {MAX_VALUES} values with every alias written out"
            refuse(node.mark, top.values, rule, "write fewer values, without aliases")
        if len(self.stack) + node.depth > MAX_DEPTH:
            refuse(node.mark, "*alias", f"is nested deeper than {MAX_DEPTH}", "flatten it")
        if isinstance(top.content, dict):
            node.mark = top.key_mark or node.mark
            top.content[top.key] = node
            top.key = None
        else:
            top.content.append(node)


def _mark(file: str, at: Any) -> Mark:
    """A place from PyYAML's mark, which counts from 0; the start where it has none."""
    return Mark(file, at.line + 1, at.column + 1) if at else Mark(file, 1, 1)


def _no_tag(tag: str | None, mark: Mark) -> None:
    if tag is not None:
        refuse(mark, tag, "tags are not read", "remove the tag: plain values only")


def _read_text(path: Path, file: str) -> str:
    start = Mark(file, 1, 1)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            refuse(start, path.name, "is not a regular file", "remove it from the folder")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        refuse(start, path.name, f"cannot be read ({error.strerror})", "mend or remove the file")
    if len(data) > MAX_BYTES:
        refuse(start, path.name, f"is larger than {MAX_BYTES} bytes", "make it smaller")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        value = data[error.start : error.start + 1]
        refuse(Mark(file, line, 1), value, "is not UTF-8", "save the file as UTF-8")


def _mark_at(text: str, offset: int, file: str) -> Mark:
    line_start = text.rfind("\n", 0, offset) + 1
    return Mark(file, text.count("\n", 0, offset) + 1, offset - line_start + 1)


def _check_characters(text: str, file: str) -> None:
    bad = _UNPRINTABLE.search(text)
    if bad:
        rule = "is not a printable character"
        refuse(_mark_at(text, bad.start(), file), bad.group(), rule, "remove it")
    tab = _TAB_INDENT.search(text)
    if tab:
        rule = "a line is indented with a tab"
        refuse(_mark_at(text, tab.end() - 1, file), "\t", rule, "indent with spaces")


def _near_text(text: str, mark: Mark) -> str:
    lines = text.splitlines()
    return lines[mark.line - 1].strip() if 0 < mark.line <= len(lines) else ""


def parse_yaml(text: str, file: str) -> Node:
    """The nodes of one document; ``file`` is how messages name it.

    Raises:
        ConfigError: the text is not YAML, means two things, holds nothing, or is over a limit.

    """
    _check_characters(text, file)
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = _mark(file, error.problem_mark or error.context_mark)
        rule = f"is not YAML ({error.problem or error.context})"
        refuse(mark, _near_text(text, mark), rule, "mend the line or the one before it")
    if builder.root is None:
        refuse(Mark(file, 1, 1), text.strip(), "holds no value", "write key: value lines")
    return builder.root


def read_yaml(path: Path, file: str | None = None) -> Node:
    """The nodes of the one document in a file; see :func:`parse_yaml`.

    Raises:
        ConfigError: additionally, the file cannot be read, is too large or not UTF-8.

    """
    name = file or path.name
    return parse_yaml(_read_text(path, name), name)
