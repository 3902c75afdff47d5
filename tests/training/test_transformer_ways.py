"""Attention, its projections and layer normalisation in few operations: equal to Keras' own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.models.precision import computing_in
from spiral_cli.training.inference import as_written
from spiral_cli.training.layer_norm import fits, quick_layer_norms
from spiral_cli.training.products import contracts_last_axes, matrix_products

layers = keras.layers


def gradients(model: keras.Model, x, ways=(), **call) -> list[np.ndarray]:
    """Return outputs, the gradient of inputs and of all variables, traced in the contexts of ``ways``."""

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            opened = [way(model) for way in ways]
            for context in opened:
                context.__enter__()
            outputs = model(inputs, **call)
            for context in reversed(opened):
                context.__exit__(None, None, None)
            loss = tf.reduce_sum(tf.sin(outputs))
        return [outputs, *tape.gradient(loss, [inputs, *(v.value for v in model.trainable_variables)])]

    return [one.numpy() for one in step(tf.constant(x))]


def same(model: keras.Model, x: np.ndarray, way, **call) -> None:
    ours, theirs = gradients(model, x, [way], **call), gradients(model, x, **call)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def varied(model: keras.Model) -> keras.Model:
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.1, variable.shape))
    return model


@pytest.mark.parametrize("length", [5, None])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("mask", ["none", "causal", "padding"])
def test_attention(length, dropout, mask):
    inputs = keras.Input((length, 6))
    attention = layers.MultiHeadAttention(2, 3, value_dim=4, dropout=dropout)
    seen = layers.Masking()(inputs) if mask == "padding" else inputs
    model = varied(keras.Model(inputs, attention(seen, seen, use_causal_mask=mask == "causal")))
    x = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    if mask == "padding":
        x[:, 3:] = 0
    same(model, x, matrix_products, training=False)


def test_attention_drops_out_in_training_and_gives_scores_where_asked():
    inputs = keras.Input((5, 6))
    attention = layers.MultiHeadAttention(2, 3, dropout=0.5, seed=3)
    model = keras.Model(inputs, attention(inputs, inputs))
    x = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    plain = gradients(model, x, [matrix_products], training=False)[0]
    assert np.abs(gradients(model, x, [matrix_products], training=True)[0] - plain).max() > 1e-3
    with matrix_products(model):
        outputs, scores = attention(x, x, return_attention_scores=True)
    np.testing.assert_allclose(outputs, plain, rtol=1e-4, atol=1e-5)
    assert scores.shape == (4, 2, 5, 5)


EQUATIONS = [
    ("abc,cde->abde", (None, 2, 3), "de", (5, 6), True),
    ("abcd,cde->abe", (None, 7), "e", (4, 2, 6), True),
    ("ab,bc->ac", (8,), None, (6,), True),
    ("abc,cd->adb", (8, 4), None, (4, 6), False),  # the output's axes are in another order
    ("abc,dc->abd", (None, 8), None, (4, 6), False),  # the kernel's are
    ("...b,bc->...c", (8,), None, (6,), False),
]


@pytest.mark.parametrize(("equation", "made", "bias", "shape", "taken"), EQUATIONS)
def test_einsum_dense(equation, made, bias, shape, taken):
    layer = layers.EinsumDense(equation, made, bias_axes=bias, activation="relu")
    inputs = keras.Input(shape)
    model = varied(keras.Model(inputs, layer(inputs)))
    assert contracts_last_axes(layer) == taken
    same(model, np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32), matrix_products)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (2, 3, 8)])
def test_layer_normalisation(shape):
    inputs = keras.Input(shape)
    layer = layers.LayerNormalization(epsilon=1e-3)
    model = varied(keras.Model(inputs, layer(inputs)))
    assert fits(layer)
    same(model, 3 + np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32), quick_layer_norms)


@pytest.mark.parametrize("settings", [{"center": False}, {"scale": False}, {"axis": [1, 2]}])
def test_other_layer_normalisations_stay_as_they_are(settings):
    layer = layers.LayerNormalization(**settings)
    layer.build((None, 4, 5))
    assert not fits(layer)
    first = layers.LayerNormalization(axis=1)
    inputs = keras.Input((4, 5))
    same(
        keras.Model(inputs, first(inputs)),
        np.random.default_rng(0).normal(size=(3, 4, 5)).astype("f4"),
        quick_layer_norms,
    )


def test_a_layer_that_its_author_called_in_inference_mode_is_hooked_twice():
    inputs = keras.Input((6,))
    layer = layers.EinsumDense("ab,bc->ac", (4,))
    model = keras.Model(inputs, layer(inputs, training=False))
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    with as_written(model), matrix_products(model):
        inside = model(x, training=True)
    np.testing.assert_allclose(inside, model(x), rtol=1e-5, atol=1e-6)
    assert not {"call", "_compute_attention"} & set(vars(layer))


def test_attention_in_sixteen_bits_takes_exponents_in_thirty_two():
    inputs = keras.Input((5, 6))
    attention = layers.MultiHeadAttention(2, 3)
    model = varied(keras.Model(inputs, attention(inputs, inputs)))
    x = 20 * np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    with computing_in(model, "mixed_bfloat16"):
        theirs = model(x)
        with matrix_products(model):
            ours = model(x)
    exact = model(x)
    error = [float(np.abs(tf.cast(one, tf.float32) - exact).max()) for one in (ours, theirs)]
    assert error[0] < 1.5 * error[1] + 1e-6
