"""Attention in int8: what is masked stays masked, and what is not keeps its differences."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_nets import answers
from tensorflow.core.framework.graph_pb2 import GraphDef

from spiral_cli.export.litert_converter import write_litert
from spiral_cli.export.masks import NEVER, softened
from spiral_cli.export.serving import Serving
from spiral_cli.runtimes.session import open_model

layers, ops = keras.layers, keras.ops
LENGTH, WIDTH = 12, 16


def multi_head(x, real):
    return layers.MultiHeadAttention(2, 8)(x, x, attention_mask=ops.expand_dims(real, 1))


def multi_head_with_dropout(x, real):
    """Keras computes it by another way: a softmax layer that masks."""
    return layers.MultiHeadAttention(2, 8, dropout=0.1)(x, x, attention_mask=ops.expand_dims(real, 1))


def grouped(x, real):
    return layers.GroupQueryAttention(8, 2, 1)(x, x, attention_mask=ops.expand_dims(real, 1))


def dot_product(x, real):
    return layers.Attention()([x, layers.Dense(WIDTH)(x)], mask=[real, real])


def by_hand(x, real):
    scores = ops.matmul(layers.Dense(WIDTH)(x), ops.transpose(x, (0, 2, 1)))
    hidden = 1.0 - ops.expand_dims(ops.cast(real, "float32"), 1)
    return ops.matmul(ops.softmax(scores + hidden * -1e9), x)


@pytest.mark.parametrize("attention", [multi_head, multi_head_with_dropout, grouped, dot_product, by_hand])
def test_int8_attends_to_what_the_model_does(attention, tmp_path):
    keras.utils.set_random_seed(2)
    frames = keras.Input((LENGTH, WIDTH))
    real = ops.any(ops.not_equal(frames, 0.0), axis=-1)
    x = layers.Dense(WIDTH)(3.0 * frames)
    model = keras.Model(frames, layers.Dense(3)(attention(x, real)[:, 0]))
    rows = np.random.default_rng(2).normal(size=(256, LENGTH, WIDTH)).astype(np.float32)
    rows[::2, LENGTH // 2 :] = 0
    np.savez(tmp_path / "samples.npz", rows)
    serving = Serving(model, (rows[:2],))
    write_litert(serving, tmp_path / "m.tflite", weights="int8", samples=str(tmp_path / "samples.npz"))
    [found], [wanted] = open_model(tmp_path / "m.tflite", threads=1).run((rows,)), answers(model, (rows,))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        assert np.corrcoef(found[half].ravel(), wanted[half].ravel())[0, 1] > 0.98


def graph(function) -> GraphDef:
    """Return what TensorFlow makes of a function of truth values (3,) and numbers (3,)."""
    traced = tf.function(function).get_concrete_function(tf.TensorSpec((3,), "bool"), tf.TensorSpec((3,), "float32"))
    return traced.graph.as_graph_def()


def constants(nodes) -> list[float]:
    return [float(tf.make_ndarray(one.attr["value"].tensor).max()) for one in nodes if one.op == "Const"]


def float_of(truth):
    return tf.cast(truth, "float32")


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (lambda here, x: tf.where(here, x, -1e9), [-NEVER]),
        (lambda here, x: x - 1e9 * float_of(here), [NEVER]),
        (lambda here, x: x + (1.0 - float_of(here)[None]) * -1e9, [-NEVER]),
        (lambda here, x: tf.where(here, x - 1e9, x), [NEVER]),
        (lambda here, x: x - 25000.0, [25000.0]),
        (lambda here, x: x * 32768.0, [32768.0]),
        (lambda here, x: tf.minimum(x, 1e9), [1e9]),
        (lambda here, x: x * float_of(here) * 1e5, [1e5]),
        (lambda here, x: tf.where(here, x, -5.0), [-5.0]),
    ],
)
def test_only_what_truth_values_choose_is_a_mask(function, wanted):
    made = graph(function)
    before = constants(made.node)
    changed = softened(made.node)
    after = [one for one in constants(made.node) if one in wanted or abs(one) >= NEVER]
    assert sorted(after) == sorted(wanted)
    assert changed == sum(one != other for one, other in zip(before, constants(made.node), strict=True))
