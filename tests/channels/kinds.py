"""One small model for every kind of layer that channels are removed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import Input, layers, ops

Build = Callable[[], Any]
KINDS: dict[str, Build] = {}
# Layers whose channels stay, besides those of the output; names count from 0 in each model. Most of them make what a
# normalisation or a product behind sums up without weights, though masked channels are not zero there.
STAY: dict[str, set[str]] = {
    "channels_first": {"dense"},
    **{
        f"merge_{name}_broadcast": {"conv2d", "conv2d_1"}
        for name in ("add", "subtract", "average", "maximum", "minimum")
    },
    "merge_multiply_broadcast": {"conv2d_1"},
    **{f"ops_{name}": {"dense"} for name in ("add", "subtract", "maximum", "clip")},
    **{f"ops_{name}": {"dense_1"} for name in ("cos", "exp", "sigmoid", "softplus", "log_sigmoid", "hard_sigmoid")},
    "permute": {"dense_1"},
    "mixer": {"dense", "dense_1", "dense_3"},
    "einsum_dense_ellipsis_right": {"einsum_dense", "dense_1"},
    "einsum_dense_over_time": {"einsum_dense", "dense_1"},
    "lstm_softplus": {"lstm"},
    "multi_head_attention_scores": {"dense_1"},
    "group_query_attention_scores": {"dense_1"},
    "attention_with_a_mask_of_heads": {"multi_head_attention"},
    "attention_of_sigmoids": {"dense", "dense_1"},
    "dot": {"dense_2"},
    "shared_with_an_input": {"dense"},
    "shared_reshape": {"dense"},
}


def kind(function: Build) -> Build:
    """Keep a model under the name of the function that builds it."""
    KINDS[function.__name__] = function
    return function


def ended(inputs: Any, x: Any) -> keras.Model:
    """Return a model that ends in a dense layer of three."""
    return keras.Model(inputs, layers.Dense(3, name="out")(x))


def image(*size: int) -> Any:
    """Return an input of 6 x 6 pixels with 2 channels, or of another size."""
    return Input(size or (6, 6, 2))


def around(size: tuple[int, ...], first: Any, *middle: Any, pool: Any = None) -> keras.Model:
    """Return a model of layers one after the other, between an input and a dense end."""
    x = inputs = Input(size)
    for layer in (first, *middle):
        x = layer(x)
    if len(x.shape) > 2:
        x = (pool or layers.Flatten())(x)
    return ended(inputs, x)


def same(rank: int) -> Any:
    """Return a 1-wide convolution that reads every channel."""
    return {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}[rank](5, 1, activation="tanh")


for rank in (1, 2, 3):
    conv = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}[rank]
    back = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}[rank]
    size = (5,) * rank
    KINDS[f"conv{rank}d"] = lambda conv=conv, size=size: around(
        (*size, 2), conv(6, 3, activation="relu"), conv(7, 2, padding="same", dilation_rate=1)
    )
    KINDS[f"conv{rank}d_transpose"] = lambda back=back, size=size, rank=rank: around(
        (*size, 2), same(rank), back(6, 3, strides=2, activation="relu"), same(rank)
    )
    for name in ("MaxPooling", "AveragePooling", "UpSampling", "ZeroPadding", "Cropping"):
        KINDS[f"{name}{rank}d"] = lambda name=name, rank=rank, size=size: around(
            (*size, 2), same(rank), getattr(layers, f"{name}{rank}D")(2), same(rank)
        )
    for name in ("GlobalMaxPooling", "GlobalAveragePooling"):
        KINDS[f"{name}{rank}d"] = lambda name=name, rank=rank, size=size: around(
            (*size, 2), same(rank), getattr(layers, f"{name}{rank}D")()
        )
        KINDS[f"{name}{rank}d_keepdims"] = lambda name=name, rank=rank, size=size: around(
            (*size, 2), same(rank), getattr(layers, f"{name}{rank}D")(keepdims=True), same(rank)
        )
    for name in ("AdaptiveMaxPooling", "AdaptiveAveragePooling"):
        KINDS[f"{name}{rank}d"] = lambda name=name, rank=rank, size=size: around(
            (*size, 2), same(rank), getattr(layers, f"{name}{rank}D")(2), same(rank)
        )

ACTIVATIONS = (
    *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu"),
    *("linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus"),
    *("softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink", "threshold"),
)
for name in ACTIVATIONS[:-1]:
    KINDS[f"activation_{name}"] = lambda name=name: around(
        (4,), layers.Dense(8), layers.Activation(name), layers.Dense(9, activation=name)
    )
for make in (
    lambda: layers.ReLU(negative_slope=0.1, threshold=0.5),
    lambda: layers.LeakyReLU(),
    lambda: layers.ELU(),
    lambda: layers.PReLU(),
    lambda: layers.Dropout(0.5),
    lambda: layers.GaussianDropout(0.5),
    lambda: layers.GaussianNoise(0.5),
    lambda: layers.AlphaDropout(0.5),
    lambda: layers.ActivityRegularization(l2=0.1),
    lambda: layers.Identity(),
    lambda: layers.Rescaling(2.0, 0.5),
    lambda: layers.BatchNormalization(),
    lambda: layers.BatchNormalization(scale=False),
    lambda: layers.BatchNormalization(center=False),
    lambda: layers.LayerNormalization(),
    lambda: layers.LayerNormalization(center=False),
    lambda: layers.LayerNormalization(scale=False),
    lambda: layers.RMSNormalization(epsilon=0.1),
    lambda: layers.UnitNormalization(),
    lambda: layers.GroupNormalization(groups=4),
    lambda: layers.GroupNormalization(groups=1),
    lambda: layers.GroupNormalization(groups=-1),
):
    layer = make()
    marks = [key for key in ("scale", "center") if getattr(layer, key, True) is False]
    label = "_".join(
        [layer.name.rstrip("_0123456789"), *marks, *([f"{layer.groups}"] if hasattr(layer, "groups") else [])]
    )
    KINDS[label] = lambda make=make: around((5, 5, 2), layers.Conv2D(8, 2), make(), layers.Conv2D(6, 2))
for rank in (1, 2, 3):
    KINDS[f"spatial_dropout{rank}d"] = lambda rank=rank: around(
        (*(5,) * rank, 2), same(rank), getattr(layers, f"SpatialDropout{rank}D")(0.5), same(rank)
    )


@kind
def dense() -> Any:
    return around((4,), layers.Dense(8, "relu"), layers.Dense(9, "sigmoid", use_bias=False))


@kind
def adapted_normalization() -> Any:
    """What comes in is normalised by constants that are no part of the config."""
    return around((4,), layers.Normalization(), layers.Dense(8, "relu"))


@kind
def dropout_of_whole_examples() -> Any:
    return around((4, 4, 2), layers.Conv2D(8, 2), layers.Dropout(0.5, noise_shape=(None, 1, 1, 1)), layers.Conv2D(6, 2))


@kind
def dense_over_time() -> Any:
    return around((5, 4), layers.Dense(8, "relu"), layers.Dense(9))


@kind
def sequential() -> Any:
    return keras.Sequential([Input((4,)), layers.Dense(8, "relu"), layers.Dense(9, "relu"), layers.Dense(3)])


@kind
def sequential_built_later() -> Any:
    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(9, "relu"), layers.Dense(3)])
    model.build((None, 4))
    return model


@kind
def grouped_convolution_of_few() -> Any:
    """Two groups of four: the same places of both leave."""
    return around(
        (6, 6, 2), layers.Conv2D(8, 1), layers.Conv2D(12, 3, groups=2, activation="relu"), layers.Conv2D(4, 1)
    )


@kind
def grouped_convolution_of_many() -> Any:
    """Four groups of two: whole groups leave."""
    return around(
        (6, 6, 2), layers.Conv2D(8, 1), layers.Conv2D(12, 3, groups=4, activation="relu"), layers.Conv2D(4, 1)
    )


@kind
def grouped_convolution_of_inputs() -> Any:
    return around((6, 6, 2), layers.Conv2D(12, 3, groups=2, activation="relu"), layers.Conv2D(4, 1))


@kind
def grouped_convolution_1d() -> Any:
    return around((8, 4), layers.Conv1D(6, 1), layers.Conv1D(9, 3, groups=3), layers.Conv1D(4, 1))


@kind
def causal_convolution() -> Any:
    return around((8, 4), layers.Conv1D(6, 2, padding="causal"), layers.Conv1D(9, 3, padding="causal", dilation_rate=2))


@kind
def depthwise_1d() -> Any:
    return around((8, 2), layers.Conv1D(6, 1), layers.DepthwiseConv1D(3, activation="relu"), layers.Conv1D(4, 1))


@kind
def depthwise_with_multiplier() -> Any:
    deep = layers.DepthwiseConv2D(3, depth_multiplier=3, activation="sigmoid")
    return around((6, 6, 2), layers.Conv2D(6, 1), deep, layers.BatchNormalization(), layers.Conv2D(4, 1))


@kind
def depthwise_of_inputs() -> Any:
    return around((6, 6, 2), layers.DepthwiseConv2D(3, depth_multiplier=2), layers.Conv2D(6, 1))


@kind
def separable_1d() -> Any:
    return around((8, 2), layers.Conv1D(6, 1), layers.SeparableConv1D(7, 3, depth_multiplier=2), layers.Conv1D(4, 1))


@kind
def separable() -> Any:
    deep = layers.SeparableConv2D(7, 3, depth_multiplier=2, activation="relu")
    return around((6, 6, 2), layers.Conv2D(6, 1), deep, layers.SeparableConv2D(5, 2))


@kind
def channels_first() -> Any:
    """What of it runs on a processor."""
    return around(
        (4, 6),
        layers.Dense(8, "tanh"),
        layers.Permute((2, 1)),
        layers.UpSampling1D(2),
        layers.Permute((2, 1)),
        layers.Dense(6),
        layers.Permute((2, 1)),
        layers.GlobalAveragePooling1D(data_format="channels_first"),
    )


@kind
def flatten_channels_first() -> Any:
    return around(
        (6, 6, 2), layers.Conv2D(5, 2), layers.Permute((3, 1, 2)), layers.Flatten(data_format="channels_first")
    )


@kind
def batch_norm_on_another_axis() -> Any:
    """The normalised axis keeps its channels' place; those that run along another are shifted with it."""
    return around(
        (4, 6),
        layers.Dense(8),
        layers.Permute((2, 1)),
        layers.BatchNormalization(axis=1),
        layers.Permute((2, 1)),
        layers.Dense(5),
    )


