"""The shape of what is pruned: single weights, n of m neighbours, or blocks. Plain data.

A granularity turns scores into ranks that respect its shape (`ranks`) and completes a mask made
from them (`whole`). Criterion, allocation and schedule know nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spiral_cli.recipe.schema import NM, Block

Scores = Mapping[str, np.ndarray]
Axes = Mapping[str, tuple[int, ...]]


class Granularity(Protocol):
    """What `masks.make_masks` asks of a shape."""

    def ranks(self, scores: Scores, axes: Axes) -> Scores:
        """Return scores that can be ranked weight by weight."""

    def whole(self, mask: np.ndarray, ranks: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """Return the mask with units kept or cut as a whole."""


@dataclass(frozen=True)
class Unstructured:
    """Every weight for itself."""

    def ranks(self, scores: Scores, axes: Axes) -> Scores:
        """Return the scores."""
        return scores

    def whole(self, mask: np.ndarray, ranks: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """Return the mask."""
        return mask


@dataclass(frozen=True)
class NByM:
    """At most ``n`` of every ``m`` neighbours along the input axis are kept (Mishra et al. 2021).

    The n best of each group rank above all others, so the others go first; what is cut beyond
    n of m goes by rank as usual. A last group of r < m weights keeps at most min(n, r).
    """

    n: int
    m: int

    def ranks(self, scores: Scores, axes: Axes) -> Scores:
        """Return ranks in which every protected weight is above every unprotected one."""
        total = sum(array.size for array in scores.values())
        ranked = _ranked(scores)
        return {name: ranked[name] + total * self._protected(array, axes[name]) for name, array in scores.items()}

    def whole(self, mask: np.ndarray, ranks: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """Return the mask: its groups are in the ranks already."""
        return mask

    def _protected(self, scores: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        matrix, restore = _as_matrix(scores, axes)
        missing = -len(matrix) % self.m
        padded = np.concatenate([matrix, np.full((missing, matrix.shape[1]), -np.inf)])
        groups = padded.reshape(-1, self.m, matrix.shape[1])  # (groups, m, outputs)
        order = np.argsort(-groups, axis=1, kind="stable")
        best = np.zeros(groups.shape, bool)
        np.put_along_axis(best, order[:, : self.n], True, axis=1)
        return restore(best.reshape(padded.shape)[: len(matrix)])


@dataclass(frozen=True)
class Blocks:
    """Tiles of ``rows`` inputs by ``columns`` outputs are kept or cut whole, by their mean score.

    Tiles at the edges are smaller.
    """

    rows: int
    columns: int

    def ranks(self, scores: Scores, axes: Axes) -> Scores:
        """Return the rank of each weight's tile: no two tiles are equal."""
        tiles = {name: self._tile_means(array, axes[name]) for name, array in scores.items()}
        ranked = _ranked(tiles)
        return {name: self._spread(ranked[name], array, axes[name]) for name, array in scores.items()}

    def whole(self, mask: np.ndarray, ranks: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """Keep a tile where at least half of it was kept; the best tile always."""
        kept = self._tile_means(mask.astype(np.float64), axes) >= 0.5
        best = self._tile_means(ranks, axes)
        kept.flat[int(best.argmax())] = True
        return self._spread(kept, mask, axes) & np.isfinite(ranks)

    def _tile_means(self, array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        matrix, _ = _as_matrix(array, axes)
        tops, lefts = range(0, matrix.shape[0], self.rows), range(0, matrix.shape[1], self.columns)
        sums = np.add.reduceat(np.add.reduceat(matrix, tops, axis=0), lefts, axis=1)
        heights = np.minimum(self.rows, matrix.shape[0] - np.array(tops))
        widths = np.minimum(self.columns, matrix.shape[1] - np.array(lefts))
        return sums / (heights[:, None] * widths[None, :])

    def _spread(self, tiles: np.ndarray, like: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        matrix, restore = _as_matrix(like, axes)
        rows = np.arange(matrix.shape[0]) // self.rows
        columns = np.arange(matrix.shape[1]) // self.columns
        return restore(tiles[np.ix_(rows, columns)])


def from_recipe(value: str | NM | Block) -> Granularity:
    """Return the granularity a recipe names."""
    match value:
        case NM():
            return NByM(value.n, value.m)
        case Block():
            return Blocks(*value.block)
        case _:
            return Unstructured()


def _as_matrix(array: np.ndarray, axes: tuple[int, ...]):
    """Return ``array`` as (inputs, outputs), and the way back for arrays of that shape."""
    outputs = tuple(axis for axis in range(array.ndim) if axis not in axes)
    order = (*axes, *outputs)
    moved = np.transpose(array, order)
    matrix = moved.reshape(int(np.prod([array.shape[axis] for axis in axes], dtype=int)), -1)

    def restore(other: np.ndarray) -> np.ndarray:
        return np.transpose(other.reshape(moved.shape), np.argsort(order))

    return matrix, restore


def _ranked(scores: Scores) -> dict[str, np.ndarray]:
    """Replace scores by their rank over all layers: 0 is the worst, equal ones favour the earlier."""
    flat = np.concatenate([array.ravel() for array in scores.values()])
    ranks = np.empty(flat.size)
    ranks[np.argsort(-flat, kind="stable")] = np.arange(flat.size - 1, -1, -1)
    cuts = np.cumsum([array.size for array in scores.values()])[:-1]
    parts = np.split(ranks, cuts)
    return {name: part.reshape(array.shape) for (name, array), part in zip(scores.items(), parts, strict=True)}
