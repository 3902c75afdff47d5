"""Weights that share values move as one: the gradient of a value is the sum of those of its weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import LOGITS, WEIGHT, N, X, Y, half_masks, small_model, training_data

from spiral_cli.distillation.losses.kl import kl
from spiral_cli.packed.sharing import shared
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.tasks.classification import Head
from spiral_cli.training.objective import Objective
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import weighted_mean
from spiral_cli.training.shared_values import SharedProgram, groups

MOST = 4
OBJECTIVE = Objective(Head(True, False), kl, 0.5, 2.0)


def shared_program(optimizer: keras.optimizers.Optimizer, jit: bool = False) -> SharedProgram:
    """Return the program of a model whose kernels are half zeros and hold four values beside them."""
    model = small_model(normalised=False)
    prunable, _ = find_prunable(model)
    masks = half_masks(model)
    for one in prunable:
        one.variable.assign(shared(one.variable.numpy() * masks[one.name], MOST))
    program = SharedProgram(
        model,
        training_data(),
        OBJECTIVE,
        optimizer,
        prunable=prunable,
        jit=jit,
        tied=[one.variable for one in prunable],
        most=MOST + 1,
    )
    program.hold(masks)
    program.tie()
    program.set_targets({"logits": LOGITS})
    return program


def run_steps(program: SharedProgram, batch: int, rate: float, epoch: int = 0) -> None:
    rows, valid = epoch_rows(N, batch, (0,), epoch)
    nothing = np.zeros(len(rows), np.float32)
    program.run(rows, valid, np.full(len(rows), rate, np.float32), nothing, nothing)


def gradients(model: keras.Model) -> list[np.ndarray]:
    """Return the gradients of the loss over all examples, each weight for itself."""
    with tf.GradientTape() as tape:
        outputs = model(X.astype(np.float32) / 255, training=True)
        terms = OBJECTIVE.per_example([outputs], tf.constant(Y), {"logits": tf.constant(LOGITS)}, [])
        loss = weighted_mean(terms[0], tf.constant(WEIGHT)) + tf.add_n(model.losses)
    return [g.numpy() for g in tape.gradient(loss, [v.value for v in model.trainable_variables])]


@pytest.mark.parametrize("jit", [False, True])
def test_a_step_moves_a_value_by_the_sum_of_its_weights_gradients(jit):
    program = shared_program(keras.optimizers.SGD(), jit)
    model, rate = program.model, 0.01
    before = [v.numpy() for v in model.trainable_variables]
    alone = gradients(model)
    run_steps(program, N, rate)
    for variable, old, gradient in zip(model.trainable_variables, before, alone, strict=True):
        moved = variable.numpy() - old
        if variable.name != "kernel":
            np.testing.assert_allclose(moved, -rate * gradient, rtol=1e-3, atol=1e-6)
            continue
        values = np.unique(old[old != 0])
        assert len(values) == MOST
        for value in values:
            np.testing.assert_allclose(moved[old == value], -rate * gradient[old == value].sum(), rtol=1e-3, atol=1e-6)
        assert (variable.numpy()[old == 0] == 0).all()


@pytest.mark.parametrize("jit", [False, True])
def test_what_was_equal_stays_equal_and_zeros_stay_zeros(jit):
    program = shared_program(keras.optimizers.Adam(), jit)
    before = program.weights()
    for epoch in range(3):
        run_steps(program, 16, 0.01, epoch)
    loose = program.weights()
    program.settle()
    for name, weights in program.weights().items():
        assert [len(np.unique(weights[before[name] == value])) for value in np.unique(before[name])] == [1] * (MOST + 1)
        np.testing.assert_array_equal(weights == 0, before[name] == 0)
        assert not np.array_equal(weights, before[name])
        np.testing.assert_allclose(weights, loose[name], rtol=1e-5)


def test_groups_number_what_is_equal():
    values = np.array([[0.5, 0.0, -1.0], [0.5, -1.0, 0.5]], np.float32)
    np.testing.assert_array_equal(groups(values), [[2, 1, 0], [2, 0, 2]])
