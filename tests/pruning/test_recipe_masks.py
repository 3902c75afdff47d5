"""The whole way from weights to masks against the plainest program that does the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli import registry
from spiral_cli.pruning.allocation import globally, lamp
from spiral_cli.pruning.criteria.lamp import lamp_scores
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.granularity import NByM, Unstructured
from spiral_cli.pruning.lamp_order import BLOCK, LampOrder, highest_score
from spiral_cli.pruning.masks import make_masks
from spiral_cli.pruning.recipe_masks import recipe_masks
from spiral_cli.recipe.prune import Prune

DENSITY = st.floats(0.01, 1.0)
KINDS = st.sampled_from([np.float16, np.float32, np.float64])


@st.composite
def weights_and_masks(draw, kinds=KINDS):
    """Weights of a few layers, with many ties or none, and earlier masks, some whole, some empty."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shapes = draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4))
    levels, kind = draw(st.sampled_from([1, 3, 1000])), draw(kinds)
    within = {f"layer{i}": rng.random(shape) < rng.choice([0.0, 0.5, 1.0]) for i, shape in enumerate(shapes)}
    weights = {
        name: (rng.integers(-levels, levels + 1, mask.shape) * 2.0 ** rng.integers(-3, 4) * mask).astype(kind)
        for name, mask in within.items()
    }
    return weights, within


def lamp_by_the_paper(weight):
    """Return w² / Σ of the squares not smaller, a weight at a time."""
    square = np.square(weight.ravel().astype(np.float64))
    scores, total = np.zeros(square.size), 0.0
    for place in sorted(range(square.size), key=lambda i: (-square[i], i)):
        total += square[place]
        scores[place] = square[place] / total if total else 0.0
    return scores.reshape(weight.shape)


def global_by_hand(scores, density, within):
    """Return masks by one sorted list: the best of every layer, then by score, layer and place."""
    ranked = []
    for name in sorted(scores):
        alive = [i for i in range(scores[name].size) if within[name].flat[i]]
        best = max(alive, key=lambda i: (scores[name].flat[i], -i), default=None)
        ranked += [(i != best, -scores[name].flat[i], name, i) for i in alive]
    living = sum(not spare for spare, *_ in ranked)
    masks = {name: np.zeros(array.shape, bool) for name, array in scores.items()}
    for *_, name, place in sorted(ranked)[: max(living, round(density * sum(m.size for m in masks.values())))]:
        masks[name].flat[place] = True
    return masks


def equal(found, expected):
    return all((found[name] == expected[name]).all() for name in expected)


@given(weights_and_masks(), DENSITY)
def test_magnitude_ranked_globally(drawn, density):
    weights, within = drawn
    scores = {name: np.abs(weight) for name, weight in weights.items()}
    found = recipe_masks(Prune(), weights, density, evidence=Evidence(), within=within)
    assert equal(found, global_by_hand(scores, density, within))


@given(weights_and_masks(), DENSITY, st.sampled_from([("lamp", "global"), ("lamp", "lamp"), ("magnitude", "lamp")]))
def test_lamp_ranked_globally(drawn, density, rule):
    weights, within = drawn
    scores = {name: lamp_by_the_paper(weight) for name, weight in weights.items()}
    expected = global_by_hand(scores, density, within)
    prune = Prune(criterion=rule[0], allocation=rule[1])
    assert equal(recipe_masks(prune, weights, density, evidence=Evidence(), within=within), expected)
    scores = {name: lamp_scores(weight) for name, weight in weights.items()}  # and with a score for each
    assert equal(
        make_masks(scores, density, allocation=globally, granularity=Unstructured(), within=within, weights=weights),
        expected,
    )


@given(weights_and_masks(), st.integers(0, 2**32), DENSITY)
def test_lamp_counts_of_marked_scores(drawn, seed, density):
    weights, within = drawn
    rng = np.random.default_rng(seed)
    marks = {name: rng.choice([0.0, 0.0, 0.0, np.inf], mask.shape) for name, mask in within.items()}
    scores = {name: np.where(mask, marks[name], -np.inf) for name, mask in within.items()}
    single = {name: lamp_by_the_paper(weight) for name, weight in weights.items()}
    single = {name: np.where(np.isfinite(scores[name]), single[name], scores[name]) for name in scores}
    assert lamp(scores, density, weights) == dict(globally(single, density))


@given(weights_and_masks())
def test_lamp_scores_are_the_papers_to_the_last_bit(drawn):
    for weight in drawn[0].values():
        np.testing.assert_array_equal(lamp_scores(weight), lamp_by_the_paper(weight))


@pytest.mark.parametrize("levels", [3, 10**6])
def test_an_order_of_many_blocks_counts_as_its_scores_do(levels):
    weight = np.random.default_rng(0).integers(0, levels, 3 * BLOCK + 7).astype(np.float32)
    scores, order = lamp_scores(weight), LampOrder(np.sort(weight)[::-1])
    for bound in (0.0, scores.min(), *scores[:50], np.median(scores), scores.max(), 2.0):
        for compare in (np.greater, np.greater_equal):
            assert order.count(compare, bound) == np.count_nonzero(compare(scores, bound))


@given(st.floats(0.0, 1.0))
def test_the_highest_number_is_found_to_the_last_bit(edge):
    assert highest_score(lambda value: value <= edge) == edge


@given(weights_and_masks(), DENSITY, st.sampled_from([Unstructured(), NByM(2, 4)]))
def test_scores_are_overwritten_only_where_allowed(drawn, density, granularity):
    weights, within = drawn
    scores = {name: np.abs(weight) for name, weight in weights.items()}
    before = {name: array.copy() for name, array in scores.items()}
    settings = {"allocation": globally, "granularity": granularity, "within": within}
    expected = make_masks(scores, density, **settings)
    assert equal(scores, before)
    turned = {name: np.asfortranarray(array.copy()) for name, array in scores.items()}
    for given_up in (scores, turned):
        assert equal(make_masks(given_up, density, **settings, overwrite=True), expected)


def test_what_a_plugin_returns_is_never_changed(monkeypatch):
    mine = {"a": np.arange(1.0, 9.0, dtype=np.float32)}
    monkeypatch.setattr(registry.criteria, "_objects", dict(registry.criteria._objects))
    monkeypatch.setattr(registry.criteria, "_plugins", dict(registry.criteria._plugins))
    registry.criteria.register("of_a_person")(lambda weights, evidence: mine)
    within = {"a": np.arange(8) % 2 == 0}
    found = recipe_masks(Prune(criterion="of_a_person"), mine, 0.25, evidence=Evidence(), within=within)
    np.testing.assert_array_equal(found["a"], [0, 0, 0, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(mine["a"], np.arange(1.0, 9.0))
