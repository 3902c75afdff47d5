"""A recipe file and its overrides to a `Recipe`, or to every problem there is, each with its place."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spiral_cli import registry
from spiral_cli.errors import Problem, RecipeError, UsageError
from spiral_cli.recipe.check import check
from spiral_cli.recipe.messages import Finding
from spiral_cli.recipe.overrides import override
from spiral_cli.recipe.reader import MAX_BYTES, Node, Position, Source, parse, shown
from spiral_cli.recipe.schema import IMAGENET, PATH_KEYS, Recipe

STARTER = "`spiral new` writes a recipe to start from"


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read, complete and check a recipe.

    Args:
        path: the YAML file; paths in it are relative to its folder.
        overrides: ``a.b=value`` settings that replace the file's, later ones first in line;
            paths in them are relative to the working directory.

    Returns:
        The recipe with every default filled in and every path absolute.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        RecipeError: the recipe is wrong; carries every problem.
    """
    source = Source(str(path), Path(os.path.abspath(path)).parent)
    text = decoded(read_file(path), source)
    tree, problems = parse(text, source)
    if tree is None:
        raise RecipeError(problems or [Problem(source.name, 1, 1, f"received an empty file; {STARTER}")])
    if not isinstance(tree.value, dict):
        message = f"received {shown(tree.value)}; allowed: a mapping of {', '.join(Recipe.model_fields)}; {STARTER}"
        raise RecipeError([*problems, tree.where.problem(message)])
    for assignment in overrides:
        tree, more = override(tree, assignment, Path.cwd())
        problems.extend(more)
    values = plain_values(tree)
    values.setdefault("plugin_folder", str(source.folder))
    problems.extend(plugin_problems(values.get("plugins"), tree, Path(str(values["plugin_folder"]))))
    values.setdefault("name", name_from(path))
    recipe, wrong = check(values)
    reported = {(one.file, one.line, one.column) for one in problems}
    found = [place(tree, finding).problem(finding.message) for finding in wrong]
    problems.extend(one for one in found if (one.file, one.line, one.column) not in reported)
    if recipe is None or problems:
        raise RecipeError(sorted(problems, key=lambda one: (one.file != source.name, one.line, one.column)))
    return recipe


def read_file(path: Path) -> bytes:
    """Return a recipe file's bytes, or refuse in one sentence."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"there is no recipe {path}; name one that exists; {STARTER}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; name the recipe file in it") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"the recipe {str(path)!r} cannot be read: {error}") from None


def decoded(content: bytes, source: Source) -> str:
    """Return the text of a recipe's bytes, or refuse with the place of the first bad one."""
    if len(content) > MAX_BYTES:
        raise RecipeError(
            [Problem(source.name, 1, 1, f"received more than {MAX_BYTES} bytes; a recipe is a short text")]
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        message = f"received the byte {content[error.start]:#04x}; a recipe is UTF-8 text"
        raise RecipeError([Problem(source.name, before.count(b"\n") + 1, column, message)]) from None


def plain_values(tree: Node, keys: tuple[str, ...] = ()) -> Any:
    """Return the tree as dicts, lists and scalars, with the recipe's paths made absolute."""
    if isinstance(tree.value, dict):
        return {key: plain_values(node, (*keys, key)) for key, (_, node) in tree.value.items()}
    if isinstance(tree.value, list):
        return [plain_values(node, (*keys, "")) for node in tree.value]
    if isinstance(tree.value, str) and tree.value and keys in PATH_KEYS and (keys, tree.value) != IMAGENET:
        return os.path.normpath(tree.where.source.folder / os.path.expanduser(tree.value))
    return tree.value


def plugin_problems(plugins: Any, tree: Node, folder: Path) -> list[Problem]:
    """Import the recipe's plugins, so that their names are known, and return what went wrong."""
    registry.search(folder)
    problems: list[Problem] = []
    for index, module in enumerate(plugins if isinstance(plugins, list) else ()):
        if isinstance(module, str) and module:
            try:
                registry.load_plugins([module], folder)
            except UsageError as error:
                problems.append(place(tree, Finding(("plugins", index), "")).problem(str(error)))
    return problems


def place(tree: Node, finding: Finding) -> Position:
    """Return where a finding stands: its value, or its key, or the nearest thing around it."""
    where, node = tree.where, tree
    for depth, key in enumerate(finding.keys, 1):
        if isinstance(node.value, dict) and key in node.value:
            key_place, node = node.value[str(key)]
            last = depth == len(finding.keys)
            where = key_place if (finding.at_key and last) or isinstance(node.value, dict) else node.where
        elif isinstance(node.value, list) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            where = node.where
        elif not isinstance(node.value, list):  # of a list that is short for a mapping, the mapping's key is skipped
            break
    return where


def name_from(path: Path) -> str:
    """Return the run name of a recipe file without one: the file's own, with ``-`` for odd characters."""
    return re.sub(r"^[^\w]+|[^\w.-]+", "-", path.stem).strip("-") or "spiral"
