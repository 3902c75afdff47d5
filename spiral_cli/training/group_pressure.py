"""Group regularisation: channels that are about to leave are pushed towards zero, whole groups at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from spiral_cli.channels.graph import Channels
from spiral_cli.channels.scoring import group_sums

TINY = 1e-12  # where all weights are zero there is no push


class GroupPressure:
    """Gradient of Σ √n ‖w_g‖ over the groups that are to leave (Yuan and Lin 2006; DepGraph's sparse training).

    All weights of a group shrink together, wherever they lie; √n, with n weights in the group, makes
    the push on one weight about that of ``l1``. Groups that stay are left alone.

    Attributes:
        leaving: 1 for groups that are to leave, else 0, (groups,) float32.

    Args:
        channels: the groups of the model.
        places: of the variables that are pushed, among those of the model.
    """

    def __init__(self, channels: Channels, places: Sequence[int]) -> None:
        self._axes = [channels.axes[place] for place in places]
        shapes = [channels.shapes[place] for place in places]
        ones: list[np.ndarray | None] = [None] * len(channels.axes)
        for place, shape in zip(places, shapes, strict=True):
            ones[place] = np.ones(shape, np.float32)
        self._roots = np.sqrt(group_sums(channels, ones)).astype(np.float32)
        self._count = channels.count
        self.leaving = tf.Variable(tf.zeros(channels.count), trainable=False)

    def __call__(self, weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the gradient for each of the pushed variables."""
        squares = tf.zeros(self._count)
        for weight, axes in zip(weights, self._axes, strict=True):
            for place, labels in enumerate(axes):
                if labels is not None:
                    others = [axis for axis in range(len(axes)) if axis != place]
                    along = tf.reduce_sum(tf.square(weight), others)
                    squares += tf.math.unsorted_segment_sum(along, labels, self._count)  # drops what stays, -1
        push = self.leaving * self._roots * tf.math.rsqrt(squares + TINY)
        return [self._of_one(weight, axes, push) for weight, axes in zip(weights, self._axes, strict=True)]

    def _of_one(self, weight: tf.Tensor, axes: Sequence[np.ndarray | None], push: tf.Tensor) -> tf.Tensor:
        factor = tf.zeros((1,) * len(axes))
        for place, labels in enumerate(axes):
            if labels is not None:
                along = tf.where(labels >= 0, tf.gather(push, np.maximum(labels, 0)), 0.0)
                factor += tf.reshape(along, [-1 if axis == place else 1 for axis in range(len(axes))])
        return factor * weight
