"""Laws of the seeded stratified choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.data.stratify import apportion, carve, strata, subset
from spiral_cli.errors import MissingError, UsageError

LABELS = st.lists(st.integers(0, 4), min_size=4, max_size=60).map(np.array)


def carvable(y: np.ndarray, fraction: float) -> bool:
    return int(len(y) * fraction + 0.5) > 0 and np.unique(y, return_counts=True)[1].max() > 1


@given(LABELS, st.floats(0.05, 0.9), st.integers(0, 2**31 - 1))
def test_carving_divides_and_keeps_every_class_of_two_in_both(y, fraction, seed):
    if not carvable(y, fraction):
        with pytest.raises(MissingError):
            carve(y, fraction, seed, "validation")
        return
    kept, carved = carve(y, fraction, seed, "validation")
    assert sorted([*kept, *carved]) == list(range(len(y)))
    values, counts = np.unique(y, return_counts=True)
    for value, count in zip(values, counts, strict=True):
        assert (y[kept] == value).any()
        assert (y[carved] == value).any() == (count > 1)
    pairs = int((counts > 1).sum())
    assert len(carved) == np.clip(int(len(y) * fraction + 0.5), pairs, (counts - 1).sum())


@given(LABELS, st.integers(0, 2**31 - 1))
def test_the_same_seed_gives_the_same_split(y, seed):
    if carvable(y, 0.3):
        first, second = carve(y, 0.3, seed, "test"), carve(y.copy(), 0.3, seed, "test")
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


def test_another_seed_and_another_purpose_choose_differently():
    y = np.arange(400) % 2
    first = carve(y, 0.5, 0, "test")[1]
    assert not np.array_equal(first, carve(y, 0.5, 1, "test")[1])
    assert not np.array_equal(first, carve(y, 0.5, 0, "validation")[1])


def test_shares_are_proportional():
    y = np.repeat([0, 1, 2], [50, 30, 20])
    _, carved = carve(y, 0.1, 7, "validation")
    np.testing.assert_array_equal(np.bincount(y[carved]), [5, 3, 2])


def test_largest_remainders_first_and_ties_to_the_earlier():
    none, all_of = np.zeros(3, int), np.array([10, 10, 10])
    np.testing.assert_array_equal(apportion(np.array([10, 10, 10]), 4, none, all_of), [2, 1, 1])
    np.testing.assert_array_equal(apportion(np.array([10, 10, 28]), 5, none, all_of), [1, 1, 3])


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=8),
    st.integers(0, 200),
)
def test_apportioned_numbers_keep_their_bounds_and_sum(rows, total):
    counts, one, other = np.array(rows).T
    low, high = np.minimum(one, other), np.maximum(one, other)
    take = apportion(counts, total, low, high)
    assert (low <= take).all() and (take <= high).all()
    assert take.sum() == np.clip(total, low.sum(), high.sum())


@given(LABELS, st.data(), st.integers(0, 99))
def test_a_subset_has_its_size_and_every_class(y, data, seed):
    classes = len(np.unique(y))
    size = data.draw(st.integers(classes, len(y)))
    chosen = subset(y, size, seed)
    assert len(chosen) == len(set(chosen)) == size
    assert set(y[chosen]) == set(y)
    np.testing.assert_array_equal(chosen, subset(y, size, seed))


@pytest.mark.parametrize("size", [1, 9])
def test_an_impossible_subset_says_what_is_allowed(size):
    with pytest.raises(UsageError, match=rf"subset: received {size}; allowed are 2 .* to 8"):
        subset(np.array([0, 0, 0, 0, 1, 1, 1, 1]), size, 0)


def test_a_part_of_nothing_says_which_fraction_would_do():
    with pytest.raises(MissingError, match=r"0.01 of 20 training examples.*validation part of nothing.*0.05"):
        carve(np.arange(20) % 2, 0.01, 0, "validation")
    with pytest.raises(MissingError, match="no class has two"):
        carve(np.arange(20), 0.5, 0, "test")


def test_strata_of_rows_are_their_class_or_their_rarest_label():
    np.testing.assert_array_equal(strata(np.eye(3)[[2, 0, 2, 1]]), [2, 0, 2, 1])
    rows = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]])  # label 2 is rarest, then 1, then 0
    np.testing.assert_array_equal(strata(rows), [1, 2, 3, 0])
