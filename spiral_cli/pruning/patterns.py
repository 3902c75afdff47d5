"""Layer patterns of a recipe: globs, or regular expressions after ``re:``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from spiral_cli.errors import UsageError, did_you_mean


def spellings(name: str) -> tuple[str, ...]:
    """Return what a pattern may match of the weight ``name``.

    That is the path of the weight and of every layer that holds it, and each one's own name:
    ``a/b/kernel`` goes by ``a/b/kernel``, ``a/b``, ``a``, ``b`` and ``kernel``.
    """
    parts = name.split("/")
    paths = ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return tuple(dict.fromkeys([*paths, *parts]))


def matches(pattern: str, names: Iterable[str]) -> bool:
    """Say whether ``pattern`` matches any of ``names``: a glob the whole of it, ``re:`` any part.

    Raises:
        UsageError: a regular expression cannot be read.
    """
    if not pattern.startswith("re:"):
        return any(fnmatchcase(name, pattern) for name in names)
    try:
        expression = re.compile(pattern[3:])
    except re.error as error:
        raise UsageError(f"'{pattern}' is no regular expression: {error}") from None
    return any(expression.search(name) for name in names)


def refuse_unmatched(patterns: Iterable[str], names: Sequence[str], key: str) -> None:
    """Check that every pattern matches at least one weight.

    Args:
        patterns: globs or ``re:`` expressions.
        names: the weights that may be meant.
        key: where the patterns stand in the recipe.

    Raises:
        UsageError: one matches nothing; the message lists the layers there are.
    """
    for pattern in patterns:
        if not any(matches(pattern, spellings(name)) for name in names):
            layers = list(dict.fromkeys(name.rpartition("/")[0] or name for name in names))
            near = did_you_mean(pattern, layers)
            raise UsageError(f"{key}: '{pattern}' matches no layer; there are {', '.join(layers) or 'none'}{near}")
