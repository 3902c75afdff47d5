"""Sparsity after each round, density within a round, and the density of a second try."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spiral_cli.recipe.prune import Schedule
from spiral_cli.registry import schedules


@schedules.register("one_shot")
def one_shot(final_sparsity: float, rounds: int) -> tuple[float, ...]:
    """Everything in one round."""
    return (final_sparsity,)


@schedules.register("linear")
def linear(final_sparsity: float, rounds: int) -> tuple[float, ...]:
    """Sparsity rises by the same amount every round."""
    return _ending([final_sparsity * k / rounds for k in range(1, rounds + 1)], final_sparsity)


@schedules.register("cubic")
def cubic(final_sparsity: float, rounds: int) -> tuple[float, ...]:
    """Sparsity rises fast, then ever more slowly: s (1 - (1 - k/n)³) (Zhu and Gupta 2017)."""
    return _ending([final_sparsity * (1 - (1 - k / rounds) ** 3) for k in range(1, rounds + 1)], final_sparsity)


@schedules.register("geometric")
def geometric(final_sparsity: float, rounds: int) -> tuple[float, ...]:
    """Density falls by the same factor every round (Frankle and Carbin 2019)."""
    return _ending([1 - (1 - final_sparsity) ** (k / rounds) for k in range(1, rounds + 1)], final_sparsity)


def sparsities(settings: Schedule | Sequence[float]) -> tuple[float, ...]:
    """Return the sparsity after each round of a recipe's ``schedule``: a kind, or a list as it stands."""
    if isinstance(settings, Schedule):
        return schedules.get(settings.kind)(settings.final_sparsity, settings.rounds)
    return tuple(settings)


def round_density(start: float, end: float, progress: float) -> float:
    """Return the density within a round: from ``start`` to ``end`` along the cubic of Zhu and Gupta (2017).

    Args:
        start, end: density before and after the cut, start ≥ end.
        progress: 0 at the beginning of the cut, 1 at its end.
    """
    left = (1.0 - min(max(progress, 0.0), 1.0)) ** 3
    return start * left + end * (1.0 - left)


def retry_density(accepted: float, tried: float) -> float:
    """Return the density of the next try after a failed one: the geometric mean with the last accepted."""
    return math.sqrt(accepted * tried)


def _ending(values: Sequence[float], final: float) -> tuple[float, ...]:
    """Return ``values`` with the last exactly ``final``, whatever rounding did."""
    return (*values[:-1], final)
