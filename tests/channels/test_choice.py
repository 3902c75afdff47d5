"""Laws of the choice: multiples, minima, targets met with as few channels as there can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
from all_kinds import KINDS
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import Input, layers

from spiral_cli.channels.choice import (
    Limits,
    channels_of,
    choose,
    chosen,
    parameters_of,
    products_of,
    ranked,
    sizes_of,
    steps_of,
)
from spiral_cli.channels.graph import Channels, find_channels
from spiral_cli.channels.removal import remove
from spiral_cli.errors import UsageError
from spiral_cli.flop_rules import kernel_flops
from spiral_cli.flops import calls

LIMITS = st.builds(Limits, st.sampled_from([1, 2, 3, 4, 5, 8]), st.integers(1, 9))


def channels_left(channels: Channels, kept: np.ndarray) -> float:
    """Return the part of the channels that may leave which is there."""
    return channels_of(channels, kept) / channels.weight.sum()


def two_widths() -> Channels:
    """Return the groups of a model of 16 and 20 units, and of 4 heads."""
    inputs = Input((5, 6))
    x = layers.Dense(16, "relu", name="wide")(inputs)
    x = layers.MultiHeadAttention(4, 3, output_shape=20, name="heads")(x, x)
    return find_channels(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))


CHANNELS = two_widths()
SIZES = sizes_of(CHANNELS)
SCORES = st.lists(st.floats(0, 1), min_size=CHANNELS.count, max_size=CHANNELS.count).map(np.array)


def part(measure: Callable[[Channels, np.ndarray], float], whole: float, kept: np.ndarray) -> float:
    """Return what part is left by a measure."""
    return measure(CHANNELS, kept) / whole


@settings(derandomize=True, max_examples=60)
@given(SCORES, LIMITS)
def test_every_layer_keeps_a_multiple_and_its_least(scores: np.ndarray, limits: Limits) -> None:
    for space in CHANNELS.spaces:
        left = len(space.groups)
        for step in steps_of(space, scores, limits):
            left -= len(step.groups)
            channels = left * space.width
            assert channels % limits.round_to == 0 and channels >= limits.least and channels > 0
            assert np.isclose(step.score, scores[step.groups].mean())
        taken = np.concatenate([space.groups[:0], *(step.groups for step in steps_of(space, scores, limits))])
        assert len({*taken.tolist()}) == len(taken) and {*taken.tolist()} < {*space.groups.tolist()}


@settings(derandomize=True, max_examples=60)
@given(SCORES, LIMITS, st.sampled_from(["global", "uniform"]), st.floats(0.02, 1.0))
def test_the_target_is_met_with_as_few_as_there_can_be(
    scores: np.ndarray, limits: Limits, allocation: str, target: float
) -> None:
    every = np.ones(CHANNELS.count, bool)
    for measure in (channels_left, parameters_of, products_of):
        left = partial(part, measure, measure(CHANNELS, every))
        steps = ranked(CHANNELS, scores, limits, allocation, SIZES)
        kept = choose(steps, every, left, target)
        gone = [step for step in steps if not kept[step.groups].any()]
        assert gone == steps[: len(gone)]
        assert sum(len(step.groups) for step in gone) == np.count_nonzero(~kept)
        reached = left(kept) <= target + 1e-9
        assert reached or len(gone) == len(steps)
        if gone and reached:
            back = kept.copy()
            back[gone[-1].groups] = True
            assert left(back) > target + 1e-9
        for space in CHANNELS.spaces:
            assert kept[space.groups].any()


def test_uniform_takes_the_same_part_of_every_layer() -> None:
    scores = np.random.default_rng(0).random(CHANNELS.count)
    steps = ranked(CHANNELS, scores, Limits(), "uniform", SIZES)
    kept = choose(steps, np.ones(CHANNELS.count, bool), partial(channels_left, CHANNELS), 0.5)
    assert {space.name: kept[space.groups].mean() for space in CHANNELS.spaces} == pytest.approx(
        {"wide": 0.5, "heads": 0.5, "heads:heads": 0.5}, abs=0.1
    )


def test_the_least_important_leave_first() -> None:
    scores = np.arange(CHANNELS.count, dtype=np.float64)
    steps = ranked(CHANNELS, scores, Limits(), "global", SIZES)
    kept = choose(steps, np.ones(CHANNELS.count, bool), partial(channels_left, CHANNELS), 0.8)
    for space in CHANNELS.spaces:
        there = kept[space.groups]
        assert (np.sort(there) == there).all()


def test_sparsities_of_layers_by_name() -> None:
    scores = np.random.default_rng(0).random(CHANNELS.count)
    choice = partial(
        chosen,
        CHANNELS,
        scores,
        0.5,
        left=partial(channels_left, CHANNELS),
        limits=Limits(),
        final=0.5,
        sizes=SIZES,
    )
    kept = choice(allocation={"wide": 0.75})
    parts = {space.name: kept[space.groups].mean() for space in CHANNELS.spaces}
    assert parts == {"wide": 0.25, "heads": 0.5, "heads:heads": 0.5}
    with pytest.raises(UsageError, match=r"prune\.allocation"):
        choice(allocation={"nothing": 0.75})


@pytest.mark.parametrize(
    "name",
    [
        *(
            "dense",
            "dense_over_time",
            "conv1d",
            "conv2d",
            "conv3d",
            "conv2d_transpose",
            "separable",
            "causal_convolution",
        ),
        *("depthwise_with_multiplier", "grouped_convolution_of_few", "grouped_convolution_of_many", "shared_layers"),
        *("nested_models", "einsum_dense_heads", "time_distributed", "multi_head_attention_value_dim"),
        *("group_query_attention_6_2", "group_query_attention_8_4", "lstm", "gru", "bidirectional_lstm_concat"),
    ],
)
def test_products_are_the_multiply_adds_that_flops_counts(name: str) -> None:
    """Before and after removal, for what has weights."""
    model = KINDS[name]()
    channels = find_channels(model)
    rng = np.random.default_rng(0)
    kept = rng.random(channels.count) < 0.6
    for space in channels.spaces:
        kept[space.groups[0]] = True
    small = remove(model, channels, kept)
    weights = replace(channels, products=())
    for one, groups in ((model, np.ones(channels.count, bool)), (small, kept)):
        kernels = [kernel for call in calls(one) for kernel in call.cost.kernels]
        assert 2 * products_of(weights, groups) == sum(kernel_flops(kernel.shape, uses) for kernel, uses in kernels)


def test_products_of_attention() -> None:
    """Queries times keys, and scores times values, of every head that is left."""
    every = np.ones(CHANNELS.count, bool)
    assert products_of(CHANNELS, every) - products_of(replace(CHANNELS, products=()), every) == 4 * 5 * 5 * (3 + 3)
    heads = next(space for space in CHANNELS.spaces if space.name == "heads:heads")
    every[heads.groups[0]] = False
    assert products_of(CHANNELS, every) - products_of(replace(CHANNELS, products=()), every) == 3 * 5 * 5 * (3 + 3)


def test_what_lost_places_of_parts_may_lose_whole_parts_later() -> None:
    """Two groups of eight lose places; two groups of two are two parts, which tie the layers before and behind."""
    inputs = Input((4, 4, 2))
    x = layers.Conv2D(16, 1, name="before")(inputs)
    x = layers.Conv2D(16, 3, groups=2, name="grouped")(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    first = find_channels(model)
    sizes = sizes_of(first)
    assert sizes == {(("before",), 2): 8, (("grouped",), 2): 8}
    small = remove(model, first, np.arange(first.count) % 4 == 0)
    later = find_channels(small)
    assert [space.layers for space in later.spaces] == [("before", "grouped")]
    for allocation in ("uniform", "global", {"grouped": 0.5}):
        kept = chosen(
            later,
            np.ones(later.count),
            0.5,
            left=partial(channels_left, later),
            limits=Limits(),
            allocation=allocation,
            final=0.5,
            sizes=sizes,
        )
        assert kept.sum() == 1
    assert remove(small, later, kept).get_layer("grouped").groups == 1
