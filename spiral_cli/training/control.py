"""When to stop: a person's Ctrl-C, a time limit. Asked between chunks, never inside a step.

Where several processes train together, all of them stop where one was asked to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from spiral_cli.errors import InterruptedRun


class TimeIsUp(Exception):
    """``--max-minutes`` have passed; the spiral ends with what was accepted so far."""


def never() -> bool:
    """Do not stop."""
    return False


class Together(Protocol):
    """What processes that train together ask of each other, each of them at the same time."""

    def most(self, value: float) -> float:
        """Return the largest ``value`` of them all."""

    def agree(self, what: str, facts: str) -> None:
        """Return if ``facts`` are the same everywhere.

        Raises:
            SpiralError: they are not.
        """


class Alone:
    """One process."""

    def most(self, value: float) -> float:
        """Return ``value``."""
        return value

    def agree(self, what: str, facts: str) -> None:
        """Return."""


@dataclass(frozen=True)
class Control:
    """Says at each chunk whether the work may go on.

    Attributes:
        interrupted: true once a person or the system asked to stop.
        max_minutes: wall-clock limit counted from ``started``, or None.
        started: `time.monotonic` at the beginning.
        together: the processes that must come to the same answer.
    """

    interrupted: Callable[[], bool] = never
    max_minutes: float | None = None
    started: float = field(default_factory=time.monotonic)
    together: Together = field(default_factory=Alone)

    @property
    def stopped(self) -> bool:
        """Whether anyone was asked to stop."""
        return self.together.most(self.interrupted()) > 0

    @property
    def out_of_time(self) -> bool:
        """Whether the limit has passed."""
        passed = self.max_minutes is not None and time.monotonic() - self.started > 60.0 * self.max_minutes
        return self.together.most(passed) > 0

    @property
    def stop_asked(self) -> bool:
        """Whether `check` would raise."""
        return self.stopped or self.out_of_time

    def check(self) -> None:
        """Return if the work may go on.

        Raises:
            InterruptedRun: asked to stop.
            TimeIsUp: the limit has passed.
        """
        if self.stopped:
            raise InterruptedRun("stopped on request; run the same command again to resume")
        if self.out_of_time:
            raise TimeIsUp
