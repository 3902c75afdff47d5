"""Steps in 16 bits: what runs in them, what stays float32, and steps that float16 skips."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.data.pixels import Pixels
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.models.precision import computing_in, in_float32
from spiral_cli.pruning.pressure import l1
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.tasks.classification import Head
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.build import on_each
from spiral_cli.training.evidence import Collector
from spiral_cli.training.loop import Stage, diverged
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import Program
from spiral_cli.training.winograd import quick_convolutions

layers = keras.layers
N, BATCH = 40, 16
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (N, 6, 6, 1)).astype(np.uint8)
DATA = TrainingData(
    tf.constant(X),
    tf.constant(RNG.integers(0, 3, N).astype(np.int32)),
    tf.ones(N),
    Pixels((6, 6, 1), ("a", "b", "c"), "0-1", 1 / 255, 0.0),
)
LOGITS = RNG.normal(size=(N, 3)).astype(np.float32)
MIXED = [("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")]
HEAVY = ("MatMul", "BatchMatMulV2", "Einsum", "Conv2D", "DepthwiseConv2dNative")


def functional() -> keras.Model:
    """A model with operations between its layers, a nested model, attention and recurrence."""
    inputs = keras.Input((6, 6, 1))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(inputs))
    x = keras.ops.relu(x + layers.Conv2D(4, 1)(x)) * 0.5
    x = keras.Sequential([layers.Input((6, 6, 4)), layers.SeparableConv2D(4, 2, strides=2)])(x)
    x = layers.Reshape((9, 4))(x)
    x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 3)(x, x))
    return keras.Model(inputs, layers.Dense(3)(layers.Bidirectional(layers.GRU(3))(x)))


class Tied(keras.Model):
    """A subclassed model that uses a layer's kernel outside of the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.inner = layers.Flatten(), layers.Dense(3, use_bias=False)

    def call(self, x):
        return keras.ops.matmul(self.inner(self.flat(x)), keras.ops.transpose(self.inner.kernel))


