"""Which turn comes next, and whether one is kept: pure functions of the rows so far.

The rows are the ledger's; a run that was killed is at the same turn when it reads them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from spiral_cli.pruning.schedules import retry_density
from spiral_cli.recipe.metrics import lower_is_better

Row = Mapping[str, Any]
TOLERANCE = 1e-9  # a drop of exactly the budget is within it, whatever binary fractions say


@dataclass(frozen=True)
class Attempt:
    """One try of one round: both counted from 1, and the density it aims at."""

    round: int
    attempt: int
    density: float


def next_attempt(rows: Sequence[Row], sparsities: Sequence[float], patience: int) -> Attempt | None:
    """Return the next try, or None when the spiral has ended.

    After an accepted try the schedule goes on. After a failed one the same round is tried again
    at the geometric mean of the last accepted and the tried density. ``patience`` failed tries in
    a row end the spiral.

    Args:
        rows: all tries so far, with ``round``, ``attempt``, ``target_density`` and ``accepted``.
        sparsities: the schedule, one a round.
        patience: failed tries in a row that end it, at least 1.
    """
    if not rows:
        return Attempt(1, 1, 1.0 - sparsities[0])
    last = rows[-1]
    if last["accepted"]:
        following = last["round"] + 1
        return Attempt(following, 1, 1.0 - sparsities[following - 1]) if following <= len(sparsities) else None
    failed = sum(1 for _ in takewhile(lambda row: not row["accepted"], reversed(rows)))
    if failed >= patience:
        return None
    density = retry_density(accepted_density(rows), last["target_density"])
    return Attempt(last["round"], last["attempt"] + 1, density)


def accepted_density(rows: Sequence[Row]) -> float:
    """Return the density of the last accepted state; 1 before any round."""
    return next((row["target_density"] for row in reversed(rows) if row["accepted"]), 1.0)


def drop(teacher: float, student: float, mode: str) -> float:
    """Return how much worse the student's metric is: absolute, positive is worse."""
    return teacher - student if mode == "max" else student - teacher


def within_budget(lost: float, max_drop: float) -> bool:
    """Say whether a drop is allowed."""
    return lost <= max_drop + TOLERANCE


def monitor_mode(monitor: str, mode: str) -> str:
    """Return ``max`` or ``min``; ``auto`` means min for losses and error rates, and max for all else."""
    if mode != "auto":
        return mode
    return "min" if lower_is_better(monitor) else "max"
