"""Operations are counted by hand, by TensorFlow's profiler, and by the numbers papers give."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli.flop_rules import attention_flops, kernel_flops
from spiral_cli.flops import calls, flops, total_flops

layers = keras.layers


def of(layer: keras.layers.Layer, *shape: int | None) -> int:
    """Return the operations of one layer on an input of ``shape``."""
    return total_flops(keras.Sequential([layers.Input(shape), layer]))


def profiled(model: keras.Model) -> int:
    """Return what TensorFlow's profiler counts in a model's graph at batch 1."""
    signature = tf.TensorSpec((1, *model.input_shape[1:]), "float32")
    graph = tf.function(lambda x: model(x)).get_concrete_function(signature).graph
    options = {**tf.compat.v1.profiler.ProfileOptionBuilder.float_operation(), "output": "none"}
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


LINEAR = {
    "dense": (lambda: layers.Dense(7), (5,)),
    "dense in time": (lambda: layers.Dense(7), (3, 5)),
    "dense, softmax": (lambda: layers.Dense(7, activation="softmax"), (5,)),
    "convolution": (lambda: layers.Conv2D(6, (3, 2)), (9, 8, 4)),
    "strided": (lambda: layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False), (9, 8, 4)),
    "one dimension": (lambda: layers.Conv1D(6, 3, use_bias=False), (9, 4)),
    "three dimensions": (lambda: layers.Conv3D(6, 3), (5, 6, 7, 2)),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (9, 8, 4)),
    "separable": (lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2), (9, 8, 4)),
    "maximum of windows": (lambda: layers.MaxPooling2D(2), (8, 8, 4)),
    "mean of windows": (lambda: layers.AveragePooling2D((2, 3)), (8, 9, 4)),
    "softmax": (lambda: layers.Softmax(), (7,)),
}


@pytest.mark.parametrize("name", LINEAR)
def test_a_layer_costs_what_tensorflow_s_profiler_counts(name):
    make, shape = LINEAR[name]
    model = keras.Sequential([layers.Input(shape), make()])
    assert total_flops(model) == profiled(model)


BY_HAND = {
    "grouped": (lambda: layers.Conv2D(6, 3, groups=2, use_bias=False), (5, 5, 4), 2 * (3 * 3 * 2 * 6) * 9),
    "dilated": (lambda: layers.Conv2D(2, 3, dilation_rate=2, use_bias=False), (7, 7, 1), 2 * (9 * 2) * 9),
    "channels first": (
        lambda: layers.Conv2D(6, 3, use_bias=False, data_format="channels_first"),
        (4, 5, 5),
        2 * (9 * 4 * 6) * 9,
    ),
    "transposed": (lambda: layers.Conv2DTranspose(6, 3, strides=2), (4, 4, 2), 2 * (9 * 2 * 6) * 16 + 9 * 9 * 6),
    "einsum": (
        lambda: layers.EinsumDense("abc,cde->abde", (5, 2, 3), bias_axes="de"),
        (5, 4),
        2 * 4 * 6 * 5 + 5 * 6,
    ),
    "einsum, ellipsis": (lambda: layers.EinsumDense("...x,xy->...y", 3), (5, 4), 2 * 12 * 5),
    "LSTM": (lambda: layers.LSTM(3), (5, 2), 5 * (2 * (2 * 12 + 3 * 12) + 17 * 3)),
    "GRU": (lambda: layers.GRU(3), (5, 2), 5 * (2 * (2 * 9 + 3 * 9) + 17 * 3)),
    "simple": (lambda: layers.SimpleRNN(3, return_sequences=True), (5, 2), 5 * (2 * (2 * 3 + 3 * 3) + 3 * 3)),
    "bidirectional": (lambda: layers.Bidirectional(layers.GRU(3)), (5, 2), 2 * 5 * (2 * 45 + 51)),
    "bidirectional, summed": (
        lambda: layers.Bidirectional(layers.GRU(3), merge_mode="sum"),
        (5, 2),
        2 * 5 * (2 * 45 + 51) + 3,
    ),
    "ConvLSTM2D": (
        lambda: layers.ConvLSTM2D(3, 3, padding="same"),
        (5, 6, 7, 2),
        5 * 42 * (2 * 9 * (2 * 12 + 3 * 12) + 17 * 3),
    ),
    "time distributed": (lambda: layers.TimeDistributed(layers.Dense(3)), (5, 2), 5 * (2 * 6 + 3)),
    "batch normalisation": (lambda: layers.BatchNormalization(), (4, 3), 2 * 12),
    "layer normalisation": (lambda: layers.LayerNormalization(), (4, 3), 7 * 12),
    "layer normalisation, centred alone": (lambda: layers.LayerNormalization(scale=False), (4, 3), 6 * 12),
    "global pooling": (lambda: layers.GlobalAveragePooling2D(), (4, 4, 3), 48),
    "activation": (lambda: layers.ReLU(), (4, 3), 12),
    "activation inside": (lambda: layers.Dense(3, activation="gelu"), (4,), 2 * 12 + 3 + 3),
    "no arithmetic": (lambda: layers.Flatten(), (4, 3), 0),
    "dropout": (lambda: layers.Dropout(0.5), (4, 3), 0),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_layer_costs_what_is_counted_by_hand(name):
    make, shape, expected = BY_HAND[name]
    assert of(make(), *shape) == expected


def test_attention_is_its_projections_and_two_products():
    query, value = layers.Input((5, 8)), layers.Input((7, 6))
    model = keras.Model([query, value], layers.MultiHeadAttention(2, 3, value_dim=4)(query, value))
    biases = 5 * 6 + 7 * 6 + 7 * 8 + 5 * 8
    projections = 2 * (5 * 8 * 6 + 7 * 6 * 6 + 7 * 6 * 8 + 5 * 8 * 8)
    assert attention_flops(2, 5, 7, 3, 4) == 2 * 2 * 5 * 7 * 7 + 2 * 5 * 3 + 5 * 2 * 5 * 7
    assert total_flops(model) == projections + biases + attention_flops(2, 5, 7, 3, 4)


def test_grouped_queries_share_keys_and_values():
    x = layers.Input((5, 8))
    one = layers.GroupQueryAttention(3, num_query_heads=4, num_key_value_heads=2, use_bias=False)
    expected = 2 * 5 * (8 * 12 + 2 * 8 * 6 + 12 * 8) + attention_flops(4, 5, 5, 3, 3)
    assert total_flops(keras.Model(x, one(x, x))) == expected


def test_shared_layers_count_each_call_and_nested_models_the_shapes_they_see():
    shared = layers.Dense(3, use_bias=False, name="shared")
    inner_input = layers.Input((None, 4))
    inner = keras.Model(inner_input, layers.Dense(2, use_bias=False, name="inside")(inner_input), name="inner")
    long, short = layers.Input((6, 4)), layers.Input((2, 4))
    model = keras.Model([long, short], [shared(long), shared(short), inner(long), inner(short)])
    assert flops(model) == {"shared": 2 * 12 * (6 + 2), "inner/inside": 2 * 8 * (6 + 2)}


def test_open_dimensions_count_as_one_unless_shapes_are_given():
    model = keras.Sequential([layers.Input((None, 4)), layers.Dense(3, use_bias=False)])
    assert total_flops(model) == 2 * 12
    assert total_flops(model, [(9, 4)]) == 2 * 12 * 9


def test_operations_of_keras_ops_count_too():
    a, b = layers.Input((5, 4)), layers.Input((4, 3))
    model = keras.Model([a, b], [keras.ops.matmul(a, b), keras.ops.einsum("bij,bjk->bki", a, b), a * 2.0 + a])
    assert total_flops(model) == 2 * (2 * 5 * 4 * 3) + 2 * 20


@keras.saving.register_keras_serializable("test_flops")
class Strange(keras.layers.Layer):
    """A layer no rule knows, with a product inside."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 3))

    def call(self, x):
        return keras.ops.matmul(x, self.matrix) + 1.0


