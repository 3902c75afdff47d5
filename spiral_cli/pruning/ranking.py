"""The one way weights are picked: by rank, never by comparing with a threshold alone.

Scores are real numbers, the higher is kept. Two more values carry orders from one room to the
next: -inf may not be kept, +inf must be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Scores = Mapping[str, np.ndarray]
BLOCK = 1 << 16  # values at a time: what is computed on the way stays in the processor's cache
DEVIATIONS = 6.0  # of a sample's rank, by which a cut-off is bracketed


def keep_top(scores: np.ndarray, count: int, bound: Any = None) -> np.ndarray:
    """Return a bool mask, shaped as ``scores``, of the ``count`` highest; -inf is never kept.

    Of equal scores the earlier (flat) index is kept. Linear in time: see `cut_off`.

    Args:
        scores: any shape.
        count: how many to keep; where there are fewer, all.
        bound: the lowest score to keep, where it is likely known: right, it saves looking for it;
            wrong, it does no harm.
    """
    flat = scores.ravel()
    count = min(count, flat.size)
    if count <= 0:
        return np.zeros(scores.shape, bool)
    mask = None if bound is None else _mask_down_to(bound, flat, count)
    if mask is None:
        mask = _mask_down_to(cut_off([flat], count), flat, count)
    return mask.reshape(scores.shape)


def cut_off(parts: Sequence[np.ndarray], count: int, deviations: float = DEVIATIONS) -> Any:
    """Return the ``count``-th highest of all values.

    A sample tells between which two values to look; only what lies there is copied and sorted, so
    a large pool is read once (Floyd and Rivest 1975). The answer is exact whatever was drawn.
    `np.partition` is no faster, and tens of times slower where most values are equal, as after a cut.

    Args:
        parts: 1-D arrays of numbers, -inf and +inf among them, but no NaN.
        count: 1 to the number of values.
        deviations: how many standard deviations of its rank to look to both sides.

    Raises:
        ValueError: there is no ``count``-th value.
    """
    size = sum(part.size for part in parts)
    if not 1 <= count <= size:
        raise ValueError(f"count is {count}; allowed: 1 to the number of values, {size}")
    bound = _cut_off_between(parts, count, *_bracket(parts, count / size, deviations))
    return _cut_off_between(parts, count, -np.inf, np.inf) if bound is None else bound  # what was drawn may mislead


def blocks(array: np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    """Yield a 1-D array in views of ``size`` values."""
    return (array[start : start + size] for start in range(0, array.size, size))


def possible(scores: np.ndarray) -> int:
    """Return how many weights may be kept."""
    return int(np.count_nonzero(scores > -np.inf))


def required(scores: np.ndarray) -> int:
    """Return how many weights must be kept: those at +inf, and one in any case where one may be."""
    best = scores.max(initial=-np.inf)
    return int(np.count_nonzero(scores == np.inf)) if best == np.inf else int(best > -np.inf)


def target(scores: Scores, density: float) -> int:
    """Return how many weights a density means: a fraction of all, those cut before included."""
    return round(density * sum(array.size for array in scores.values()))


def _mask_down_to(bound: Any, flat: np.ndarray, count: int) -> Any:
    """Return a mask of all above ``bound`` and the first that equal it, or None where these cannot be ``count``.

    At -inf there may be fewer: what lies there is never kept.
    """
    mask = flat > bound
    left = count - int(np.count_nonzero(mask))
    if bound == -np.inf:
        return mask if left >= 0 else None
    for block, part in zip(blocks(flat), blocks(mask), strict=True):
        if left <= 0:
            break
        tied = np.flatnonzero(block == bound)[:left]
        part[tied] = True
        left -= tied.size
    return mask if left == 0 else None


def _bracket(parts: Sequence[np.ndarray], density: float, deviations: float) -> tuple[Any, Any]:
    """Return two values, drawn or infinite, with the lowest of the best ``density`` almost surely between them."""
    share = sum(part.size for part in parts) ** (-1 / 3)  # to draw costs about as much as to sort what lies between
    rng = np.random.default_rng(0)
    drawn = [part[rng.integers(part.size, size=math.ceil(share * part.size))] for part in parts if part.size]
    ranked = np.sort(np.concatenate(drawn))
    place = ranked.size * (1 - density)
    slack = deviations * (1 + math.sqrt(place * density))
    low, high = math.floor(place - slack), math.ceil(place + slack)
    return ranked[low] if low >= 0 else -np.inf, ranked[high] if high < ranked.size else np.inf


def _cut_off_between(parts: Sequence[np.ndarray], count: int, low: Any, high: Any) -> Any:
    """Return the ``count``-th highest value, or None where it does not lie between ``low`` and ``high``."""
    above, between = 0, []  # above: how many reach high
    for block in (block for part in parts for block in blocks(part)):
        above += int(np.count_nonzero(block >= high))
        between.append(block[(block > low) & (block < high)])
    inside = np.sort(np.concatenate(between))
    place = count - above
    if 0 < place <= inside.size:
        return inside[inside.size - place]
    edge = high if place <= 0 else low
    equal = sum(int(np.count_nonzero(block == edge)) for part in parts for block in blocks(part))
    higher = above - equal if edge == high else above + inside.size
    return edge if higher < count <= higher + equal else None