def types_of(function: tf.types.experimental.ConcreteFunction, kinds: tuple[str, ...]) -> set[str]:
    """Return the types that operations of ``kinds`` compute in, wherever they stand in a graph."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    return {tf.as_dtype(node.attr["T"].type).name for node in nodes if node.op in kinds}


@pytest.mark.parametrize("make", [functional, Tied])
@pytest.mark.parametrize(("precision", "compute"), MIXED)
def test_every_product_is_traced_in_16_bits_and_the_model_is_as_before(make, precision, compute):
    model, x = make(), tf.constant(X[:4] / np.float32(255))
    before = model(x, training=False).numpy()

    def gradients(x):
        with tf.GradientTape() as tape:
            with computing_in(model, precision):
                output = model(x, training=False)
            loss = tf.reduce_sum(tf.cast(output, tf.float32))
        return output, tape.gradient(loss, [v.value for v in model.trainable_variables])

    traced = tf.function(gradients).get_concrete_function(x)
    output, found = traced(x)
    assert types_of(traced, HEAVY) == {compute}
    assert output.dtype.name == compute
    assert {gradient.dtype.name for gradient in found} == {"float32"}
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert {layer.compute_dtype for layer in model._flatten_layers()} == {"float32"}
    np.testing.assert_array_equal(model(x, training=False), before)


def test_the_policy_is_taken_back_after_an_error():
    model = functional()
    with pytest.raises(RuntimeError), computing_in(model, "mixed_bfloat16"):
        raise RuntimeError
    assert {layer.compute_dtype for layer in model._flatten_layers()} == {"float32"}


@pytest.mark.parametrize(("precision", "compute"), MIXED)
def test_a_mixed_model_becomes_the_float32_model_of_its_weights(precision, compute):
    keras.config.set_dtype_policy(precision)
    try:
        mixed = functional()
    finally:
        keras.config.set_dtype_policy("float32")
    plain, x = functional(), X[:4] / np.float32(255)
    plain.set_weights(mixed.get_weights())
    assert mixed(x).dtype.name == compute
    assert in_float32(mixed) is mixed
    np.testing.assert_array_equal(mixed(x), plain(x))


@pytest.mark.parametrize(("precision", "compute"), MIXED)
@pytest.mark.parametrize("last", ["layer", "activation"])
def test_logits_of_a_softmax_in_16_bits_are_its_pre_activation_in_float32(precision, compute, last):
    ending = [layers.Dense(3), layers.Softmax()] if last == "layer" else [layers.Dense(3, activation="softmax")]
    model = keras.Sequential([layers.Input((6, 6, 1)), layers.Flatten(), *ending])
    x = X[:4] / np.float32(255)
    with computing_in(model, precision):
        logits = Head(exclusive=True, probabilities=True).logits(model(x))
    assert logits.dtype == tf.float32
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(logits, x.reshape(4, -1) @ kernel + bias, atol=0.05)
    np.testing.assert_array_equal(logits, tf.cast(tf.cast(logits, compute), tf.float32))


@pytest.mark.parametrize(("precision", "compute"), MIXED)
def test_convolutions_in_16_bits_are_keras_own(precision, compute):
    model = keras.Sequential([layers.Input((16, 16, 32)), layers.Conv2D(32, 5, padding="same")])
    x = RNG.normal(size=(2, 16, 16, 32)).astype(np.float32)

    def found(quick: bool) -> tf.types.experimental.ConcreteFunction:
        def forward(x):
            with computing_in(model, precision), quick_convolutions(model) if quick else computing_in(model, precision):
                return model(x)

        return tf.function(forward).get_concrete_function(x)

    assert types_of(found(quick=True), HEAVY) == {compute}
    np.testing.assert_array_equal(found(quick=True)(x), found(quick=False)(x))


def make(precision: str, **settings) -> Program:
    keras.utils.set_random_seed(0)
    parts = [
        layers.Conv2D(3, 3, activation="relu", activity_regularizer=keras.regularizers.L2(1e-3), name="conv"),
        layers.BatchNormalization(),
        layers.Dropout(0.2),
        layers.Flatten(),
        layers.Dense(3, kernel_regularizer="l2", name="logits"),
    ]
    model = keras.Sequential([layers.Input((6, 6, 1)), *parts])
    program = Program(
        model,
        DATA,
        Objective(Head(True, False), kl, 0.5, 2.0),
        make_optimizer("adamw", 0.1, precision),
        prunable=find_prunable(model)[0],
        pressure=on_each(l1),
        average=True,
        precision=precision,
        **settings,
    )
    program.set_targets({"logits": LOGITS})
    return program


def half_masks(program: Program) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {one.name: rng.random(one.variable.shape) < 0.5 for one in program.prunable}


def run_epoch(program: Program, epoch: int = 0, gain: float = 0.5) -> np.ndarray:
    rows, valid = epoch_rows(N, BATCH, (0,), epoch)
    course = [np.full(len(rows), value, np.float32) for value in (0.01, 1e-3, gain)]
    return program.run(rows, valid, *course)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_state_restores_every_bit(precision):
    program = make(precision)
    run_epoch(program)
    middle = program.state()
    run_epoch(program, 1)
    end = program.state()
    program.restore(middle)
    run_epoch(program, 1)
    for name, value in program.state().items():
        np.testing.assert_array_equal(value, end[name], err_msg=name)


@pytest.mark.parametrize("jit", [False, True])
def test_a_step_that_overflows_is_skipped_but_for_masks_and_average(jit):
    program = make("mixed_float16", jit=jit)
    masks = half_masks(program)
    program.hold(masks)  # not cut yet: a skipped step must do it
    program.optimizer.dynamic_scale.assign(2.0**60)
    start = {v.path: v.numpy() for v in program.model.trainable_variables}
    sums = run_epoch(program, gain=1.0)
    steps = 3
    assert np.isfinite(sums).all()
    assert program.optimizer.dynamic_scale.numpy() == 2.0 ** (60 - steps)
    assert program.optimizer.iterations.numpy() == 0
    by_path = {one.variable.path: masks[one.name] for one in program.prunable}
    for variable in program.model.trainable_variables:
        kept = by_path.get(variable.path, True)
        np.testing.assert_array_equal(variable.numpy(), start[variable.path] * kept, err_msg=variable.path)
    after = [v.numpy() for v in program.model.variables]
    program.take_average()
    for variable, value in zip(program.model.variables, after, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)


def test_pruned_stays_pruned_while_the_scale_finds_its_size():
    program = make("mixed_float16")
    masks = half_masks(program)
    program.cut(masks)
    program.hold(masks)
    program.optimizer.dynamic_scale.assign(2.0**24)
    for epoch in range(8):
        run_epoch(program, epoch, gain=0.5 if epoch else 1.0)
    assert program.optimizer.dynamic_scale.numpy() < 2.0**24
    assert 0 < program.optimizer.iterations.numpy() < 24
    program.take_average()
    for one in program.prunable:
        weight = one.variable.numpy()
        assert (weight[~masks[one.name]] == 0).all()
        assert (weight[masks[one.name]] != 0).all()
    assert program.finite()


def test_evidence_and_recalibration_are_measured_in_float32():
    program, plain = make("mixed_float16"), make("float32")
    rows = epoch_rows(N, BATCH, (0,), 0)[0]
    needs = ("gradients", "squared_gradients", "input_norms")
    ours, theirs = (Collector(one, needs, seed=0)(rows) for one in (program, plain))
    for kind in needs:
        for name, value in getattr(ours, kind).items():
            np.testing.assert_array_equal(value, getattr(theirs, kind)[name])
    program.recalibrate(rows)
    plain.recalibrate(rows)
    for one, other in zip(program.model.variables, plain.model.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_only_float16_scales_the_loss():
    for precision in ("float32", "mixed_bfloat16"):
        assert isinstance(make_optimizer("adam", 0.0, precision), keras.optimizers.Adam)
    assert isinstance(make_optimizer("sgd", 0.0, "mixed_float16"), keras.optimizers.LossScaleOptimizer)


def test_divergence_in_float16_names_its_range():
    none = np.zeros(1, np.float32)
    stage = Stage("round", "round 1, try 1", (0,), 1, 1, 1, none, none, none, 1)
    assert "65,504 (mixed_bfloat16" in str(diverged("loss", "nan", stage, 1, 1, "mixed_float16"))
    assert "65,504" not in str(diverged("loss", "nan", stage, 1, 1, "mixed_bfloat16"))
