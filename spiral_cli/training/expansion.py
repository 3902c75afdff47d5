"""Kernels that are trained as products of two matrices, the layer between wider than its outputs.

A layer followed by another without anything between can say no more than one alone, but learns
differently: a narrow network that is trained as a product generalises better (Guo et al. 2020,
ExpandNets; Arora et al. 2018 on why). The model itself keeps its single kernels throughout: only
what the optimizer moves are the factors, whose gradients follow from the kernels'.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

Gradients = Sequence[tf.Tensor | None]


class Expansion:
    """The factors of some kernels.

    Attributes:
        variables: what is trained: ``given``, each kernel replaced by its two factors.

    Args:
        given: trainable variables of a model.
        kernels: those of them to expand, of rank 2 or more.
        times: the inner width, in outputs of a kernel.
    """

    def __init__(self, given: Sequence[keras.Variable], kernels: Sequence[keras.Variable], times: int) -> None:
        chosen = {id(kernel) for kernel in kernels}
        self._given = tuple(given)
        self._factors = {
            id(one): (made(one.name, rows, times * outputs), made(one.name, times * outputs, outputs))
            for one in given
            if id(one) in chosen
            for rows, outputs in [flat(one.shape)]
        }
        self.variables = [part for one in given for part in self._factors.get(id(one), (one,))]

    def begin(self, rng: np.random.Generator) -> None:
        """Draw the factors anew as layers of their size begin, with the kernels as they are for products."""
        for _, left, right in self._expanded():
            left.assign(glorot(left.shape, rng))
            right.assign(glorot(right.shape, rng))
        self.follow()

    def follow(self) -> None:
        """Move the first factors by as little as it takes for the products to be the kernels as they are."""
        for kernel, left, right in self._expanded():
            left.assign(moved(left.numpy(), right.numpy(), kernel.numpy().reshape(flat(kernel.shape))))

    def gradients(self, gradients: Gradients) -> list[tf.Tensor | None]:
        """Return the gradients of `variables` from those of the variables given."""
        found: list[tf.Tensor | None] = []
        for one, gradient in zip(self._given, gradients, strict=True):
            both = self._factors.get(id(one))
            if both is None:
                found.append(gradient)
            elif gradient is None:
                found += [None, None]
            else:
                left, right = both
                whole = tf.reshape(gradient, flat(one.shape))
                found.append(tf.matmul(whole, right.value, transpose_b=True))
                found.append(tf.matmul(left.value, whole, transpose_a=True))
        return found

    def multiply(self) -> None:
        """Set the kernels to the products of their factors."""
        for kernel, left, right in self._expanded():
            kernel.assign(tf.reshape(tf.matmul(left.value, right.value), kernel.shape))

    @property
    def factors(self) -> list[keras.Variable]:
        """All factors."""
        return [factor for both in self._factors.values() for factor in both]

    def _expanded(self) -> list[tuple[keras.Variable, keras.Variable, keras.Variable]]:
        return [(one, *self._factors[id(one)]) for one in self._given if id(one) in self._factors]


def flat(shape: Sequence[int]) -> tuple[int, int]:
    """Return the shape of a kernel as a matrix: all its axes but the last, and the last."""
    return int(np.prod(shape[:-1])), int(shape[-1])


def made(name: str, rows: int, columns: int) -> keras.Variable:
    """Return a variable for a factor of the kernel ``name``."""
    return keras.Variable(np.zeros((rows, columns), np.float32), name=f"{name}_factor")


def moved(left: np.ndarray, right: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Return the matrix nearest to ``left`` (rows, width) whose product with ``right`` (width, outputs) is ``product``.

    The width is at least that of the outputs, and ``right`` of full rank.
    """
    left, right = left.astype(np.float64), right.astype(np.float64)
    return left + (product - left @ right) @ np.linalg.pinv(right)


def glorot(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Return a matrix drawn uniformly with the variance 2 / (rows + columns) (Glorot and Bengio 2010)."""
    limit = np.sqrt(6.0 / sum(shape))
    return rng.uniform(-limit, limit, shape)
