"""YAML text to a tree in which every key and value knows where it was written.

The tree is built from PyYAML's event stream, so that no tag can make an object, and the limits
below stop a hostile file before anything is built from it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from spiral_cli.errors import Problem
from spiral_cli.recipe.scalars import Scalar, expand, plain

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_TABS = 100  # lines reported
MAX_NODES = 10_000  # aliases count in full, which is what defuses a YAML bomb

UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEXT_TAGS = ("!", "tag:yaml.org,2002:str")


@dataclass(frozen=True)
class Source:
    """Where text comes from: its name in messages, what its paths are relative to, its first column."""

    name: str
    folder: Path
    column: int = 1


@dataclass(frozen=True)
class Position:
    """A place in a source; lines and columns count from 1."""

    source: Source
    line: int
    column: int

    def problem(self, message: str) -> Problem:
        """Return the problem ``message`` at this place."""
        return Problem(self.source.name, self.line, self.column, message)


@dataclass(frozen=True)
class Node:
    """A value and its place. Mappings hold ``(place of the key, value)`` under each key's text."""

    where: Position
    value: Scalar | list[Node] | dict[str, tuple[Position, Node]]
    size: int = 1  # values in it, itself counted
    height: int = 1  # levels of nesting


def shown(value: Any) -> str:
    """Return a received value as a message shows it: text in quotes, short, on one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


class ReadError(Exception):
    """The text cannot be read any further."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def parse(text: str, source: Source) -> tuple[Node | None, list[Problem]]:
    """Return the tree of ``text`` and every problem met; no tree and no problem means no content."""
    reader = Reader(source, text)
    try:
        return reader.read(), reader.problems
    except ReadError as stop:
        return None, [*reader.problems, stop.problem]
    except yaml.YAMLError as error:
        return None, [*reader.problems, *reader.syntax(error)]


