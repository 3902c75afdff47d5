"""How much boxes overlap: left, top, right and bottom along the last axis."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

SMALLEST = 1e-6  # square pixels: a union of nothing is divided by it


def giou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Return the generalised overlap (…,) of boxes (…, 4), pair by pair (Rezatofighi et al. 2019).

    It is the intersection over the union, less the part of the smallest box around both that neither fills:
    1 for equal boxes, towards -1 for ones far apart, so that boxes which do not meet have a gradient, too.
    """
    inside = _area(_sides(tf.maximum(a[..., :2], b[..., :2]), tf.minimum(a[..., 2:], b[..., 2:])))
    union = _area(_sides(a[..., :2], a[..., 2:])) + _area(_sides(b[..., :2], b[..., 2:])) - inside
    around = _area(_sides(tf.minimum(a[..., :2], b[..., :2]), tf.maximum(a[..., 2:], b[..., 2:])))
    return inside / tf.maximum(union, SMALLEST) - (around - union) / tf.maximum(around, SMALLEST)


def _sides(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    return tf.maximum(high - low, 0.0)


def _area(sides: tf.Tensor) -> tf.Tensor:
    return sides[..., 0] * sides[..., 1]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over the union (k, m) of each of boxes (k, 4) with each of (m, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.prod(np.maximum(high - low, 0.0), axis=-1)
    areas = [np.prod(one[:, 2:] - one[:, :2], axis=-1) for one in (a, b)]
    return inside / np.maximum(areas[0][:, None] + areas[1][None] - inside, SMALLEST)


def matches(a: np.ndarray, b: np.ndarray, classes_a: np.ndarray, classes_b: np.ndarray, least: float = 0.5) -> int:
    """Return how many of boxes (k, 4) have one of (m, 4) of their own, of the same class and ``least`` overlap.

    The pairs that overlap most are taken first.
    """
    overlap = np.where(classes_a[:, None] == classes_b[None], iou(a, b), 0.0)
    count = 0
    while overlap.size and (best := overlap.max()) >= least:
        row, column = np.argwhere(overlap == best)[0]
        overlap[row], overlap[:, column] = 0.0, 0.0
        count += 1
    return count
