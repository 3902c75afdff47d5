"""Ranking many numbers: exact whatever was guessed or drawn, and frugal."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.ranking import BLOCK, cut_off, keep_top
from spiral_cli.pruning.recipe_masks import recipe_masks
from spiral_cli.recipe.prune import Prune

VALUES = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf]), max_size=40)
RULES = [("magnitude", "global"), ("magnitude", "lamp"), ("lamp", "global")]


def stable_top(scores, count):
    """Return what `keep_top` promises, by a stable sort."""
    order = np.argsort(-scores, kind="stable")[:count]
    mask = np.zeros(scores.size, bool)
    mask[order[scores[order] > -np.inf]] = True
    return mask


@given(st.lists(VALUES, min_size=1, max_size=4), st.data(), st.sampled_from([0.0, 0.3, 6.0]))
def test_a_cut_off_is_exact_however_narrow_the_bracket(lists, data, deviations):
    pool = sorted((value for values in lists for value in values), reverse=True)
    if pool:
        count = data.draw(st.integers(1, len(pool)))
        parts = [np.array(values, np.float32) for values in lists]
        assert cut_off(parts, count, deviations) == pool[count - 1]


@pytest.mark.parametrize("count", [0, 4])
def test_a_rank_that_does_not_exist_is_refused(count):
    with pytest.raises(ValueError, match=f"count is {count}; allowed: 1 to the number of values, 3"):
        cut_off([np.ones(2), np.ones(1)], count)


@given(VALUES, st.integers(0, 45), st.sampled_from([None, -np.inf, -1.0, 0.0, 0.7, 2.0, np.inf]))
def test_a_wrong_bound_does_no_harm(values, count, bound):
    scores = np.array(values)
    np.testing.assert_array_equal(keep_top(scores, count, bound), stable_top(scores, count))


@pytest.mark.parametrize("levels", [2, 50, 10**9])
@pytest.mark.parametrize("density", [1e-5, 0.1, 0.5, 0.97, 1.0])
def test_layers_of_many_blocks_are_ranked_exactly(levels, density):
    scores = np.random.default_rng(0).integers(0, levels, 3 * BLOCK + 5).astype(np.float32)
    count = round(density * scores.size)
    ranked = np.sort(scores)[::-1]
    assert cut_off([scores[:BLOCK], scores[BLOCK:]], count) == ranked[count - 1]
    for bound in (None, ranked[count - 1], ranked[0]):
        np.testing.assert_array_equal(keep_top(scores, count, bound), stable_top(scores, count))


def weights_of(size: int, earlier: bool):
    """Return kernels of one large layer and twenty small ones, and masks of 30 % they lie within."""
    rng = np.random.default_rng(0)
    sizes = [size // 2, *[size // 40] * 20]
    weights = {f"layer{i}": rng.standard_normal(size, np.float32) for i, size in enumerate(sizes)}
    if not earlier:
        return weights, None
    within = {name: rng.random(array.size) < 0.3 for name, array in weights.items()}
    return {name: array * within[name] for name, array in weights.items()}, within


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize(("criterion", "allocation"), RULES)
def test_masks_take_at_most_3_times_the_weights_memory(criterion, allocation, earlier):
    weights, within = weights_of(4_000_000, earlier)
    prune = Prune(criterion=criterion, allocation=allocation)
    recipe_masks(prune, weights_of(1000, False)[0], 0.1, evidence=Evidence())  # imports
    tracemalloc.start()
    recipe_masks(prune, weights, 0.1, evidence=Evidence(), within=within)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 3 * sum(array.nbytes for array in weights.values())


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize(("criterion", "allocation"), RULES)
def test_masks_take_a_few_times_as_long_as_numpy_to_rank_as_many(criterion, allocation, earlier):
    weights, within = weights_of(20_000_000, earlier)
    pool = np.abs(np.concatenate(list(weights_of(20_000_000, False)[0].values())))
    prune = Prune(criterion=criterion, allocation=allocation)

    def ours():
        recipe_masks(prune, weights, 0.1, evidence=Evidence(), within=within)

    def numpys():
        if (criterion, allocation) == ("magnitude", "global"):
            np.partition(pool, int(0.9 * pool.size))
        else:
            np.cumsum(np.sort(pool))

    def seconds(work):
        started = time.process_time()  # of the processor: other jobs of the machine matter less
        work()
        return time.process_time() - started

    ratios = [seconds(ours) / seconds(numpys) for _ in range(9)]
    assert np.median(ratios) <= (4 if (criterion, allocation) == ("magnitude", "global") else 2)
