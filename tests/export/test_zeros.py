"""Zeros of weights found again in a file's constants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.export.zeros import zeros_kept

RNG = np.random.default_rng(0)


def sparse(*shape: int, density: float = 0.3) -> np.ndarray:
    return RNG.normal(size=shape) * (RNG.random(shape) < density)


def test_transposed_reshaped_and_scaled_tensors_are_the_weights():
    kernel, dense = sparse(3, 3, 2, 4), sparse(36, 4)
    folded = (kernel * RNG.uniform(0.5, 2.0, 4)).transpose(3, 0, 1, 2)
    assert zeros_kept([kernel, dense], [np.zeros(4), dense.T, folded]) is True


def test_one_zero_lost_is_noticed():
    kernel = sparse(6, 5)
    lost = kernel.copy()
    lost[tuple(np.argwhere(kernel == 0)[0])] = 1e-9
    assert zeros_kept([kernel, sparse(4, 3)], [lost, sparse(4, 3, density=0.0)]) is False


def test_zeros_of_one_tensor_do_not_make_up_for_those_of_another():
    first, second = sparse(8, 8, density=0.2), sparse(8, 8, density=0.2)
    assert zeros_kept([first, second], [np.zeros((8, 8)), np.ones((8, 8))]) is False


def test_kernels_split_by_gates_or_joined_by_directions_are_found():
    forward, backward = sparse(5, 24), sparse(5, 24)
    gates = [part.T for kernel in (forward, backward) for part in np.split(kernel, 4, axis=1)]
    joined = np.stack([forward.T, backward.T])
    assert zeros_kept([forward, backward], gates) is True
    assert zeros_kept([forward, backward], [joined, np.ones((2, 48))]) is True
    assert zeros_kept([forward, backward], [np.ones_like(joined), np.ones((2, 48))]) is False


def test_it_is_unknown_where_no_tensor_has_the_size():
    assert zeros_kept([sparse(5, 7)], [np.zeros((100, 3))]) is None
    assert zeros_kept([sparse(5, 7)], [np.zeros(35)]) is None, "a vector is no weight"
    assert zeros_kept([], [np.zeros((2, 2))]) is True


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_rounding_to_zero_keeps_and_a_shuffled_file_is_the_same(shapes, seed):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) * (rng.random(shape) < 0.5) for shape in shapes]
    rounded = [np.round(weight, 1).T for weight in weights]
    assert zeros_kept(weights, [rounded[i] for i in rng.permutation(len(rounded))]) is True


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0])
def test_only_zeros_are_zeros(value):
    expected = value == 0.0
    assert zeros_kept([np.zeros((2, 3))], [np.full((2, 3), value)]) is expected
