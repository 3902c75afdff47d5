"""LAMP scores of a layer in the order of rank, computed only where somebody looks.

How many weights of a layer score above a bound needs no score for each: the weights sorted, the
sums of squares at every few thousandth, and one block of scores are enough.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiral_cli.pruning.criteria.lamp import falling_lamp
from spiral_cli.pruning.ranking import blocks

BLOCK = 1 << 12  # scores that are computed at a time


class LampOrder:
    """The falling LAMP scores of one layer.

    Args:
        magnitudes: |w| (weights,), from the highest down; kept, not copied.
    """

    def __init__(self, magnitudes: np.ndarray) -> None:
        self.size = magnitudes.size
        self._blocks = list(blocks(magnitudes, BLOCK))
        self._before: list[float] = []  # sum of squares before each block
        heads, total = [], 0.0
        for block in self._blocks:
            self._before.append(total)
            scores, total = falling_lamp(block, total)
            heads.append(scores[0])
        self._heads = np.array(heads)

    def count(self, compare: np.ufunc, bound: float) -> int:
        """Return how many scores are ``np.greater``, or ``np.greater_equal``, than ``bound``."""
        reached = int(np.count_nonzero(compare(self._heads, bound)))
        if reached == 0:
            return 0
        last = reached - 1  # the one block that may lie on both sides
        scores, _ = falling_lamp(self._blocks[last], self._before[last])
        return last * BLOCK + int(np.count_nonzero(compare(scores, bound)))


def highest_score(enough: Callable[[float], bool]) -> float:
    """Return the highest number from 0 to 1 that is ``enough``, where 0 is and what lies below one that is, is too.

    Exact: the bits of doubles from 0 on, read as whole numbers, sort as they do, and are bisected.
    """
    low, high = 0, int(np.float64(1.0).view(np.int64))
    while low < high:
        middle = (low + high + 1) // 2
        if enough(float(np.int64(middle).view(np.float64))):
            low = middle
        else:
            high = middle - 1
    return float(np.int64(low).view(np.float64))
