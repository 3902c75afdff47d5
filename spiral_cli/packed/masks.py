"""Which weights are not zero, coded by what row and column they stand in.

Pruned layers are uneven: some inputs and some units lose nearly all their weights. Rows and columns are
each put into a few classes by how full they are; a weight is kept with the probability of its row's class
plus its column's, on the scale of log-odds, where both effects add up. Empty rows and columns cost nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spiral_cli.packed.coder import Coder
from spiral_cli.packed.symbols import code_choice, code_learned, learned_bits

STEPS = (0.7, 1.0, 1.4)  # widths of a class, tried; finer ones cost more than they save
EMPTY = 0  # the class of rows and columns without any
MOST = 256  # classes, many more than log-odds of floats have steps


@dataclass(frozen=True)
class Classes:
    """How a mask is seen as a matrix, and the classes of its rows and columns.

    Attributes:
        split: how many of the mask's axes run along the rows; the others run along the columns.
        rows, columns: (rows,) and (columns,) int32: `EMPTY`, or 1 and more, the fuller the higher.
    """

    split: int
    rows: np.ndarray
    columns: np.ndarray


def code_mask(coder: Coder, shape: tuple[int, ...], mask: np.ndarray | None) -> np.ndarray:
    """Code a bool mask of ``shape``."""
    classes = code_classes(coder, shape, None if mask is None else best_classes(mask))
    context, live = contexts(classes)
    order = np.argsort(context, kind="stable")
    places = np.flatnonzero(live)[order]
    bits = None if mask is None else mask.ravel()[places]
    coded = np.zeros(math.prod(shape), bool)
    start = 0
    for count in np.bincount(context):
        run = slice(start, start + int(count))
        coded[places[run]] = code_learned(coder, 2, int(count), None if bits is None else bits[run])
        start = run.stop
    return coded.reshape(shape)


def code_classes(coder: Coder, shape: tuple[int, ...], classes: Classes | None) -> Classes:
    """Code how a mask of ``shape`` is classified."""
    split = code_choice(coder, len(shape) + 1, None if classes is None else classes.split)
    sides = []
    for axes, side in ((shape[:split], "rows"), (shape[split:], "columns")):
        labels = None if classes is None else getattr(classes, side)
        largest = code_choice(coder, MOST, None if labels is None else int(labels.max(initial=0)))
        sides.append(code_learned(coder, largest + 1, math.prod(axes), labels))
    return Classes(split, *sides)


def contexts(classes: Classes) -> tuple[np.ndarray, np.ndarray]:
    """Return the context of every weight that may be there, in order, and which these are (all weights, flat)."""
    live = np.logical_and.outer(classes.rows > EMPTY, classes.columns > EMPTY).ravel()
    narrow = np.uint8 if classes.rows.max(initial=0) + classes.columns.max(initial=0) < 256 else np.int32
    return np.add.outer(classes.rows.astype(narrow), classes.columns.astype(narrow)).ravel()[live], live


def best_classes(mask: np.ndarray) -> Classes:
    """Return the classes under which ``mask`` takes the fewest bits, estimated by their entropy."""
    kept = np.flatnonzero(mask)
    return min(candidates(mask), key=lambda classes: estimated_bits(kept, classes))


def candidates(mask: np.ndarray) -> Iterator[Classes]:
    """Yield one class for all, then rows, columns or both classified in every step, at every split of the axes."""
    for split in range(mask.ndim + 1):
        matrix = mask.reshape(math.prod(mask.shape[:split]), math.prod(mask.shape[split:]))
        alike = Classes(split, *(np.ones(size, np.int32) for size in matrix.shape))
        yield alike
        if min(matrix.shape) < 2:
            continue
        densities = [matrix.mean(axis) for axis in (1, 0)]
        for step in STEPS:
            rows, columns = (classify(density, step) for density in densities)
            yield Classes(split, rows, alike.columns)
            yield Classes(split, alike.rows, columns)
            yield Classes(split, rows, columns)


def classify(density: np.ndarray, step: float) -> np.ndarray:
    """Return classes of rows or columns of the given ``density``: log-odds in steps, counted from the lowest."""
    some = density > 0
    odds = np.log(density[some]) - np.log1p(-np.minimum(density[some], 1 - 1e-3))
    steps = np.round(odds / step).astype(np.int32)
    classes = np.full(len(density), EMPTY, np.int32)
    classes[some] = 1 + steps - steps.min(initial=0)
    return classes


def estimated_bits(kept: np.ndarray, classes: Classes) -> float:
    """Return about how many bits a mask takes under ``classes``.

    Args:
        kept: the places of its ones, counted through.
        classes: of its rows and columns; none of a one is `EMPTY`.
    """
    rows, columns = (np.bincount(labels, minlength=1) for labels in (classes.rows, classes.columns))
    bits = learned_bits(rows) + learned_bits(columns)
    rows[EMPTY] = columns[EMPTY] = 0
    sizes = np.convolve(rows, columns)  # of each context: its pairs of a row's and a column's class
    row, column = np.divmod(kept, max(1, len(classes.columns)))
    ones = np.bincount(classes.rows[row] + classes.columns[column], minlength=len(sizes))
    return bits + sum(learned_bits(np.array([size - one, one])) for size, one in zip(sizes, ones, strict=True))
