"""Layer patterns of a recipe: globs, or regular expressions after ``re:``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from spiral_cli.errors import UsageError, did_you_mean


def matches(pattern: str, names: Iterable[str]) -> bool:
    """Say whether ``pattern`` matches any of the names of one thing.

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


def refuse_unmatched(patterns: Iterable[str], things: Sequence[tuple[str, ...]], key: str) -> None:
    """Check that every pattern matches something.

    Args:
        patterns: globs or ``re:`` expressions.
        things: the names of each thing, the most readable first.
        key: where the patterns stand in the recipe.

    Raises:
        UsageError: one matches nothing.
    """
    for pattern in patterns:
        if not any(matches(pattern, names) for names in things):
            known = list(dict.fromkeys(names[0] for names in things))
            near = did_you_mean(pattern, known)
            raise UsageError(f"{key}: '{pattern}' matches no layer; there are {', '.join(known)}{near}")
