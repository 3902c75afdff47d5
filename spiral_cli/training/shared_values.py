"""Training values that weights share: the gradient of a value is the sum of those of its weights (Han et al. 2016).

The weights of one value begin equal and are given equal gradients, so they stay equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.training.program import Program, stored


class SharedProgram(Program):
    """A program that moves the weights of a variable which are equal when `tie` is called only together.

    Variables that are not tied train freely.

    Args:
        tied: trainable variables of the model.
        most: different values that one of them may hold.
    """

    def __init__(self, *args: Any, tied: Sequence[keras.Variable], most: int, **settings: Any) -> None:
        self._most = most
        self._groups = {id(one): tf.Variable(tf.zeros(one.shape, tf.int32), trainable=False) for one in tied}
        super().__init__(*args, **settings)

    def tie(self) -> None:
        """From now on let what is equal in a tied variable stay equal."""
        for variable in self.trainable:
            if id(variable) in self._groups:
                self._groups[id(variable)].assign(groups(stored(variable).numpy()))

    def settle(self) -> None:
        """Make what is tied equal to the last bit, which a vector unit and the loop over its rest may round apart."""
        for variable in self.trainable:
            if id(variable) in self._groups:
                values, group = stored(variable).numpy(), self._groups[id(variable)].numpy()
                _, first = np.unique(group, return_index=True)
                variable.assign(values.reshape(-1)[first][group])

    def _apply(self, parts, strength, gain) -> None:
        whole = [None if g[0] is None else tf.add_n(g) for g in zip(*parts, strict=True)]
        tied = [
            g if g is None or id(v) not in self._groups else summed(g, self._groups[id(v)], self._most)
            for g, v in zip(whole, self.trainable, strict=True)
        ]
        super()._apply([tied], strength, gain)


def groups(values: np.ndarray) -> np.ndarray:
    """Return the same int32 number, from 0 on, where ``values`` are equal."""
    return np.unique(values, return_inverse=True)[1].reshape(values.shape).astype(np.int32)


def summed(gradient: tf.Tensor, group: tf.Tensor, most: int) -> tf.Tensor:
    """Return for each weight the sum of the gradients of its ``group`` of range(most): that of their common value."""
    sums = tf.math.unsorted_segment_sum(gradient, group, most)
    return tf.gather(sums, group)
