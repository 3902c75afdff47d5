"""Sparsities by layer from what each tolerates: all layers at the same estimated drop.

Each layer's curve is made to rise: the drop at a sparsity is the largest up to there (a lucky point in the middle
promises nothing). Between its points it is linear. For a tolerated drop t a layer gets the largest sparsity at which
its curve is at most t; t is found by bisection so that the whole meets the schedule's final sparsity. Where curves are
flat the whole jumps over it: then every layer goes the same part of the way between both sides of the jump, so the
whole is met exactly. (The equal-drop rule is that of Han et al. 2015, section 3, made exact.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spiral_cli.sensitivity.curves import Curve

BISECTIONS = 60  # halve the interval to the last bit
DIGITS = 6  # of a sparsity in a recipe


def suggest(found: Sequence[Curve], final: float) -> tuple[dict[str, float], float]:
    """Return the sparsity of each layer, and the drop each is estimated to cost by itself.

    Args:
        found: a curve a layer, from sparsity 0 to 1.
        final: sparsity of the whole, 0 to below 1.

    Returns:
        sparsities whose mean, weighted by the layers' weights, is ``final``, at least one weight of each layer
        left where that allows it; and the tolerated drop.
    """
    rising = [envelope(curve) for curve in found]
    sizes = np.array([curve.weights for curve in found], np.float64)
    most = 1.0 - 1.0 / sizes
    final = min(final, float(np.average(most, weights=sizes)))

    def at(tolerated: float) -> np.ndarray:
        return np.minimum([tolerates(sparsities, drops, tolerated) for sparsities, drops in rising], most)

    low, high = -1.0, max(float(drops[-1]) for _, drops in rising)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if np.average(at(middle), weights=sizes) >= final else (middle, high)
    before, after = (at(low) if low > -1.0 else np.zeros(len(sizes))), at(high)
    whole = [float(np.average(one, weights=sizes)) for one in (before, after)]
    part = (final - whole[0]) / (whole[1] - whole[0]) if whole[1] > whole[0] else 1.0
    chosen = before + part * (after - before)
    return {curve.name: round(float(one), DIGITS) for curve, one in zip(found, chosen, strict=True)}, max(high, 0.0)


def envelope(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve's sparsities and its drops made to rise; what could not be measured is infinitely bad."""
    sparsities = np.array([point.sparsity for point in curve.points])
    drops = np.array([np.inf if point.drop is None else max(point.drop, 0.0) for point in curve.points])
    finite = drops[np.isfinite(drops)].max(initial=0.0)
    return sparsities, np.maximum.accumulate(np.where(np.isfinite(drops), drops, finite + 1.0))


def tolerates(sparsities: np.ndarray, drops: np.ndarray, tolerated: float) -> float:
    """Return the largest sparsity at which a rising, piecewise linear curve is at most ``tolerated``, or 0."""
    below = np.flatnonzero(drops <= tolerated)
    if len(below) == 0:
        return 0.0
    last = int(below[-1])
    if last == len(drops) - 1:
        return float(sparsities[-1])
    part = (tolerated - drops[last]) / (drops[last + 1] - drops[last])
    return float(sparsities[last] + part * (sparsities[last + 1] - sparsities[last]))


def overall(sparsities: Mapping[str, float], found: Sequence[Curve]) -> float:
    """Return the sparsity of the whole."""
    sizes = {curve.name: curve.weights for curve in found}
    return sum(sparsities[name] * size for name, size in sizes.items()) / sum(sizes.values())