@dataclass
class Reader:
    """Builds the tree of one text; what can be read past is collected in ``problems``."""

    source: Source
    text: str
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    nodes: int = 0

    def place(self, mark: Any) -> Position:
        """Return the position of a parser's mark."""
        shift = self.source.column if mark.line == 0 else 1
        return Position(self.source, mark.line + 1, mark.column + shift)

    def offset(self, index: int) -> Position:
        """Return the position of the character at ``index``."""
        line = self.text.count("\n", 0, index)
        column = index - (self.text.rfind("\n", 0, index) + 1)
        return self.place(yaml.Mark("", index, line, column, None, 0))

    def read(self) -> Node | None:
        """Return the tree, or None for a text without content.

        Raises:
            ReadError: a limit is reached, or what follows makes no sense in a recipe.
            yaml.YAMLError: the text is not YAML.
        """
        if bad := UNPRINTABLE.search(self.text):
            code = ord(bad.group())
            raise ReadError(
                self.offset(bad.start()).problem(f"received the character {code:#x}; a recipe is printable text")
            )
        parser = LOADER(self.text)
        try:
            parser.get_event()  # stream start
            if isinstance(parser.get_event(), yaml.StreamEndEvent):
                return None
            root = self.node(parser, parser.get_event(), 0)
            parser.get_event()  # document end
            after = parser.get_event()
            if not isinstance(after, yaml.StreamEndEvent):
                raise ReadError(self.place(after.start_mark).problem("received a second document; a recipe is one"))
            return root
        finally:
            parser.dispose()

    def syntax(self, error: yaml.YAMLError) -> list[Problem]:
        """Return what a parser's error means: every line indented by a tab, or the one place."""
        tabs = [
            self.offset(match.end() - 1).problem("received a tab; allowed: spaces for indentation")
            for match in islice(TAB_INDENT.finditer(self.text), MAX_TABS)
        ]
        if tabs:
            return tabs
        marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
        lines = self.text.split("\n")
        # A text that ends too early has its mark after the end; where the open bracket stands helps more.
        written = [mark for mark in marks if mark and mark.line < len(lines) and lines[mark.line].strip()]
        place = self.place(written[0]) if written else Position(self.source, 1, self.source.column)
        line = lines[written[0].line].strip() if written else self.text.strip()
        reason = " ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None))))
        received = f"received {shown(line)}, which is not YAML" if line else "not YAML"
        advice = '; inside { } or [ ] write "${VAR}" in quotes' if "${" in line else ""
        return [place.problem(f"{received}: {reason or 'the text cannot be read'}{advice}")]

    def node(self, parser: Any, event: Any, depth: int) -> Node:
        """Return the node that starts with ``event``."""
        where = self.place(event.start_mark)
        self.check_depth(depth, where)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise ReadError(
                    where.problem(f"received *{event.anchor}, but no finished value is marked &{event.anchor}")
                )
            node = self.anchors[event.anchor]
            self.check_depth(depth + node.height - 1, where)
            self.count(node.size, where)
            return node
        self.count(1, where)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(where, self.scalar(event, where))
        else:
            if event.tag is not None:
                self.problems.append(where.problem(f"received the tag {shown(event.tag)}; write the value without it"))
            read = self.sequence if isinstance(event, yaml.SequenceStartEvent) else self.mapping
            node = read(parser, where, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def check_depth(self, depth: int, where: Position) -> None:
        """ReadError where values are nested too deep."""
        if depth > MAX_DEPTH:
            raise ReadError(where.problem(f"received values nested deeper than {MAX_DEPTH} levels; a recipe needs 5"))

    def count(self, size: int, where: Position) -> None:
        """Add ``size`` values to the count, and stop where they are too many."""
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise ReadError(
                where.problem(f"received more than {MAX_NODES} values, aliases counted in full; simplify it")
            )

    def scalar(self, event: Any, where: Position) -> Scalar:
        """Return the value of a scalar, with environment variables in place."""
        if event.tag is not None and event.tag not in TEXT_TAGS:
            message = f"received the tag {shown(event.tag)}; allowed: !!str, or the value without a tag"
            self.problems.append(where.problem(message))
        value: Scalar = plain(event.value) if event.implicit[0] else event.value
        if "${" in event.value:
            try:
                value = expand(event.value, os.environ)
            except ValueError as error:
                self.problems.append(where.problem(str(error)))
        if isinstance(value, str):
            self.check_printable(value, where)
        return str(event.value) if event.tag in TEXT_TAGS and not isinstance(value, str) else value

    def check_printable(self, text: str, where: Position) -> None:
        """Report a control character that an escape or a variable brought in."""
        if bad := UNPRINTABLE.search(text):
            code = ord(bad.group())
            self.problems.append(where.problem(f"received the character {code:#x}; a recipe is printable text"))

    def sequence(self, parser: Any, where: Position, depth: int) -> Node:
        """Return a list, reading up to its end."""
        items: list[Node] = []
        while not isinstance(event := parser.get_event(), yaml.SequenceEndEvent):
            items.append(self.node(parser, event, depth + 1))
        return collection(where, items, items)

    def mapping(self, parser: Any, where: Position, depth: int) -> Node:
        """Return a mapping, reading up to its end. Keys are text however they are written."""
        entries: dict[str, tuple[Position, Node]] = {}
        while not isinstance(event := parser.get_event(), yaml.MappingEndEvent):
            place = self.place(event.start_mark)
            if not isinstance(event, yaml.ScalarEvent):
                raise ReadError(place.problem("received a list, mapping or alias as a key; allowed: text"))
            value = self.node(parser, parser.get_event(), depth + 1)
            self.check_printable(event.value, place)
            if event.value in entries:
                first = entries[event.value][0].line
                message = f"received the key {shown(event.value)} a second time (first in line {first}); keep one"
                self.problems.append(place.problem(message))
            else:
                entries[event.value] = (place, value)
        return collection(where, entries, [node for _, node in entries.values()])


def collection(where: Position, value: Any, nodes: list[Node]) -> Node:
    """Return the node of a list or mapping that holds ``nodes``."""
    size = 1 + sum(node.size for node in nodes)
    return Node(where, value, size, 1 + max((node.height for node in nodes), default=0))
