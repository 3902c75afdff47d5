"""Every error a person can meet, each with the exit code the README documents.

Nothing here prints: `spiral_cli.cli` alone turns an error into text and an exit status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class SpiralError(Exception):
    """Something failed while running; the base of all errors raised on purpose."""

    exit_code = 1


class DivergedError(SpiralError):
    """The loss became NaN or infinite; the last good state is kept on disk."""


class DiskFullError(SpiralError):
    """The disk is full; nothing already written is lost."""


class ExportError(SpiralError):
    """A file of the student could not be written, or is not fit to be shipped."""


class LostWorkerError(SpiralError):
    """A process that trains along has ended; what was finished is on disk."""

    exit_code = 5


class UsageError(SpiralError):
    """What was asked for cannot be: a wrong flag, device, model or combination of them."""

    exit_code = 2


class RunMismatchError(UsageError):
    """The run folder was made by another recipe, or another process is using it."""


class BudgetError(SpiralError):
    """The student misses its accuracy budget."""

    exit_code = 3


class MissingError(SpiralError):
    """Data or a model is missing, or what lies there cannot be used."""

    exit_code = 4


class InterruptedRun(SpiralError):
    """Stopped by Ctrl-C or SIGTERM at a point from which the run can go on."""

    exit_code = 130


@dataclass(frozen=True)
class Problem:
    """One mistake in a recipe: where it stands and what to do about it."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class RecipeError(UsageError):
    """A recipe that cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(received: str, allowed: Sequence[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest allowed name, or an empty string."""
    matches = get_close_matches(received, allowed, n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""
