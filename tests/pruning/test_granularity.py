"""n:m groups and blocks: patterns by hand, and their laws on generated scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.errors import UsageError
from spiral_cli.pruning.allocation import erk, globally, lamp, per_layer, uniform
from spiral_cli.pruning.granularity import Blocks, NByM, Unstructured, as_matrix, from_recipe
from spiral_cli.pruning.masks import make_masks
from spiral_cli.recipe.prune import NM, Block

ALLOCATIONS = st.sampled_from([uniform, globally, erk, lamp, per_layer({"layer0": 0.2}, 0.9)])
DENSITY = st.floats(0.02, 1.0)


@st.composite
def layers(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shapes = draw(st.lists(st.tuples(st.integers(1, 13), st.integers(1, 6)), min_size=1, max_size=3))
    levels = draw(st.sampled_from([2, 1000]))
    return {f"layer{i}/kernel": rng.integers(0, levels, shape).astype(np.float32) for i, shape in enumerate(shapes)}


def column(*values):
    return {"a": np.array(values, float)[:, None]}


def masks(scores, density, granularity, allocation=globally, **rest):
    return make_masks(scores, density, allocation=allocation, granularity=granularity, **rest)


def groups(mask, m):
    """Return the kept weights of each group, full groups first, then the last partial one."""
    return [mask[start : start + m].sum(axis=0) for start in range(0, len(mask), m)]


def test_two_of_four_by_hand():
    scores = {"a": np.array([[1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [4.0, 1.0]])}
    expected = [[0, 1], [0, 1], [1, 0], [1, 0]]
    np.testing.assert_array_equal(masks(scores, 0.5, NByM(2, 4))["a"], expected)


def test_groups_run_along_the_input_and_ties_keep_the_earlier():
    scores = {"a": np.ones((4, 2))}
    np.testing.assert_array_equal(masks(scores, 0.5, NByM(2, 4))["a"], [[1, 1], [1, 1], [0, 0], [0, 0]])


def test_on_the_way_down_the_best_of_each_group_are_protected():
    scores = column(1, 2, 3, 4, 50, 60, 70, 80)  # unstructured would cut 1, 2, 3
    found = masks(scores, 5 / 8, NByM(2, 4))["a"].ravel()
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 0, 1, 1, 1])


def test_below_the_pattern_the_rest_goes_by_rank():
    scores = column(1, 2, 3, 4, 50, 60, 70, 80)
    found = masks(scores, 3 / 8, NByM(2, 4))["a"].ravel()
    np.testing.assert_array_equal(found, [0, 0, 0, 1, 0, 0, 1, 1])


def test_a_leftover_group_keeps_no_more_than_n():
    scores = column(1, 2, 3, 4, 5, 6, 7)  # groups of 4 and 3
    np.testing.assert_array_equal(masks(scores, 0.25, NByM(1, 4))["a"].ravel(), [0, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(masks(scores, 0.5, NByM(2, 4))["a"].ravel(), [0, 0, 1, 1, 0, 1, 1])


def test_convolutions_are_flattened_over_height_width_and_input():
    scores = {"a": np.arange(8.0).reshape(1, 2, 2, 2)}  # inputs 0 to 3 of output 0 score 0, 2, 4, 6
    found = masks(scores, 0.5, NByM(2, 4))["a"]
    np.testing.assert_array_equal(found.reshape(4, 2), [[0, 0], [0, 0], [1, 1], [1, 1]])


def test_input_axes_say_which_axes_are_grouped():
    scores = {"a": np.array([[1.0, 2.0, 4.0, 3.0], [8.0, 7.0, 5.0, 6.0]])}
    found = masks(scores, 0.5, NByM(2, 4), input_axes={"a": (1,)})["a"]
    np.testing.assert_array_equal(found, [[0, 0, 1, 1], [1, 1, 0, 0]])


@given(layers(), st.sampled_from([(1, 2), (2, 4), (1, 3), (3, 4)]), ALLOCATIONS)
def test_at_n_of_m_every_full_group_keeps_exactly_n(scores, pattern, allocation):
    n, m = pattern
    whole = {name: np.tile(array, (m, 1)) for name, array in scores.items()}  # inputs divide by m
    for density in (n / m, n / m + 5e-4):  # a person writes 0.333 for 1/3
        found = masks(whole, density, NByM(n, m), allocation)
        if allocation in (uniform, globally, erk, lamp):
            assert all((kept == n).all() for mask in found.values() for kept in groups(mask, m))
        assert all((kept <= n).all() for mask in found.values() for kept in groups(mask, m))


@given(layers(), st.sampled_from([(1, 2), (2, 4), (1, 3)]), DENSITY, ALLOCATIONS)
def test_no_group_is_above_n_below_the_pattern_nor_below_n_above_it(scores, pattern, density, allocation):
    n, m = pattern
    found = masks(scores, density, NByM(n, m), allocation)
    most = {name: np.minimum(n, np.diff([*range(0, len(mask), m), len(mask)])) for name, mask in found.items()}
    places = sum(most[name].sum() * mask.shape[1] for name, mask in found.items())
    below = density <= n / m + 1e-3 or round(density * sum(mask.size for mask in found.values())) < places
    for name, mask in found.items():
        for kept, bound in zip(groups(mask, m), most[name], strict=True):
            assert (kept <= bound if below else kept >= bound).all()


@given(layers(), DENSITY, DENSITY)
def test_n_of_m_masks_of_one_ranking_are_nested(scores, one, other):
    small = masks(scores, min(one, other), NByM(2, 4))
    large = masks(scores, max(one, other), NByM(2, 4))
    assert all((small[name] <= large[name]).all() for name in scores)


@given(layers(), DENSITY, DENSITY, st.sampled_from([NByM(2, 4), Blocks(2, 3)]), ALLOCATIONS, st.integers(0, 99))
def test_shapes_stay_within_earlier_masks(scores, one, other, granularity, allocation, seed):
    within = masks(scores, max(one, other), granularity, allocation)
    rng = np.random.default_rng(seed)
    moved = {name: rng.random(array.shape) for name, array in scores.items()}
    found = masks(moved, min(one, other), granularity, allocation, within=within)
    assert all((mask <= within[name]).all() and mask.any() for name, mask in found.items())


def test_dead_weights_protect_nobody():
    within = {"a": np.array([[0, 0, 1, 1, 1, 1, 1, 1]], bool).T}
    found = masks(column(9, 8, 2, 1, 50, 60, 70, 80), 0.5, NByM(2, 4), within=within)["a"].ravel()
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 0, 0, 1, 1])


def test_blocks_by_hand_with_partial_edges():
    scores = {"a": np.array([[1.0, 1.0, 9.0], [1.0, 1.0, 9.0], [5.0, 5.0, 0.0]])}
    # tiles of 2 by 2: means 1 (4 weights), 9 (2), 5 (2), 0 (1)
    np.testing.assert_array_equal(masks(scores, 4 / 9, Blocks(2, 2))["a"], [[0, 0, 1], [0, 0, 1], [1, 1, 0]])
    np.testing.assert_array_equal(masks(scores, 8 / 9, Blocks(2, 2))["a"], [[1, 1, 1], [1, 1, 1], [1, 1, 0]])


def test_a_layer_keeps_its_best_tile_however_large():
    found = masks({"a": np.arange(16.0).reshape(4, 4)}, 0.01, Blocks(2, 2))["a"]
    np.testing.assert_array_equal(found, np.kron([[0, 0], [0, 1]], np.ones((2, 2))))


@given(layers(), DENSITY, st.integers(1, 4), st.integers(1, 4), ALLOCATIONS)
def test_tiles_are_whole_and_no_layer_dies(scores, density, rows, columns, allocation):
    found = masks(scores, density, Blocks(rows, columns), allocation)
    for mask in found.values():
        assert mask.any()
        for top in range(0, mask.shape[0], rows):
            for left in range(0, mask.shape[1], columns):
                tile = mask[top : top + rows, left : left + columns]
                assert tile.all() or not tile.any()


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), DENSITY, st.integers(1, 4), st.integers(1, 4))
def test_no_other_number_of_tiles_is_nearer(seed, height, width, density, rows, columns):
    scores = np.random.default_rng(seed).random((height, width))
    tiles = [
        (-scores[top : top + rows, left : left + columns].mean(), scores[top : top + rows, left : left + columns].size)
        for top in range(0, height, rows)
        for left in range(0, width, columns)
    ]
    reached = np.cumsum([size for _, size in sorted(tiles)])
    wanted = max(round(density * scores.size), 1)
    kept = masks({"a": scores}, density, Blocks(rows, columns))["a"].sum()
    assert kept in reached
    assert abs(kept - wanted) == np.abs(reached - wanted).min()


@given(layers(), DENSITY, DENSITY)
def test_blocks_of_one_ranking_are_nested(scores, one, other):
    one_layer = dict(list(scores.items())[:1])
    small, large = (masks(one_layer, density, Blocks(2, 2)) for density in sorted((one, other)))
    assert all((small[name] <= large[name]).all() for name in one_layer)


@given(layers(), DENSITY)
def test_blocks_of_one_weight_are_unstructured(scores, density):
    found, expected = masks(scores, density, Blocks(1, 1)), masks(scores, density, Unstructured())
    assert all((found[name] == expected[name]).all() for name in scores)


@given(st.permutations(range(4)), st.integers(1, 3))
def test_a_matrix_and_back_is_the_identity(order, inputs):
    array = np.arange(120).reshape(2, 3, 4, 5)
    axes = tuple(order[:inputs])
    matrix, restore = as_matrix(array, axes)
    assert matrix.shape[0] == np.prod([array.shape[axis] for axis in axes])
    np.testing.assert_array_equal(restore(matrix), array)


def test_granularities_of_a_recipe():
    assert from_recipe("unstructured") == Unstructured()
    assert from_recipe(NM(n=2, m=4)) == NByM(2, 4)
    assert from_recipe(Block(block=[4, 8])) == Blocks(4, 8)
    with pytest.raises(UsageError, match="unstructured"):
        from_recipe("channel")


@pytest.mark.parametrize("granularity", [NByM(2, 4), Blocks(2, 2)])
def test_the_dead_are_not_raised_to_fill_a_group_or_a_layer(granularity):
    scores = {"a": np.arange(16.0)[::-1].reshape(8, 2), "b": np.ones((4, 4))}
    alive = np.array([[0, 0], [0, 0], [0, 0], [0, 1], [1, 1], [1, 1], [1, 1], [1, 1]], bool)
    within = {"a": alive, "b": np.zeros((4, 4), bool)}
    for density in (0.2, 0.5, 0.9):
        found = masks(scores, density, granularity, within=within)
        assert (found["a"] <= alive).all()
        assert not found["b"].any()
