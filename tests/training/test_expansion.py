"""Kernels trained as products: against TensorFlow's own gradients, with masks, averages and states."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from small_models import LOGITS, N, half_masks, small_model, training_data

from spiral_cli.distillation.losses.kl import kl
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.tasks.classification import Head
from spiral_cli.training.expansion import Expansion, flat, moved
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import Program

BATCH = 16


def make_program(expand: int = 3, optimizer: str = "adam", **settings) -> Program:
    model = small_model()
    prunable = find_prunable(model)[0]
    objective = Objective(Head(True, False), kl, 0.9, 4.0)
    made = make_optimizer(optimizer, 0.0)
    program = Program(model, training_data(), objective, made, prunable=prunable, expand=expand, seed=5, **settings)
    program.set_targets({"logits": LOGITS})
    return program


def run(program: Program, epoch: int = 0, steps: slice = slice(None), rate: float = 0.01) -> None:
    rows, valid = (part[steps] for part in epoch_rows(N, BATCH, (0,), epoch))
    program.run(rows, valid, np.full(len(rows), rate, np.float32), *np.zeros((2, len(rows)), np.float32))


def products(program: Program) -> dict[str, np.ndarray]:
    """Return by name what the factors of each kernel multiply to."""
    factors = iter(program.expansion.factors)
    both = [(left.numpy(), right.numpy()) for left, right in zip(factors, factors, strict=True)]
    return {
        one.name: (left @ right).reshape(one.variable.shape)
        for one, (left, right) in zip(program.prunable, both, strict=True)
    }


@given(rows=st.integers(1, 7), outputs=st.integers(1, 5), times=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_nearest_factor_multiplies_to_the_kernel(rows, outputs, times, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(rows, times * outputs)), rng.normal(size=(times * outputs, outputs))
    product = rng.normal(size=(rows, outputs))
    if np.linalg.cond(right) > 1e6:
        return
    new = moved(left, right, product)
    np.testing.assert_allclose(new @ right, product, atol=1e-6)
    nearer = np.linalg.lstsq(right.T, (product - left @ right).T, rcond=None)[0].T  # the shortest way there
    np.testing.assert_allclose(new - left, nearer, atol=1e-6)


def test_expanding_changes_no_kernel_and_leaves_what_is_not_pruned_alone():
    plain, program = make_program(1), make_program(3)
    assert not plain.expansion.factors and plain.expansion.variables == plain.trainable
    for name, kernel in program.weights().items():
        np.testing.assert_array_equal(kernel, plain.weights()[name])
        np.testing.assert_allclose(products(program)[name], kernel, atol=1e-6)
    widths = {left.shape[1] for left in program.expansion.factors[::2]}
    assert widths == {3 * flat(one.variable.shape)[1] for one in program.prunable}
    others = [v for v in program.trainable if not any(v is one.variable for one in program.prunable)]
    assert others and all(any(v is there for there in program.expansion.variables) for v in others)


def test_gradients_of_factors_are_those_that_tensorflow_finds():
    rng = np.random.default_rng(0)
    kernel = keras.Variable(rng.normal(size=(2, 3, 4)).astype(np.float32))
    bias = keras.Variable(np.ones(4, np.float32))
    expansion = Expansion([kernel, bias], [kernel], 2)
    expansion.begin(rng)
    left, right, same = expansion.variables
    assert same is bias
    weight = tf.constant(rng.normal(size=(2, 3, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weight * tf.reshape(left.value @ right.value, (2, 3, 4)) ** 2)
    expected = tape.gradient(loss, [left.value, right.value])
    of_kernel = 2 * weight * kernel.value
    *found, of_bias = expansion.gradients([of_kernel, None])
    assert of_bias is None
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert expansion.gradients([None, None]) == [None, None, None]


@pytest.mark.parametrize("jit", [False, True])
def test_a_step_moves_the_factors_and_the_model_holds_their_products(jit):
    program = make_program(optimizer="sgd", jit=jit)
    before = {name: value.copy() for name, value in program.weights().items()}
    run(program)
    for name, kernel in program.weights().items():
        assert np.abs(kernel - before[name]).max() > 1e-4
        np.testing.assert_allclose(products(program)[name], kernel, atol=1e-6)


def test_cut_weights_stay_zero_and_do_not_move_the_factors():
    program = make_program()
    masks = half_masks(program.model)
    program.cut(masks)
    program.hold(masks)
    for name, kernel in program.weights().items():
        np.testing.assert_allclose(products(program)[name], kernel, atol=1e-6)  # the cut reached the factors
    for epoch in range(2):
        run(program, epoch)
    for name, kernel in program.weights().items():
        assert (kernel[~masks[name]] == 0).all()
        assert (kernel[masks[name]] != 0).all()
    nothing = {name: np.zeros_like(mask) for name, mask in masks.items()}
    still = make_program(optimizer="sgd")
    still.hold(nothing)
    before = [factor.numpy() for factor in still.expansion.factors]
    run(still, steps=slice(0, 1))
    for factor, was in zip(still.expansion.factors, before, strict=True):
        np.testing.assert_array_equal(factor.numpy(), was)


def test_weights_cut_but_not_held_grow_back_from_zero():
    program = make_program()
    masks = half_masks(program.model)
    program.cut(masks)
    run(program, steps=slice(0, 1), rate=1e-6)
    for name, kernel in program.weights().items():
        assert np.abs(kernel[~masks[name]]).max() < 1e-3  # as far as one small step takes them
        assert (kernel[~masks[name]] != 0).any()


def test_a_stage_draws_its_factors_by_its_seed():
    program = make_program()
    start = [v.numpy() for v in program.model.variables]
    drawn = []
    for seed in (1, 2, 1):
        program.reset(start, seed)
        drawn.append([value for name, value in program.state().items() if name.startswith("factor/")])
    first, other, again = drawn
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
