"""The shape of what is pruned: single weights, n of m neighbours, or blocks. Plain data.

A granularity marks scores before layers share out what is kept, and picks the weights of a layer
once its count is known. Criterion, allocation and schedule know nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spiral_cli.errors import UsageError
from spiral_cli.pruning.ranking import Scores, keep_top, target
from spiral_cli.recipe.prune import NM, Block

Axes = Mapping[str, tuple[int, ...]]
PATTERN_SLACK = 1e-3  # the recipe takes a sparsity of 0.666 for 1 of 3, so the masks do too


class Granularity(Protocol):
    """What `masks.make_masks` asks of a shape. Scores may hold -inf (must go) and +inf (must stay)."""

    def mark(self, scores: Scores, density: float, axes: Axes) -> Scores:
        """Return scores, of all layers, in which the shape's rules are marked."""

    def pick(self, scores: np.ndarray, count: int, axes: tuple[int, ...], bound: Any = None) -> np.ndarray:
        """Return the mask of one layer from its marked scores: ``count`` weights, or as near as can be.

        ``bound`` is the lowest score to keep, where one ranking of all layers has found it.
        """


@dataclass(frozen=True)
class Unstructured:
    """Every weight for itself."""

    def mark(self, scores: Scores, density: float, axes: Axes) -> Scores:
        """Return the scores."""
        return scores

    def pick(self, scores: np.ndarray, count: int, axes: tuple[int, ...], bound: Any = None) -> np.ndarray:
        """Return the mask of the highest."""
        return keep_top(scores, count, bound)


@dataclass(frozen=True)
class NByM:
    """At most ``n`` of every ``m`` neighbours along the input axis are kept (Mishra et al. 2021).

    On the way down to density n/m the n best of each group must stay and the others go by rank.
    From there on the others are gone and the best go by rank. A last group of r < m weights keeps
    at most min(n, r).
    """

    n: int
    m: int

    def mark(self, scores: Scores, density: float, axes: Axes) -> Scores:
        """Mark the n best of each group as +inf, or all others as -inf."""
        best = {name: self._best(array, axes[name]) for name, array in scores.items()}
        places = sum(int(np.count_nonzero(mask)) for mask in best.values())
        if density > self.n / self.m + PATTERN_SLACK and target(scores, density) >= places:
            return {name: np.where(best[name], array.dtype.type(np.inf), array) for name, array in scores.items()}
        return {name: np.where(best[name], array, array.dtype.type(-np.inf)) for name, array in scores.items()}

    def pick(self, scores: np.ndarray, count: int, axes: tuple[int, ...], bound: Any = None) -> np.ndarray:
        """Return the mask of the highest: the groups are marked already."""
        return keep_top(scores, count, bound)

    def _best(self, scores: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        matrix, restore = as_matrix(scores, axes)  # (inputs, outputs)
        missing = -len(matrix) % self.m
        padded = np.pad(matrix, ((0, missing), (0, 0)), constant_values=-np.inf)
        groups = padded.reshape(-1, self.m, matrix.shape[1])  # (groups, m, outputs)
        order = np.argsort(-groups, axis=1, kind="stable")
        best = np.zeros(groups.shape, bool)
        np.put_along_axis(best, order[:, : self.n], True, axis=1)
        return restore(best.reshape(padded.shape)[: len(matrix)]) & (scores > -np.inf)


@dataclass(frozen=True)
class Blocks:
    """Tiles of ``rows`` inputs by ``columns`` outputs are kept or cut whole, by their mean score.

    Tiles at the edges are smaller. A layer keeps the number of tiles that comes nearest to its
    count, at least one. A tile that earlier masks cut in part goes.
    """

    rows: int
    columns: int

    def mark(self, scores: Scores, density: float, axes: Axes) -> Scores:
        """Give each weight the mean score of its tile."""
        return {name: self._means(array, axes[name]) for name, array in scores.items()}

    def pick(self, scores: np.ndarray, count: int, axes: tuple[int, ...], bound: Any = None) -> np.ndarray:
        """Return the mask of the best tiles."""
        matrix, restore = as_matrix(scores, axes)  # (inputs, outputs)
        tiles = matrix[:: self.rows, :: self.columns]  # one weight of each: all are equal
        order = np.argsort(-tiles, axis=None, kind="stable")
        order = order[tiles.ravel()[order] > -np.inf]
        kept = np.zeros(tiles.shape, bool)
        if order.size:
            reached = np.cumsum(self._sizes(matrix.shape).ravel()[order])
            kept.flat[order[: int(np.abs(reached - count).argmin()) + 1]] = True
        return restore(self._spread(kept, matrix.shape))

    def _means(self, scores: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        matrix, restore = as_matrix(scores, axes)  # (inputs, outputs)
        tops, lefts = range(0, matrix.shape[0], self.rows), range(0, matrix.shape[1], self.columns)
        sums = np.add.reduceat(np.add.reduceat(matrix, tops, axis=0, dtype=np.float64), lefts, axis=1)
        means = (sums / self._sizes(matrix.shape)).astype(scores.dtype)
        return restore(self._spread(means, matrix.shape))

    def _sizes(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return how many weights each tile of a matrix has."""
        heights = np.minimum(self.rows, shape[0] - np.arange(0, shape[0], self.rows))
        widths = np.minimum(self.columns, shape[1] - np.arange(0, shape[1], self.columns))
        return np.outer(heights, widths)

    def _spread(self, tiles: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Repeat each tile's value over its weights."""
        return tiles.repeat(self.rows, axis=0)[: shape[0]].repeat(self.columns, axis=1)[:, : shape[1]]


def from_recipe(value: str | NM | Block) -> Granularity:
    """Return the granularity that a recipe's ``prune.granularity`` names.

    Raises:
        UsageError: there is no such granularity.
    """
    match value:
        case "unstructured":
            return Unstructured()
        case NM():
            return NByM(value.n, value.m)
        case Block(block=[rows, columns]):
            return Blocks(rows, columns)
    raise UsageError(f"no granularity is {value!r}; there are unstructured, {{n: 2, m: 4}} and {{block: [4, 4]}}")


def as_matrix(array: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return ``array`` as (inputs, outputs), flattened in the order of its axes, and the way back.

    Args:
        array: any shape.
        axes: the axes of the inputs; the others are outputs.
    """
    order = (*axes, *(axis for axis in range(array.ndim) if axis not in axes))
    moved = array.transpose(order)
    inputs = math.prod(array.shape[axis] for axis in axes)

    def restore(matrix: np.ndarray) -> np.ndarray:
        return matrix.reshape(moved.shape).transpose(np.argsort(order))

    return moved.reshape(inputs, -1), restore
