"""How weights are shared out over layers: counts by hand, and sums that are exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli import registry
from spiral_cli.errors import UsageError
from spiral_cli.pruning.allocation import erk, globally, lamp, per_layer, split, uniform

DENSITY = st.floats(0.001, 1.0)


def sized(**sizes):
    """Return layers of one output with distinct scores."""
    return {name: np.arange(1.0, size + 1)[:, None] for name, size in sizes.items()}


@st.composite
def marked(draw):
    """Scores in which some weights must go and some must stay."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shapes = draw(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=5))
    marks = np.array([-np.inf, -np.inf, 0.0, 1.0, 2.0, 3.0, np.inf])
    return {f"layer{i}": rng.choice(marks, shape) for i, shape in enumerate(shapes)}


def test_every_recipe_name_is_registered():
    assert set(registry.allocations.names()) == {"uniform", "global", "erk", "lamp"}
    assert registry.allocations.get("global") is globally


def test_uniform_by_hand():
    assert uniform(sized(a=10, b=30), 0.5) == {"a": 5, "b": 15}
    assert uniform(sized(a=3, b=3, c=3), 4 / 9) == {"a": 2, "b": 1, "c": 1}  # 4/3 each: equal remainders by name
    assert uniform(sized(a=5, b=15), 0.4) == {"a": 2, "b": 6}


def test_the_largest_remainder_gets_the_last_unit():
    assert uniform(sized(a=11, b=14), 0.4) == {"a": 4, "b": 6}  # exactly 4.4 and 5.6


def test_erk_by_hand():
    # sides sum to 4 + 4 = 8 and 8 + 8 = 16: of 24 weights, a gets 8 and b 16
    scores = {"a": np.ones((4, 4)), "b": np.ones((8, 8))}
    assert erk(scores, 24 / 80) == {"a": 8, "b": 16}
    # of 54, a would get 18 of its 16: it is full and b takes the rest
    assert erk(scores, 54 / 80) == {"a": 16, "b": 38}


def test_erk_of_a_convolution_counts_all_four_sides():
    scores = {"conv": np.ones((3, 3, 4, 8)), "dense": np.ones((20, 16))}  # 18 and 36
    assert erk(scores, 108 / 608) == {"conv": 36, "dense": 72}


def test_lamp_counts_by_hand():
    weights = {"a": np.array([[1.0, 1.0, 1.0, 1.0]]), "b": np.array([[8.0, 0.1, 0.1, 0.1]])}
    random = {"a": np.array([[0.3, 0.1, 0.4, 0.2]]), "b": np.array([[7.0, 9.0, 8.0, 6.0]])}
    assert lamp(random, 0.5, weights) == {"a": 3, "b": 1}
    assert lamp(weights, 0.5) == {"a": 3, "b": 1}  # without weights, the scores are ranked


def test_lamp_equals_the_paper_on_random_layers():
    rng = np.random.default_rng(0)
    weights = {"a": rng.normal(size=(7, 5)), "b": 9 * rng.normal(size=(4, 6))}
    pool = []
    for name, array in weights.items():
        squares = np.sort(array.ravel() ** 2)
        pool += [(square / squares[i:].sum(), name) for i, square in enumerate(squares)]
    best = [name for _, name in sorted(pool, reverse=True)[:20]]
    assert lamp(weights, 20 / 59) == {"a": best.count("a"), "b": best.count("b")}


def test_a_global_ranking_leaves_one_weight_a_layer():
    scores = {"a": np.array([[0.1, 0.2]]), "b": np.arange(10.0, 18.0)[None]}
    assert globally(scores, 0.3) == {"a": 1, "b": 2}
    assert globally(scores, 0.01) == {"a": 1, "b": 1}


def test_a_layer_that_is_gone_stays_gone():
    scores = {"a": np.full((2, 2), -np.inf), "b": np.ones((2, 2))}
    for allocate in (uniform, globally, erk, lamp, per_layer({"a": 0.1}, 0.5)):
        assert allocate(scores, 0.5)["a"] == 0


@given(marked(), DENSITY, st.sampled_from([uniform, globally, erk, lamp]))
def test_counts_sum_exactly_within_what_layers_must_and_may_keep(scores, density, allocate):
    counts = allocate(scores, density)
    may = {name: int((array > -np.inf).sum()) for name, array in scores.items()}
    must = {name: max(int((array == np.inf).sum()), min(1, may[name])) for name, array in scores.items()}
    assert all(must[name] <= counts[name] <= may[name] for name in scores)
    wanted = round(density * sum(array.size for array in scores.values()))
    assert sum(counts.values()) == min(max(wanted, sum(must.values())), sum(may.values()))


@given(marked(), DENSITY, st.sampled_from([uniform, globally, erk, lamp]))
def test_the_order_of_layers_does_not_matter(scores, density, allocate):
    assert allocate(scores, density) == allocate(dict(reversed(scores.items())), density)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), DENSITY)
def test_a_share_is_off_by_less_than_one_weight_where_no_bound_is_met(sizes, density):
    scores = {f"l{i}": np.zeros((size, 1)) for i, size in enumerate(sizes)}
    counts = split({name: float(array.size) for name, array in scores.items()}, scores, density)
    exact = round(density * sum(sizes)) / sum(sizes)
    if all(exact * size >= 1 for size in sizes):
        assert all(abs(counts[name] - exact * array.size) < 1 + 1e-6 for name, array in scores.items())


def test_named_layers_fall_in_step_and_end_at_their_number():
    allocate = per_layer({"conv*": 0.5}, 0.99)
    scores = {"conv/kernel": np.ones((100, 10)), "dense/kernel": np.ones((100, 10))}
    assert allocate(scores, 1.0) == {"conv/kernel": 1000, "dense/kernel": 1000}
    assert allocate(scores, 0.1) == {"conv/kernel": round(1000 * 0.5**0.5), "dense/kernel": 100}
    assert allocate(scores, 0.01) == {"conv/kernel": 500, "dense/kernel": 10}


def test_the_first_pattern_counts_and_a_number_of_0_keeps_a_layer_dense():
    allocate = per_layer({"a/dense": 0.0, "dense": 0.9}, 0.8)
    scores = {"a/dense/kernel": np.ones((10, 10)), "b/dense/kernel": np.ones((10, 10))}
    assert allocate(scores, 0.2) == {"a/dense/kernel": 100, "b/dense/kernel": 10}


def test_a_pattern_for_no_layer_is_refused():
    with pytest.raises(UsageError, match=r"prune.allocation: 'conv' matches no layer; there are dense"):
        per_layer({"conv": 0.5}, 0.9)({"dense/kernel": np.ones((2, 2))}, 0.5)
