"""Which console fits a stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TextIO

from spiral_cli.console.course import Course
from spiral_cli.console.plain import PlainConsole
from spiral_cli.recipe import Recipe


def open_console(
    recipe: Recipe, stream: TextIO, *, live: bool, verbose: bool, stopping: Callable[[], bool]
) -> PlainConsole:
    """Return the console that fits ``stream``: use it as a context manager and as a listener.

    Args:
        recipe: names the metric, the budget and how much work there is.
        stream: where human text goes.
        live: redraw, if ``stream`` is a terminal.
        verbose: show every epoch of every round.
        stopping: true once the person asked to stop.
    """
    course = Course.of(recipe)
    if not (live and is_terminal(stream)):
        return PlainConsole(recipe.guard, course, stream, verbose)
    from spiral_cli.console.live import LiveConsole

    return LiveConsole(recipe.guard, course, stream, verbose, stopping)


def is_terminal(stream: TextIO) -> bool:
    """Say whether lines of ``stream`` can be redrawn."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