@kind
def prelu_shared() -> Any:
    return around((5, 5, 2), layers.Conv2D(8, 2), layers.PReLU(shared_axes=(1, 2)), layers.Conv2D(6, 2))


@kind
def residual() -> Any:
    inputs = image()
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same", activation="relu")(x))
    y = layers.Conv2D(8, 3, padding="same")(y)
    x = layers.Activation("relu")(layers.Add()([x, y]))
    return ended(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1)(x)))


for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):

    def merged(name: str = name) -> Any:
        inputs = image()
        two = [layers.Conv2D(8, 3)(inputs), layers.Conv2D(8, 3, activation="sigmoid")(inputs)]
        return ended(inputs, layers.Flatten()(layers.Conv2D(5, 1)(getattr(layers, name)()(two))))

    def broadcast(name: str = name) -> Any:
        """Something without channels meets channels; a normalisation behind sees what it adds."""
        inputs = image()
        two = [layers.Conv2D(8, 3)(inputs), layers.Conv2D(1, 3)(inputs)]
        x = layers.RMSNormalization()(getattr(layers, name)()(two))
        x = layers.Conv2D(7, 1)(x)
        return ended(inputs, layers.Flatten()(x))

    KINDS[f"merge_{name.lower()}"] = merged
    KINDS[f"merge_{name.lower()}_broadcast"] = broadcast

