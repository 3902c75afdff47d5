"""Seeded stratified choice: every class keeps its share, and none is lost where it can be kept."""

from __future__ import annotations

import numpy as np

from spiral_cli.errors import MissingError, UsageError


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return a generator of its own for each ``purpose``, so that one choice never shifts another."""
    return np.random.default_rng([seed, *purpose.encode()])


def strata(y: np.ndarray) -> np.ndarray:
    """Return the stratum of each example, (n,) from 0 without gaps.

    The class for (n,) and one-hot labels; for multi-label rows the rarest label they carry, since
    the rare ones are those a split could lose.
    """
    if y.ndim == 2:
        positive = y > 0
        frequency = positive.sum(axis=0)
        keys = np.where(positive, frequency, y.shape[0] + 1).argmin(axis=1)
        y = np.where(positive.any(axis=1), keys, -1)
    return np.unique(y, return_inverse=True)[1]


def apportion(counts: np.ndarray, total: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Divide ``total`` over classes in proportion to ``counts``, each within [low, high].

    Largest remainders first, ties to the earlier class. Where the bounds leave no room for
    ``total`` the nearest possible sum is taken.

    Args:
        counts, low, high: (classes,) whole numbers, low <= high.
        total: how many to give out.

    Returns:
        (classes,) whole numbers.
    """
    total = int(np.clip(total, low.sum(), high.sum()))
    ideal = counts * (total / counts.sum())
    take = np.clip(np.floor(ideal).astype(np.int64), low, high)
    while (left := total - int(take.sum())) != 0:
        step = 1 if left > 0 else -1
        room = take < high if step > 0 else take > low
        take[np.where(room, step * (ideal - take), -np.inf).argmax()] += step
    return take


def draw(groups: np.ndarray, take: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the ascending indices of ``take[g]`` examples drawn from each group ``g``."""
    chosen = [rng.permutation(np.flatnonzero(groups == group))[:count] for group, count in enumerate(take)]
    return np.sort(np.concatenate(chosen))


def carve(y: np.ndarray, fraction: float, seed: int, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Divide the examples labelled ``y`` into those that stay and those that become ``part``.

    Every class with two or more examples is in both; a class with one stays whole.

    Returns:
        (kept, carved): ascending indices, disjoint, together all.

    Raises:
        MissingError: the part would be empty.
    """
    size = len(y)
    total = int(size * fraction + 0.5)
    if total == 0:
        raise MissingError(
            f"data: {fraction:g} of {size} training examples is a {part} part of nothing; "
            f"give a fraction of {1 / max(size, 1):.2g} or more, or a {part} path of its own"
        )
    groups = strata(y)
    counts = np.bincount(groups)
    high = counts - 1
    if high.sum() == 0:
        raise MissingError(
            f"data: no class has two training examples, so a {part} part cannot be carved from them; "
            f"add examples, or give a {part} path of its own"
        )
    carved = draw(groups, apportion(counts, total, np.minimum(high, 1), high), generator(seed, part))
    return np.setdiff1d(np.arange(size), carved), carved


def subset(y: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return the ascending indices of ``size`` examples with every class among them.

    Raises:
        UsageError: fewer than one a class, or more than there are.
    """
    groups = strata(y)
    counts = np.bincount(groups)
    if not len(counts) <= size <= len(y):
        raise UsageError(
            f"data.subset: received {size}; allowed are {len(counts)} (one for each class) "
            f"to {len(y)} (the training examples there are)"
        )
    return draw(groups, apportion(counts, size, np.ones_like(counts), counts), generator(seed, "subset"))
