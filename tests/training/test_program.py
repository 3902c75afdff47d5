"""The compiled step against a plain eager reference, and masks that hold."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import LOGITS, WEIGHT, N, X, half_masks, small_model, training_data

from spiral_cli.distillation.losses.kl import kl
from spiral_cli.pruning.pressure import l1
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.tasks.classification import Head
from spiral_cli.training.build import on_each
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import average_gains, epoch_rows
from spiral_cli.training.program import Program

BATCH = 16


def make_program(model, **settings) -> Program:
    objective = Objective(Head(True, False), kl, 0.9, 4.0)
    program = Program(
        model, training_data(), objective, make_optimizer("adamw", 0.1), prunable=find_prunable(model)[0], **settings
    )
    program.set_targets({"logits": LOGITS})
    return program


def run_epoch(program: Program, epoch: int = 0) -> np.ndarray:
    rows, valid = epoch_rows(N, BATCH, (0,), epoch)
    steps = len(rows)
    return program.run(
        rows, valid, np.full(steps, 0.01, np.float32), np.full(steps, 1e-3, np.float32), np.zeros(steps, np.float32)
    )


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_pruned_stays_pruned_under_every_optimizer_weight_decay_and_momentum(optimizer, tmp_path):
    model = small_model()
    program = make_program(model, pressure=on_each(l1))
    run_epoch(program)  # momentum builds up before the cut
    masks = half_masks(model)
    program.cut(masks)
    program.hold(masks)
    for epoch in range(3):
        run_epoch(program, epoch)
    for one in program.prunable:
        weight = one.variable.numpy()
        assert (weight[~masks[one.name]] == 0).all()
        assert (weight[masks[one.name]] != 0).all()
    model.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_weights_cut_but_not_held_may_grow_back():
    model = small_model()
    program = make_program(model)
    masks = half_masks(model)
    program.cut(masks)
    cut = program.weights()
    assert all((cut[name][~mask] == 0).all() for name, mask in masks.items())
    run_epoch(program)
    grown = program.weights()
    assert any((grown[name][~mask] != 0).any() for name, mask in masks.items())


def test_sums_are_means_once_divided_and_padding_does_not_count():
    model = small_model()
    program = make_program(model)
    rows, valid = epoch_rows(N, BATCH, (0,), 0)
    sums = program.run(rows, valid, *np.zeros((3, len(rows)), np.float32))
    assert sums[-1] == pytest.approx(WEIGHT.sum(), rel=1e-5)
    assert program.objective.terms == ("loss", "task_loss", "distillation_loss")
    assert sums[0] == pytest.approx(0.1 * sums[1] + 0.9 * sums[2], rel=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_sums_do_not_depend_on_how_many_steps_a_call_takes(jit):
    program = make_program(small_model(), jit=jit)
    rows, valid = epoch_rows(N, 4, (0,), 0)
    start, seen = program.state(), set()
    for cuts in ([], [1], [5, 6], [2, 4, 9], list(range(1, len(rows)))):
        program.restore(start)
        parts = [
            program.run(
                rows[part], valid[part], *np.full((3, part.stop - part.start), [[0.01], [0.0], [0.0]], np.float32)
            )
            for part in map(slice, [0, *cuts], [*cuts, len(rows)])
        ]
        seen.add(np.sum(parts, axis=0, dtype=np.float64).tobytes())
    assert len(seen) == 1


@pytest.mark.parametrize("expand", [1, 3])
def test_state_restores_every_bit_and_reset_forgets_the_optimizer(expand):
    model = small_model()
    program = make_program(model, expand=expand)
    start = [v.numpy() for v in model.variables]
    program.reset(start, seed=1)
    run_epoch(program)
    middle = program.state()
    run_epoch(program, 1)
    end = program.state()
    program.restore(middle)
    run_epoch(program, 1)
    for name, value in program.state().items():
        np.testing.assert_array_equal(value, end[name], err_msg=name)
    program.reset(start, seed=1)
    run_epoch(program)
    for name, value in program.state().items():
        np.testing.assert_array_equal(value, middle[name], err_msg=name)


def test_a_softmax_model_is_distilled_on_its_pre_activation():
    logits_model = small_model()
    soft = keras.Model(logits_model.inputs, keras.layers.Softmax()(logits_model.outputs[0]))
    dense_soft = keras.models.clone_model(logits_model)
    dense_soft.set_weights(logits_model.get_weights())
    dense_soft.layers[-1].activation = keras.activations.softmax
    inputs = X.astype(np.float32) / 255
    expected = logits_model(inputs).numpy()
    head = Head(exclusive=True, probabilities=True)
    for model in (soft, dense_soft):
        found = tf.function(lambda x, model=model: head.logits(model(x)))(inputs).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_average_is_the_mean_over_the_tail_and_keeps_zeros():
    model = small_model()
    program = make_program(model, average=True)
    masks = half_masks(model)
    program.cut(masks)
    program.hold(masks)
    rows, valid = epoch_rows(N, BATCH, (0,), 0)
    gains, seen = average_gains(len(rows), 0.5), []
    for i in range(len(rows)):
        program.run(rows[i : i + 1], valid[i : i + 1], *np.full((2, 1), 0.01, np.float32), gains[i : i + 1])
        seen.append([v.numpy() for v in model.variables])
    program.take_average()
    tail = seen[len(rows) - round(0.5 * len(rows)) :]
    for variable, *values in zip(model.variables, *tail, strict=True):
        np.testing.assert_allclose(variable.numpy(), np.mean(values, axis=0), rtol=1e-5, atol=1e-7)
    for one in program.prunable:
        assert (one.variable.numpy()[~masks[one.name]] == 0).all()


def test_batch_norm_that_the_author_called_in_inference_mode_stays_still():
    layers = keras.layers
    inputs = keras.Input((6, 6, 1))
    norm = layers.BatchNormalization(name="norm")
    x = layers.Flatten()(norm(layers.Conv2D(3, 3, name="conv")(inputs), training=False))
    model = keras.Model(inputs, layers.Dense(3)(x))
    before = model.get_layer("conv").kernel.numpy()
    program = make_program(model)
    run_epoch(program)
    program.recalibrate(epoch_rows(N, BATCH, (0,), 0)[0])
    assert (norm.moving_mean.numpy() == 0).all()
    assert (norm.moving_variance.numpy() == 1).all()
    assert (model.get_layer("conv").kernel.numpy() != before).any()


def test_every_stage_draws_its_own_dropout():
    model = keras.Sequential([keras.layers.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dropout(0.5)])
    model.add(keras.layers.Dense(3))
    program, start = make_program(model), [v.numpy() for v in model.variables]
    states = []
    for seed in (1, 2, 1):
        program.reset(start, seed)
        states.append(next(v.numpy() for v in model.variables if v.name == "seed_generator_state").tolist())
    assert states[0] == states[2] != states[1]