for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power"):

    def constant(name: str = name) -> Any:
        """A number meets channels, and channels meet; a length behind sees what the number adds."""
        inputs = Input((4,))
        x = getattr(ops, name)(layers.Dense(8, "relu")(inputs), 2.0)
        y = getattr(ops, name)(layers.Dense(6, "softplus")(inputs), layers.Dense(6, "softplus")(inputs))
        return ended(inputs, layers.Concatenate()([layers.UnitNormalization()(x), y]))

    KINDS[f"ops_{name}"] = constant

SINGLES = (
    *("absolute", "ceil", "cos", "exp", "expm1", "floor", "negative", "sign", "sin", "square", "tanh", "relu", "relu6"),
    *("sigmoid", "softplus", "softsign", "silu", "gelu", "elu", "selu", "log_sigmoid", "leaky_relu", "hard_sigmoid"),
)
for name in SINGLES:

    def single(name: str = name) -> Any:
        """A length behind sees whether it makes something of nothing."""
        inputs = Input((4,))
        x = layers.Dense(7)(layers.UnitNormalization()(getattr(ops, name)(layers.Dense(8)(inputs))))
        return ended(inputs, layers.Concatenate()([x, getattr(ops, name)(layers.Dense(8)(inputs))]))

    KINDS[f"ops_{name}"] = single


