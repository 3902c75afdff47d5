"""Evidence for criteria against plain NumPy and eager Keras; collecting it changes nothing."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data.pixels import Pixels
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.tasks.classification import Head
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.evidence import Collector
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.program import Program

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (24, 6, 6, 2)).astype(np.uint8)
Y = RNG.integers(0, 3, 24).astype(np.int32)
W = RNG.uniform(0.5, 2.0, 24).astype(np.float32)
LOGITS = RNG.normal(size=(24, 3)).astype(np.float32)
ROWS = np.arange(24).reshape(3, 8).astype(np.int32)


def make() -> Program:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(2, name="depth"),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3, name="last"),
        ]
    )
    data = TrainingData(
        tf.constant(X), tf.constant(Y), tf.constant(W), Pixels((6, 6, 2), ("a", "b", "c"), "0-1", 1 / 255, 0.0)
    )
    objective = Objective(Head(True, False), kl, 0.6, 2.0)
    program = Program(model, data, objective, make_optimizer("adam", 0.0), prunable=find_prunable(model)[0])
    program.set_targets({"logits": LOGITS})
    return program


def test_gradients_are_means_over_batches_of_the_students_own_loss():
    program = make()
    before = program.state()
    evidence = Collector(program, ("gradients", "squared_gradients"), seed=7)(ROWS)
    absolute: dict[str, list] = {one.name: [] for one in program.prunable}
    for rows in ROWS:
        with tf.GradientTape() as tape:
            logits = program.model(X[rows] / np.float32(255), training=False)
            terms = program.objective.per_example([logits], tf.constant(Y[rows]), {"logits": LOGITS[rows]}, [])
            loss = tf.reduce_sum(W[rows] * terms[0]) / W[rows].sum()
        gradients = tape.gradient(loss, [one.variable.value for one in program.prunable])
        for one, gradient in zip(program.prunable, gradients, strict=True):
            absolute[one.name].append(np.abs(gradient.numpy()))
    for name, found in absolute.items():
        np.testing.assert_allclose(evidence.gradients[name], np.mean(found, axis=0), atol=1e-6)
        np.testing.assert_allclose(evidence.squared_gradients[name], np.mean(np.square(found), axis=0), atol=1e-6)
    assert evidence.input_norms is None
    assert evidence.seed == 7
    for name, value in program.state().items():
        np.testing.assert_array_equal(value, before[name])


def test_input_norms_are_root_mean_squares_of_what_each_kernel_sees():
    program = make()
    model = program.model
    norms = Collector(program, ("input_norms",), seed=0)(ROWS).input_norms
    inputs = X / np.float32(255)
    after_norm = model.layers[1](model.layers[0](inputs), training=False).numpy()
    flat = model.layers[2](after_norm).numpy().reshape(24, -1)

    def rms(x):
        return np.sqrt(np.mean(np.square(x), axis=tuple(range(x.ndim - 1))))

    expected = {
        "conv": rms(inputs).reshape(1, 1, 2, 1),
        "depth": rms(after_norm).reshape(1, 1, 4, 1),
        "last": rms(flat).reshape(-1, 1),
    }
    for one in program.prunable:
        wanted = expected[one.layer]
        assert norms[one.name].shape == wanted.shape
        np.testing.assert_allclose(norms[one.name], wanted, rtol=1e-4)
        np.broadcast_shapes(norms[one.name].shape, tuple(one.variable.shape))
    assert all("call" not in vars(layer) for layer in model.layers)


def test_tokens_attention_and_recurrence():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((4, 1, 1))
    tokens = layers.Reshape((4,))(inputs)
    x = layers.Embedding(5, 8, name="embed")(tokens)
    x = layers.MultiHeadAttention(2, 3, name="attend")(x, x)
    model = keras.Model(inputs, layers.Dense(3)(layers.LSTM(4, name="lstm")(x)))
    numbers = RNG.integers(0, 5, (24, 4, 1, 1)).astype(np.float32)
    data = TrainingData(
        tf.constant(numbers), tf.constant(Y), tf.constant(W), Pixels((4, 1, 1), ("a", "b", "c"), "0-1", 1.0, 0.0)
    )
    program = Program(
        model, data, Objective(Head(True, False)), make_optimizer("adam", 0.0), prunable=find_prunable(model)[0]
    )
    norms = Collector(program, ("input_norms",), seed=0)(ROWS).input_norms
    by_name = {one.name: one for one in program.prunable}
    seen = [np.square(norm).mean() for name, norm in norms.items() if "lstm" not in name]
    for name, norm in norms.items():
        np.broadcast_shapes(norm.shape, tuple(by_name[name].variable.shape))
        if "lstm" in name:  # its input is not seen: the usual norm of the others keeps scores comparable
            np.testing.assert_allclose(norm, np.sqrt(np.mean(seen)), rtol=1e-5)
    [table] = [norm for name, norm in norms.items() if "embed" in name]
    counts = np.bincount(numbers.astype(int).ravel(), minlength=5) / numbers.size
    np.testing.assert_allclose(table[:, 0], np.sqrt(counts), rtol=1e-5)
