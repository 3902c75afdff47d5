"""The compiled step against a plain eager reference, and masks that hold."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.data.preprocessing import Preprocessing
from spiral_cli.distillation.features import pair_layers
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.models.precision import computing_in
from spiral_cli.pruning.pressure import l1
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.recipe.schema import Feature
from spiral_cli.tasks.classification import Head
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import average_gains, epoch_rows
from spiral_cli.training.program import Program
from spiral_cli.training.targets import cached_features, energies, online_features

N, BATCH, STEPS = 50, 16, 8
PREPROCESSING = Preprocessing((6, 6, 1), ("a", "b", "c"), "0-1", 1 / 255, 0.0)
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (N, 6, 6, 1)).astype(np.uint8)
Y = RNG.integers(0, 3, N).astype(np.int32)
WEIGHT = RNG.uniform(0.5, 2.0, N).astype(np.float32)
LOGITS = RNG.normal(size=(N, 3)).astype(np.float32)


SCALE = 256.0  # of the loss in float16: no gradient of these models overflows


def small_model(width: int = 7, seed: int = 0, normalised: bool = True, precision: str = "float32") -> keras.Model:
    """Batch normalisation keeps a step whole; without it the step runs in halves."""
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return small_layers(width, normalised)
    finally:
        keras.config.set_dtype_policy(before)


def small_layers(width: int, normalised: bool) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            *([layers.BatchNormalization(name="norm")] if normalised else []),
            layers.Flatten(),
            layers.Dense(width, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3), name="hidden"),
            layers.Dense(3, name="logits"),
        ]
    )


def training_data() -> TrainingData:
    return TrainingData(tf.constant(X), tf.constant(Y), tf.constant(WEIGHT), PREPROCESSING)


def half_masks(model: keras.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {one.name: rng.random(one.variable.shape) < 0.5 for one in find_prunable(model)[0]}


def reference(model, masks, objective, targets, projections, optimizer, rates, strengths, plan, scale=1.0):
    """Twenty lines of eager Keras that do the same, one step at a time."""
    prunable = find_prunable(model)[0]
    trainable = [*model.trainable_variables, *projections]
    forward = model
    if objective.hints:
        forward = keras.Model(
            model.inputs[0], [model.outputs[0], *(model.get_layer(h.student).output for h in objective.hints)]
        )
    optimizer.build(trainable)
    for one in prunable:
        one.variable.assign(one.variable * masks[one.name])
    for (rows, valid), rate, strength in zip(plan, rates, strengths, strict=True):
        keep = valid > 0
        inputs = X[rows].astype(np.float32) / 255
        with tf.GradientTape() as tape:
            outputs = forward(inputs, training=True)
            outputs = [tf.cast(one, tf.float32) for one in (outputs if isinstance(outputs, list) else [outputs])]
            here = {k: tf.gather(v, rows) if np.ndim(v) else v for k, v in targets.items()}
            total = objective.per_example(outputs, tf.constant(Y[rows]), here, projections)[0]
            w = WEIGHT[rows] * keep
            loss = scale * (tf.reduce_sum(w * total) / w.sum() + sum(model.losses))
        gradients = [g / scale for g in tape.gradient(loss, [v.value for v in trainable])]
        names = {id(one.variable) for one in prunable}
        gradients = [
            g + strength * np.sign(v.numpy()) if id(v) in names else g
            for g, v in zip(gradients, trainable, strict=True)
        ]
        optimizer.learning_rate = float(rate)
        optimizer.apply(gradients, trainable)
        for one in prunable:
            one.variable.assign(one.variable * masks[one.name])


WAYS = [
    *itertools.product([False], ["adam", "adamw", "sgd"], ["none", "cached", "online"], [True]),
    *itertools.product([True], ["adam"], ["none", "cached", "online"], [True]),
    *itertools.product([False], ["adam"], ["none", "cached", "online"], [False]),
]
WAYS = [
    *((*way, "float32") for way in WAYS),
    (False, "adam", "none", True, "mixed_bfloat16"),
    (False, "sgd", "cached", True, "mixed_bfloat16"),
    (False, "adam", "online", True, "mixed_bfloat16"),
    (False, "adamw", "cached", False, "mixed_bfloat16"),
    (True, "adam", "cached", True, "mixed_bfloat16"),
    (False, "adam", "cached", True, "mixed_float16"),
    (False, "sgd", "none", False, "mixed_float16"),
    (True, "adam", "none", True, "mixed_float16"),
]


@pytest.mark.parametrize(("jit", "optimizer", "features", "normalised", "precision"), WAYS)
def test_the_compiled_program_equals_plain_eager_steps(jit, optimizer, features, normalised, precision):
    teacher = small_model(width=5, seed=9)
    fast, plain = small_model(normalised=normalised), small_model(normalised=normalised, precision=precision)
    pairs = [Feature(teacher="hidden", student="hidden", weight=0.5), Feature(teacher="conv", student="conv")]
    hints = pair_layers(pairs if features != "none" else [], teacher, fast)
    objective = Objective(Head(exclusive=True, probabilities=False), kl, 0.7, 3.0, hints)
    targets: dict[str, np.ndarray] = {"logits": LOGITS}
    cached: dict[str, np.ndarray] = {}
    if hints:
        with computing_in(teacher, precision if features == "online" else "float32"):
            cached = cached_features(teacher, hints, X, PREPROCESSING)
        targets |= energies(teacher, hints, X, PREPROCESSING)
    program = Program(
        fast,
        training_data(),
        objective,
        make_optimizer(optimizer, 0.01, precision),
        prunable=find_prunable(fast)[0],
        pressure=l1,
        online=online_features(teacher, hints, precision) if features == "online" else None,
        jit=jit,
        precision=precision,
        seed=4,
    )
    if precision == "mixed_float16":
        program.optimizer.dynamic_scale.assign(SCALE)
    program.set_targets(targets if features == "online" else targets | cached)
    masks = half_masks(fast)
    program.cut(masks)
    program.hold(masks)
    plan = [batch for epoch in range(2) for batch in zip(*epoch_rows(N, BATCH, (0,), epoch), strict=True)]
    rates = np.linspace(0.01, 0.001, STEPS).astype(np.float32)
    strengths = np.linspace(0, 1e-2, STEPS).astype(np.float32)
    gains = np.zeros(STEPS, np.float32)
    rows, valid = (np.stack(part) for part in zip(*plan, strict=True))
    program.run(rows[:5], valid[:5], rates[:5], strengths[:5], gains[:5])
    program.run(rows[5:], valid[5:], rates[5:], strengths[5:], gains[5:])

    same = Program(plain, training_data(), objective, make_optimizer(optimizer, 0.01), seed=4).projections
    reference(
        plain,
        half_masks(plain),
        objective,
        targets | cached,
        same,
        make_optimizer(optimizer, 0.01),
        rates,
        strengths,
        plan,
        SCALE if precision == "mixed_float16" else 1.0,
    )
    if precision != "float32" and (jit or not normalised):  # XLA and halves round 16 bits at other places
        assert distance(fast, plain) < 0.1 * distance(plain, small_model(normalised=normalised))
        return
    for ours, theirs in zip(fast.variables, plain.variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-5, err_msg=ours.path)


def distance(one: keras.Model, other: keras.Model) -> float:
    """Return the Euclidean distance of two models' weights."""
    pairs = zip(one.trainable_variables, other.trainable_variables, strict=True)
    return float(np.sqrt(sum(np.sum(np.square(a.numpy() - b.numpy())) for a, b in pairs)))


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
    program = make_program(model, pressure=l1)
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


def test_state_restores_every_bit_and_reset_forgets_the_optimizer():
    model = small_model()
    program = make_program(model)
    start = [v.numpy() for v in model.variables]
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