@kind
def ops_clip() -> Any:
    inputs = Input((4,))
    x = ops.clip(layers.Dense(8)(inputs), 0.2, 0.8)
    return ended(inputs, layers.Dense(6)(layers.UnitNormalization()(x)))


@kind
def ops_where() -> Any:
    inputs = Input((4,))
    one, other = layers.Dense(8)(inputs), layers.Dense(8)(inputs)
    return ended(inputs, ops.where(inputs[:, :1] > 0, one, other))


@kind
def squeeze_excite() -> Any:
    inputs = image()
    x = layers.Conv2D(8, 3)(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(gate))
    return ended(inputs, layers.Flatten()(layers.Conv2D(5, 1)(layers.Multiply()([x, gate]))))


@kind
def squeeze_excite_by_reshape() -> Any:
    inputs = image()
    x = layers.Conv2D(8, 3)(inputs)
    gate = layers.Reshape((1, 1, 8))(layers.Dense(8, "sigmoid")(layers.GlobalAveragePooling2D()(x)))
    x = layers.LayerNormalization()(layers.Multiply()([x, gate]))
    return ended(inputs, layers.Flatten()(layers.Conv2D(5, 1)(x)))


@kind
def concatenate() -> Any:
    inputs = image()
    x = layers.Conv2D(6, 1)(inputs)
    x = layers.Concatenate()([x, inputs, layers.Conv2D(7, 1)(x)])
    return ended(inputs, layers.Flatten()(layers.Conv2D(5, 1)(layers.BatchNormalization()(x))))


@kind
def concatenate_over_space() -> Any:
    inputs = image()
    x = layers.Concatenate(axis=1)([layers.Conv2D(6, 1)(inputs), layers.Conv2D(6, 1)(inputs)])
    return ended(inputs, layers.Flatten()(layers.Conv2D(5, 1)(x)))


@kind
def reshape() -> Any:
    return around(
        (6, 6, 2), layers.Conv2D(6, 1), layers.Reshape((36, 6)), layers.Dense(7), layers.Reshape((-1,)), layers.Dense(8)
    )


@kind
def reshape_to_parts() -> Any:
    return around((5, 4), layers.Dense(24), layers.Reshape((5, 3, 8)), layers.Dense(7), layers.Permute((3, 1, 2)))


@kind
def channel_shuffle() -> Any:
    shuffle = (layers.Reshape((6, 6, 2, 4)), layers.Permute((1, 2, 4, 3)), layers.Reshape((6, 6, 8)))
    return around((6, 6, 2), layers.Conv2D(8, 1), *shuffle, layers.Conv2D(8, 3, groups=2), layers.Conv2D(5, 1))


@kind
def permute() -> Any:
    return around(
        (4, 6),
        layers.Dense(8),
        layers.Permute((2, 1)),
        layers.Dense(5, "tanh"),
        layers.Permute((2, 1)),
        layers.Dense(6),
        pool=layers.GlobalAveragePooling1D(),
    )


@kind
def mixer() -> Any:
    """Dense layers over tokens and channels in turns, with residuals and root mean squares."""
    inputs = Input((4, 6))
    x = layers.Dense(8)(inputs)
    y = layers.Permute((2, 1))(layers.RMSNormalization()(x))
    y = layers.Permute((2, 1))(layers.Dense(4)(layers.Dense(9, "gelu")(y)))
    x = layers.Add()([x, y])
    y = layers.Dense(8)(layers.Dense(10, "gelu")(layers.LayerNormalization()(x)))
    return ended(inputs, layers.GlobalAveragePooling1D()(layers.Add()([x, y])))


@kind
def repeat_vector() -> Any:
    return around((4,), layers.Dense(8), layers.RepeatVector(3), layers.LSTM(5))


@kind
def operations_on_shapes() -> Any:
    inputs = Input((4, 6))
    x = layers.Dense(8)(inputs)
    x = ops.reshape(ops.transpose(x, (0, 2, 1)), (-1, 8, 2, 2))
    x = ops.squeeze(ops.expand_dims(ops.mean(x, axis=-1), axis=1), axis=1)
    x = ops.swapaxes(x, 1, 2)
    x = layers.Dense(7)(x)[:, 0]
    return ended(inputs, x)


@kind
def split_and_stack() -> Any:
    inputs = Input((4,))
    one, two = ops.split(layers.Dense(12)(inputs), 2, axis=-1)
    x = ops.stack([one * ops.sigmoid(two), one], axis=1)
    return ended(inputs, layers.Flatten()(layers.Dense(6)(x)))
