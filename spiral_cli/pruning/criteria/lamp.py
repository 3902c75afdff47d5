"""Layer-adaptive magnitude."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.pruning.ranking import blocks
from spiral_cli.registry import criteria


@criteria.register("lamp")
def lamp(weights: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
    """w² over the sum of w² of the layer's weights not smaller: magnitude that compares across layers (Lee 2021)."""
    return {name: lamp_scores(weight) for name, weight in weights.items()}


def lamp_scores(weight: np.ndarray) -> np.ndarray:
    """Return LAMP scores of one layer, any shape, float64; the largest weight scores 1, zeros score 0.

    With |w| sorted upwards, score_i = w_i² / Σ_{j ≥ i} w_j². Equal weights are sorted so that the
    earlier one scores higher.
    """
    scores, total = np.empty(weight.size), 0.0
    for places, magnitudes in _falling(weight.ravel().astype(np.result_type(weight, np.float32), copy=False)):
        scores[places], total = falling_lamp(magnitudes, total)
    return scores.reshape(weight.shape)


def falling_lamp(magnitudes: np.ndarray, before: float = 0.0) -> tuple[np.ndarray, float]:
    """Return the LAMP scores of a stretch of |w|, sorted from the highest down, and the sum of squares to its end.

    Args:
        magnitudes: at least one.
        before: the sum of squares of all before the stretch.
    """
    square = np.square(magnitudes, dtype=np.float64)
    total = square.copy()
    total[0] += before
    np.cumsum(total, out=total)
    return np.divide(square, total, out=np.zeros_like(total), where=total != 0), float(total[-1])


def _falling(flat: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (places, |w|) of 1-D weights, from the highest down, of equal ones the earlier first.

    Single-precision numbers from 0 on sort as their bits do, so bits and place share a whole
    number of 64 bits: several times as fast as to sort places.
    """
    if flat.dtype != np.float32 or flat.size > 1 << 32:
        order = np.argsort(-np.abs(flat), kind="stable")
        yield from ((places, np.abs(flat[places])) for places in blocks(order))
        return
    keys = np.arange(flat.size, dtype=np.uint64)
    for block, values in zip(blocks(keys), blocks(flat), strict=True):
        block |= (~np.abs(values).view(np.uint32)).astype(np.uint64) << np.uint64(32)
    keys.sort()
    for block in blocks(keys):
        yield block & np.uint64(0xFFFFFFFF), (~(block >> np.uint64(32)).astype(np.uint32)).view(np.float32)
