"""Masks by rank: exact counts, stable ties, and what was cut stays cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli.errors import DivergedError
from spiral_cli.pruning.allocation import erk, globally, lamp, uniform
from spiral_cli.pruning.granularity import Unstructured
from spiral_cli.pruning.masks import make_masks
from spiral_cli.pruning.ranking import keep_top

ALLOCATIONS = [uniform, globally, erk, lamp]
SHAPES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4)
DENSITY = st.floats(0.01, 1.0)


def masks(scores, density, allocation=globally, **rest):
    return make_masks(scores, density, allocation=allocation, granularity=Unstructured(), **rest)


@st.composite
def layers(draw, levels=5):
    """Scores of a few small layers with many ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shapes = draw(SHAPES)
    return {f"layer{i}/kernel": rng.integers(0, levels, shape).astype(np.float32) for i, shape in enumerate(shapes)}


def kept(found):
    return sum(int(mask.sum()) for mask in found.values())


def size(scores):
    return sum(array.size for array in scores.values())


def test_the_highest_are_kept():
    scores = {"a": np.array([[3.0, 1.0], [2.0, 4.0]])}
    np.testing.assert_array_equal(masks(scores, 0.5)["a"], [[True, False], [False, True]])
    np.testing.assert_array_equal(masks(scores, 0.75)["a"], [[True, False], [True, True]])


def test_of_equal_scores_the_earlier_index_is_kept():
    np.testing.assert_array_equal(masks({"a": np.ones((2, 3))}, 0.5)["a"], [[1, 1, 1], [0, 0, 0]])
    scores = {"a": np.array([[2.0, 1.0, 1.0], [1.0, 3.0, 1.0]])}
    np.testing.assert_array_equal(masks(scores, 0.5)["a"], [[1, 1, 0], [0, 1, 0]])


def test_a_sparsity_of_30_percent_is_exact_where_half_is_zero_already():
    scores = {"a": np.array([[0.0, 5.0, 0.0, 6.0, 0.0], [7.0, 0.0, 8.0, 0.0, 9.0]])}
    found = masks(scores, 1 - 0.3)["a"]
    np.testing.assert_array_equal(found, [[1, 1, 1, 1, 0], [1, 0, 1, 0, 1]])


def test_within_counts_against_all_weights_and_never_grows_back():
    scores = {"a": np.array([[9.0, 8.0, 7.0, 6.0]])}
    within = {"a": np.array([[False, True, True, True]])}
    np.testing.assert_array_equal(masks(scores, 0.5, within=within)["a"], [[0, 1, 1, 0]])
    np.testing.assert_array_equal(masks(scores, 1.0, within=within)["a"], within["a"])


def test_a_global_ranking_crosses_layers():
    scores = {"a": np.array([[1.0, 2.0]]), "b": np.array([[3.0, 4.0, 5.0, 0.0]])}
    found = masks(scores, 0.5)
    np.testing.assert_array_equal(found["a"], [[0, 1]])  # the last of its layer survives
    np.testing.assert_array_equal(found["b"], [[0, 1, 1, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused_by_name(bad):
    with pytest.raises(DivergedError, match="dense/kernel"):
        masks({"dense/kernel": np.array([[1.0, bad]])}, 0.5)


def test_integer_and_half_precision_scores_are_ranked():
    for kind in (np.int64, np.float16, bool):
        found = masks({"a": np.array([[0, 1], [1, 0]], kind)}, 0.5)["a"]
        np.testing.assert_array_equal(found, [[0, 1], [1, 0]])


@given(layers(), DENSITY, st.sampled_from(ALLOCATIONS))
def test_counts_are_exact_and_every_layer_survives(scores, density, allocation):
    found = masks(scores, density, allocation)
    assert all(mask.dtype == bool and mask.shape == scores[name].shape for name, mask in found.items())
    assert all(mask.any() for mask in found.values())
    assert kept(found) == max(round(density * size(scores)), len(scores))


@given(layers(), DENSITY, DENSITY, st.sampled_from(ALLOCATIONS), st.integers(0, 2**32))
def test_masks_stay_within_earlier_ones_and_exact(scores, first, second, allocation, seed):
    within = masks(scores, max(first, second), allocation)
    rng = np.random.default_rng(seed)
    others = {name: rng.random(array.shape) for name, array in scores.items()}
    found = masks(others, min(first, second), allocation, within=within)
    assert all((mask <= within[name]).all() for name, mask in found.items())
    assert all(mask.any() for mask in found.values())
    assert kept(found) == min(max(round(min(first, second) * size(scores)), len(scores)), kept(within))


@given(layers(), DENSITY, DENSITY)
def test_global_masks_of_one_ranking_are_nested(scores, one, other):
    small, large = masks(scores, min(one, other)), masks(scores, max(one, other))
    assert all((small[name] <= large[name]).all() for name in scores)


@given(layers(), DENSITY, st.sampled_from(ALLOCATIONS), st.randoms(use_true_random=False))
def test_the_order_of_layers_does_not_matter(scores, density, allocation, random):
    names = list(scores)
    random.shuffle(names)
    expected = masks(scores, density, allocation)
    found = masks({name: scores[name] for name in names}, density, allocation)
    assert all((found[name] == expected[name]).all() for name in names)


@given(layers(levels=1000), DENSITY)
def test_lamp_does_not_see_the_scale_of_a_layer(weights, density):
    scaled = {name: array * 2.0 ** (3 * i) for i, (name, array) in enumerate(weights.items())}
    expected, found = masks(weights, density, lamp), masks(scaled, density, lamp)
    assert all((found[name] == expected[name]).all() for name in weights)


def test_lamp_shares_out_by_the_weights_and_ranks_by_the_scores():
    weights = {"a": np.array([[1.0, 1.0, 1.0, 1.0]]), "b": np.array([[8.0, 0.1, 0.1, 0.1]])}
    scores = {"a": np.array([[1.0, 2.0, 3.0, 4.0]]), "b": np.array([[50.0, 60.0, 70.0, 80.0]])}
    found = masks(scores, 0.5, lamp, weights=weights)  # LAMP a: 1, 1/2, 1/3, 1/4; b: 1 and below 1/3
    np.testing.assert_array_equal(found["a"], [[0, 1, 1, 1]])
    np.testing.assert_array_equal(found["b"], [[0, 0, 0, 1]])


@given(
    st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.0, np.inf]), min_size=1, max_size=30),
    st.integers(0, 40),
)
def test_keep_top_equals_a_stable_sort(values, count):
    scores = np.array(values)
    order = [i for i in np.argsort(-scores, kind="stable") if scores[i] > -np.inf][:count]
    assert sorted(order) == np.flatnonzero(keep_top(scores, count)).tolist()


@settings(max_examples=5)
@given(st.integers(0, 100))
def test_a_large_layer_equals_a_stable_sort(seed):
    scores = np.random.default_rng(seed).integers(0, 500, (300, 100)).astype(np.float32)
    expected = np.zeros(scores.size, bool)
    expected[np.argsort(-scores.ravel(), kind="stable")[:3000]] = True
    np.testing.assert_array_equal(masks({"a": scores}, 0.1)["a"].ravel(), expected)
