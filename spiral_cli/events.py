"""What the work below tells whoever watches: the console, a log, a test, or nobody.

The core never prints. It is handed a `Listener` and calls it with these frozen records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class StageStarted:
    """A training stage begins or is taken up again: ``teacher``, ``dense``, ``round`` or ``tuning``."""

    stage: str
    title: str
    epochs: int
    first_epoch: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """Some steps were trained: ``done`` of ``total`` epochs (fractions count) of this stage."""

    stage: str
    done: float
    total: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class EpochDone:
    """One epoch ended. ``losses`` are training means; ``metrics`` are on validation, or empty."""

    stage: str
    title: str
    epoch: int
    epochs: int
    losses: Mapping[str, float]
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class StageDone:
    """A stage ended, or was found finished in the run folder (``reused``)."""

    stage: str
    title: str
    metrics: Mapping[str, float]
    seconds: float
    reused: bool = False


@dataclass(frozen=True)
class RoundDone:
    """One try of a round was judged; ``row`` is its record in the ledger and the report."""

    row: Mapping[str, Any]
    reused: bool = False


@dataclass(frozen=True)
class Notice:
    """Something a person should know that is no error."""

    text: str
    level: Literal["info", "warning"] = "info"


Event = StageStarted | Progress | EpochDone | StageDone | RoundDone | Notice
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Listen to nothing."""
