"""Values that weights share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spiral_cli.packed.sharing import halved, k_means, middles, nearest, shared

WEIGHTS = hnp.arrays(
    np.float32, hnp.array_shapes(max_dims=3, max_side=20), elements=st.floats(-8, 8, width=32, allow_subnormal=False)
)


@given(WEIGHTS, st.integers(1, 5))
def test_there_are_at_most_so_many_values_and_zeros_stay_what_they_are(weights, bits):
    result = shared(weights, 2**bits)
    assert (result.dtype, result.shape) == (weights.dtype, weights.shape)
    np.testing.assert_array_equal(result != 0, weights != 0)
    assert len(np.unique(result[result != 0])) <= 2**bits
    assert np.array_equal(result, shared(result, 2**bits))  # what is shared is not moved again


@given(WEIGHTS)
def test_few_values_are_kept_as_they_are(weights):
    few = np.round(weights)
    np.testing.assert_array_equal(shared(few, 16), few)


def test_centroids_are_the_means_of_what_is_nearest_to_them():
    values = np.random.default_rng(0).normal(size=300)
    centroids = k_means(values, 16)
    assert 8 < len(centroids) <= 16
    assert (np.diff(centroids) > 0).all()
    which = nearest(values, centroids)
    np.testing.assert_allclose(centroids, [values[which == i].mean() for i in range(len(centroids))], rtol=1e-9)
    np.testing.assert_array_equal(which, np.abs(values[:, None] - centroids).argmin(1))
    assert len(middles(centroids)) == len(centroids) - 1
    assert np.var(values - centroids[which]) < 0.02 * np.var(values)


def test_separate_clusters_are_found_exactly():
    values = np.repeat([-2.0, -0.5, 1.0, 4.0], [50, 3, 20, 1]) + np.tile([-0.01, 0.01], 37)
    np.testing.assert_allclose(k_means(values, 4), [-2, -0.5, 1, 4], atol=0.011)


def test_rounding_to_half_is_left_where_it_would_lose_more_than_last_bits():
    plain = np.array([0.1, -3.7, 1000.1], np.float32)
    np.testing.assert_array_equal(halved(plain), plain.astype(np.float16).astype(np.float32))
    for values in ([1e-7, 1.0], [1e6, 1.0], [3e-8, 0.0]):
        given = np.array(values, np.float32)
        np.testing.assert_array_equal(halved(given), given)
    whole = np.array([1, 2**40])
    assert halved(whole) is whole
