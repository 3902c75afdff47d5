"""Sparsities by layer from what each loses by itself: those whose estimated drops sum to the least.

Each layer's curve of drop against weights removed is made convex from below, and the whole is removed where the next
weight costs least: the segments of all curves in the order of their slopes, until the schedule's final sparsity is met,
the last of them in part. At the end every layer loses as much by its next weight, which is the least sum there is (the
rule by which bits are shared out over quantisers, Shoham and Gersho 1988). Drops are those of layers pruned by
themselves and untrained, so the sum ranks allocations; it foretells no accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spiral_cli.sensitivity.curves import Curve

DIGITS = 6  # of a sparsity in a recipe


def suggest(found: Sequence[Curve], final: float) -> dict[str, float]:
    """Return the sparsity of each layer.

    Args:
        found: a curve a layer, from sparsity 0 to 1.
        final: sparsity of the whole, 0 to below 1.

    Returns:
        sparsities whose mean, weighted by the layers' weights, is ``final``, as far as one weight of
        each layer is left.
    """
    segments = [(slope, curve.name, length) for curve in found for slope, length in slopes(curve)]
    removed = dict.fromkeys((curve.name for curve in found), 0.0)
    left = final * sum(curve.weights for curve in found)
    for _, name, length in sorted(segments, key=lambda segment: segment[0]):
        taken = min(length, left)
        removed[name] += taken
        left -= taken
    most = 1.0 - 10.0**-DIGITS  # a recipe has sparsities below 1, and one weight of millions rounds away
    return {curve.name: min(round(removed[curve.name] / curve.weights, DIGITS), most) for curve in found}


def slopes(curve: Curve) -> list[tuple[float, float]]:
    """Return a convex curve's segments: drop a weight, and weights removed; the last weight of a layer stays."""
    removed, drops = hull(*risen(curve))
    lengths = np.diff(np.minimum(removed, curve.weights - 1))
    return [
        (float(rise / length), float(length)) for rise, length in zip(np.diff(drops), lengths, strict=True) if length
    ]


def risen(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Return weights removed and drops of a curve, made to rise: a lucky point in the middle promises nothing.

    What could not be measured, because the model gave NaN, is worse by one than all that could.
    """
    removed = curve.weights * np.array([point.sparsity for point in curve.points])
    measured = [max(point.drop, 0.0) for point in curve.points if point.drop is not None]
    drops = [max(measured) + 1.0 if point.drop is None else max(point.drop, 0.0) for point in curve.points]
    return removed, np.maximum.accumulate(drops)


def hull(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower convex hull of a rising curve, whose ``x`` may stand still (Andrew 1979)."""
    kept = [0]
    for i in range(1, len(x)):
        if x[i] == x[kept[-1]]:  # not lower, for the curve rises
            continue
        while len(kept) > 1 and (y[kept[-1]] - y[kept[-2]]) * (x[i] - x[kept[-2]]) >= (y[i] - y[kept[-2]]) * (
            x[kept[-1]] - x[kept[-2]]
        ):
            kept.pop()  # it lies on or above the line to the new point
        kept.append(i)
    return x[kept], y[kept]


def estimated(curve: Curve, sparsity: float) -> float:
    """Return the drop that a layer's convex curve gives for a sparsity between those measured."""
    return float(np.interp(sparsity * curve.weights, *hull(*risen(curve))))


def overall(sparsities: Mapping[str, float], found: Sequence[Curve]) -> float:
    """Return the sparsity of the whole."""
    sizes = {curve.name: curve.weights for curve in found}
    return sum(sparsities[name] * size for name, size in sizes.items()) / sum(sizes.values())
