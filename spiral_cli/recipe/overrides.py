"""``--set a.b=value``: one value put into a recipe's tree, as if it had been written there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spiral_cli.errors import Problem
from spiral_cli.recipe.reader import Node, Position, Source, parse, shown


def override(tree: Node, assignment: str, folder: Path) -> tuple[Node, list[Problem]]:
    """Return ``tree`` with ``assignment`` applied, and what was wrong with it.

    Args:
        assignment: ``key.key=value``; the value is YAML, entries of lists are addressed from 0.
        folder: what paths in the value are relative to.
    """
    path, equals, text = assignment.partition("=")
    start = Position(Source(f"--set {assignment}", folder), 1, 1)
    keys = path.strip().split(".")
    if not equals or not all(keys):
        return tree, [start.problem(f"received {shown(assignment)}; allowed: key.key=value, such as train.epochs=3")]
    value, problems = parse(text, Source(start.source.name, folder, column=len(path) + 2))
    if value is None and not problems:
        value = Node(start, None)
    if value is None:
        return tree, problems
    try:
        return put(tree, keys, value, start, "the recipe"), problems
    except LookupError as error:
        return tree, [*problems, start.problem(str(error.args[0]))]


def put(tree: Node, keys: list[str], value: Node, where: Position, name: str) -> Node:
    """Return ``tree`` with ``value`` under ``keys``; missing mappings on the way are made.

    Raises:
        LookupError: the way leads through a value that has no such entry.
    """
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    below = key if name == "the recipe" else f"{name}.{key}"
    content = {} if tree.value is None else tree.value
    if isinstance(content, dict):
        place, old = content.get(key, (where, Node(where, None)))
        new = put(old, rest, value, where, below)
        return replace(tree, value={**content, key: (place if rest else where, new)})
    if isinstance(content, list):
        if not key.isdecimal() or int(key[:9]) >= len(content):
            raise LookupError(f"received '{key}' for {name}, a list; allowed: an entry from 0 to {len(content) - 1}")
        index = int(key)
        return replace(
            tree, value=[*content[:index], put(content[index], rest, value, where, below), *content[index + 1 :]]
        )
    raise LookupError(f"received '{below}', but {name} is {shown(content)}, which has no keys; set {name} as a whole")