@keras.saving.register_keras_serializable("test_flops")
class Other(layers.Dense):
    """A Dense in name alone."""

    def call(self, x):
        return x * 2.0


@keras.saving.register_keras_serializable("test_flops")
class Untraceable(keras.layers.Layer):
    """A layer that fails wherever it is traced by TensorFlow."""

    def call(self, x):
        raise ValueError("not today")

    def compute_output_shape(self, shape):
        return shape


def test_what_no_rule_knows_is_counted_by_the_profiler_or_named():
    model = keras.Sequential([layers.Input((5,)), Strange(name="strange"), Other(9, name="other")])
    found = calls(model)
    assert [(one.path, one.source, one.cost.total) for one in found] == [
        ("strange", "profiler", 2 * 15 + 3),
        ("other", "profiler", 3),
    ]
    x = layers.Input((5,))
    [lost] = calls(keras.Model(x, Untraceable(name="lost")(x)))
    assert (lost.path, lost.source, lost.cost.total) == ("lost", "unknown", 0)


class Subclassed(keras.Model):
    """A model without a graph."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.inner = layers.Dense(3)

    def call(self, x):
        return self.inner(x)


def test_a_subclassed_model_is_counted_whole():
    model = Subclassed()
    model(np.zeros((2, 4), "float32"))
    assert flops(model) == {"subclassed": 2 * 12 + 3}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(3, 9))
def test_a_convolution_costs_twice_its_multiplications(groups, inputs, outputs, stride, kernel, length):
    layer = layers.Conv2D(groups * outputs, kernel, strides=stride, groups=groups, use_bias=False)
    shape = (length, length, groups * inputs)
    model = keras.Sequential([layers.Input(shape), layer])
    positions = ((length - kernel) // stride + 1) ** 2
    assert total_flops(model) == 2 * positions * groups * inputs * outputs * kernel**2
    assert total_flops(model) == kernel_flops(layer.kernel.shape, positions)


PUBLISHED = {"MobileNetV2": (0.300, 0.01), "ResNet50": (3.86, 0.01), "Xception": (8.37, 0.01)}  # 10^9 MACs


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_networks_have_their_published_multiplications(name):
    size = 299 if name == "Xception" else 224
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    found = calls(model)
    macs, tolerance = PUBLISHED[name]
    kernels = sum(kernel_flops(variable.shape, uses) for one in found for variable, uses in one.cost.kernels)
    assert kernels / 2e9 == pytest.approx(macs, rel=tolerance)
    assert {one.source for one in found} == {"rule"}
    assert total_flops(model) == pytest.approx(kernels, rel=0.04)
