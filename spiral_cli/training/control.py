"""When to stop: a person's Ctrl-C, a time limit. Asked between chunks, never inside a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from spiral_cli.errors import InterruptedRun


class TimeIsUp(Exception):
    """``--max-minutes`` have passed; the spiral ends with what was accepted so far."""


def never() -> bool:
    """Do not stop."""
    return False


@dataclass(frozen=True)
class Control:
    """Says at each chunk whether the work may go on.

    Attributes:
        interrupted: true once a person or the system asked to stop.
        max_minutes: wall-clock limit counted from ``started``, or None.
        started: `time.monotonic` at the beginning.
    """

    interrupted: Callable[[], bool] = never
    max_minutes: float | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def out_of_time(self) -> bool:
        """Whether the limit has passed."""
        return self.max_minutes is not None and time.monotonic() - self.started > 60.0 * self.max_minutes

    @property
    def stop_asked(self) -> bool:
        """Whether `check` would raise."""
        return self.interrupted() or self.out_of_time

    def check(self) -> None:
        """Return if the work may go on.

        Raises:
            InterruptedRun: asked to stop.
            TimeIsUp: the limit has passed.
        """
        if self.interrupted():
            raise InterruptedRun("stopped on request; run the same command again to resume")
        if self.out_of_time:
            raise TimeIsUp
