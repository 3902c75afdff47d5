"""Choosing among the accepted students, by validation figures only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def select(rows: Sequence[Row], rule: str, max_drop: float) -> Row | None:
    """Return the chosen row, or None where no row was accepted.

    Args:
        rows: all tries, each with ``accepted``, ``density`` and ``drop``.
        rule: ``smallest`` takes the lowest density, ``best`` the smallest drop, ``score`` the
            largest `score`; ties go to the smaller drop, then to the earlier row.
        max_drop: the budget.
    """
    accepted = [row for row in rows if row["accepted"]]
    keys = {
        "smallest": lambda row: (row["density"], row["drop"]),
        "best": lambda row: (row["drop"], row["density"]),
        "score": lambda row: (-score(row["density"], row["drop"], max_drop), row["drop"]),
    }
    return min(accepted, key=keys[rule], default=None)


def score(density: float, drop: float, max_drop: float) -> float:
    """Return log10(1 / density) - drop / max_drop: ten times fewer weights are worth the whole budget."""
    return math.log10(1.0 / density) - drop / max(max_drop, 1e-9)
