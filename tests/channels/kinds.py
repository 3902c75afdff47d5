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
    "einsum_dense_ellipsis_right": {"einsum_dense"},
    "einsum_dense_over_time": {"einsum_dense"},
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


@kind
def embedding() -> Any:
    tokens = Input((None,), dtype="int32")
    x = layers.Embedding(11, 8, mask_zero=True)(tokens)
    return ended(tokens, layers.GlobalAveragePooling1D()(layers.Dense(6)(x)))


@kind
def embedding_of_an_array() -> Any:
    tokens = Input((5,), dtype="int32")
    table = keras.initializers.Constant([[float(row + column) for column in range(8)] for row in range(11)])
    return ended(tokens, layers.GlobalAveragePooling1D()(layers.Embedding(11, 8, embeddings_initializer=table)(tokens)))


@kind
def tied_embedding() -> Any:
    tokens = Input((5,), dtype="int32")
    table = layers.ReversibleEmbedding(11, 8)
    x = layers.Dense(8)(layers.Dense(7, "relu")(table(tokens)))
    return keras.Model(tokens, table(x, reverse=True))


@kind
def untied_reversible_embedding() -> Any:
    tokens = Input((5,), dtype="int32")
    table = layers.ReversibleEmbedding(11, 8, tie_weights=False)
    x = layers.Dense(8)(layers.Dense(7, "relu")(table(tokens)))
    return keras.Model(tokens, table(x, reverse=True))


EINSUMS = {
    "heads": ("abc,cde->abde", (5, 4, 6), "de"),
    "part_of_bias": ("abc,cde->abde", (5, 4, 6), "e"),
    "first_bias": ("abc,cde->abde", (5, 1, 6), "d"),
    "ellipsis": ("...c,cd->...d", (7,), "d"),
    "ellipsis_right": ("ab...,bc->ac...", (7,), "c"),
    "over_time": ("abc,bd->adc", (6, 8), "d"),
    "batched": ("abc,bcd->abd", (5, 6), "bd"),
    "summed": ("abc,cd->ad", (7,), "d"),
}
for name, (equation, shape, bias) in EINSUMS.items():

    def einsum_dense(equation: str = equation, shape: tuple[int, ...] = shape, bias: str = bias) -> Any:
        first = layers.EinsumDense(equation, shape, bias_axes=bias, activation="tanh")
        back = layers.EinsumDense("abde,def->abf", (5, 7), bias_axes="f") if len(shape) == 3 else layers.Dense(7)
        return around((5, 4), layers.Dense(8), first, back, pool=layers.GlobalAveragePooling1D())

    KINDS[f"einsum_dense_{name}"] = einsum_dense


for name in ("LSTM", "GRU", "SimpleRNN"):
    KINDS[name.lower()] = lambda name=name: around(
        (5, 4), getattr(layers, name)(8, return_sequences=True), getattr(layers, name)(7)
    )
    KINDS[f"{name.lower()}_normalised"] = lambda name=name: around(
        (5, 4), getattr(layers, name)(8, return_sequences=True), layers.RMSNormalization(), layers.Dense(5)
    )
    KINDS[f"{name.lower()}_stateful"] = lambda name=name: ended(
        stateful := Input(batch_shape=(3, 5, 4)), layers.Dense(6)(getattr(layers, name)(8, stateful=True)(stateful))
    )
    for mode in ("concat", "sum", "mul", "ave"):
        KINDS[f"bidirectional_{name.lower()}_{mode}"] = lambda name=name, mode=mode: around(
            (5, 4),
            layers.Bidirectional(getattr(layers, name)(8, return_sequences=True), merge_mode=mode),
            layers.Dense(5),
        )

    def with_states(name: str = name) -> Any:
        inputs = Input((5, 4))
        _, *states = getattr(layers, name)(8, return_state=True)(inputs)
        x = getattr(layers, name)(8, return_sequences=True)(inputs, initial_state=states)
        return ended(inputs, layers.Flatten()(layers.Dense(5)(x)))

    def both_ways_with_states(name: str = name) -> Any:
        inputs = Input((5, 4))
        _, *states = layers.Bidirectional(getattr(layers, name)(8, return_state=True))(inputs)
        x = layers.Bidirectional(getattr(layers, name)(8, return_sequences=True))(inputs, initial_state=states)
        return ended(inputs, layers.Concatenate()([layers.Flatten()(layers.Dense(5)(x)), *states]))

    KINDS[f"{name.lower()}_with_states"] = with_states
    KINDS[f"bidirectional_{name.lower()}_with_states"] = both_ways_with_states


@kind
def gru_reset_before() -> Any:
    return around((5, 4), layers.GRU(8, reset_after=False), layers.Dense(7))


@kind
def lstm_softplus() -> Any:
    """A masked unit is not zero; the normalisation behind must see it."""
    return around(
        (5, 4),
        layers.LSTM(8, activation="softplus", return_sequences=True),
        layers.UnitNormalization(),
        layers.Dense(7),
    )


@kind
def bidirectional_apart() -> Any:
    inputs = Input((5, 4))
    there, back = layers.Bidirectional(layers.LSTM(8, return_sequences=True), merge_mode=None)(inputs)
    return ended(inputs, layers.Flatten()(layers.Concatenate()([layers.Dense(4)(there), layers.Dense(5)(back)])))


@kind
def masked_recurrent() -> Any:
    tokens = Input((5,), dtype="int32")
    x = layers.Embedding(11, 8, mask_zero=True)(tokens)
    return ended(tokens, layers.Bidirectional(layers.LSTM(6))(layers.GRU(7, return_sequences=True)(x)))


@kind
def time_distributed() -> Any:
    return around(
        (4, 6, 2),
        layers.TimeDistributed(layers.Dense(8)),
        layers.TimeDistributed(layers.Conv1D(7, 2)),
        layers.TimeDistributed(layers.Flatten()),
        layers.LSTM(5),
    )


@kind
def time_distributed_normalised() -> Any:
    return around(
        (4, 6),
        layers.TimeDistributed(layers.Dense(8)),
        layers.TimeDistributed(layers.RMSNormalization(epsilon=0.2)),
        layers.TimeDistributed(layers.LayerNormalization()),
        layers.Dense(5),
    )


def self_attention(layer: Any, **call: Any) -> keras.Model:
    """Return a model with attention of a sequence to itself, and a residual."""
    inputs = Input((5, 4))
    x = layers.Dense(12)(inputs)
    found = layer(x, x, **call)
    scores = []
    if isinstance(found, tuple):
        found, one = found
        scores = [layers.GlobalAveragePooling2D(data_format="channels_first")(layers.Dense(4)(one))]
    y = layers.Dense(9, "gelu")(found)
    return ended(inputs, layers.Concatenate()([layers.Flatten()(y), layers.Flatten()(layers.Dense(3)(x)), *scores]))


ATTENTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "value_dim": ({"value_dim": 5}, {}),
    "output_shape": ({"output_shape": 7}, {}),
    "two_outputs": ({"output_shape": (7, 2)}, {}),
    "without_bias": ({"use_bias": False}, {}),
    "flash": ({"flash_attention": False}, {}),
    "causal": ({}, {"use_causal_mask": True}),
    "scores": ({}, {"return_attention_scores": True}),
    "gate": ({"use_gate": True}, {}),
}
for name, (settings, call) in ATTENTIONS.items():
    KINDS[f"multi_head_attention_{name}"] = lambda settings=settings, call=call: self_attention(
        layers.MultiHeadAttention(4, 3, **settings), **call
    )
for queries, shared in ((6, 2), (8, 4), (4, 1), (4, 4)):
    KINDS[f"group_query_attention_{queries}_{shared}"] = lambda queries=queries, shared=shared: self_attention(
        layers.GroupQueryAttention(3, queries, shared)
    )
KINDS["group_query_attention_gate"] = lambda: self_attention(layers.GroupQueryAttention(3, 6, 2, use_gate=True))
KINDS["group_query_attention_scores"] = lambda: self_attention(
    layers.GroupQueryAttention(3, 6, 2), return_attention_scores=True, use_causal_mask=True
)


@kind
def attention_over_two_axes() -> Any:
    inputs = image(3, 3, 2)
    x = layers.Dense(8)(inputs)
    return ended(
        inputs, layers.Flatten()(layers.Dense(5)(layers.MultiHeadAttention(4, 3, attention_axes=(1, 2))(x, x)))
    )


@kind
def cross_attention() -> Any:
    """Query, value and key of three widths, by keyword, with masks."""
    tokens, inputs = Input((4,), dtype="int32"), Input((5, 3))
    query = layers.Embedding(11, 8, mask_zero=True)(tokens)
    value, key = layers.Dense(7)(inputs), layers.Dense(9)(inputs)
    x = layers.MultiHeadAttention(4, 3)(query=query, value=value, key=key)
    return ended([tokens, inputs], layers.Flatten()(layers.LayerNormalization()(layers.Add()([x, query]))))


@kind
def attention_of_an_output() -> Any:
    """The width of its output stays, though the query's becomes smaller."""
    inputs = Input((5, 4))
    x = layers.Dense(12)(inputs)
    return keras.Model(inputs, layers.MultiHeadAttention(4, 3)(x, x))


@kind
def attention_with_a_mask_of_heads() -> Any:
    inputs, mask = Input((5, 4)), Input((4, 5, 5))
    x = layers.Dense(12)(inputs)
    x = layers.MultiHeadAttention(4, 3)(x, x, attention_mask=mask > 0)
    return ended([inputs, mask], layers.Flatten()(layers.Dense(6)(x)))


for name in ("Attention", "AdditiveAttention"):
    for settings in ({}, {"use_scale": True}, {"use_scale": False}):

        def dot_attention(name: str = name, settings: dict[str, Any] = settings) -> Any:
            one, two = Input((5, 4)), Input((6, 3))
            query, value, key = layers.Dense(8)(one), layers.Dense(7)(two), layers.Dense(8)(two)
            x = getattr(layers, name)(**settings)([query, value, key])
            return ended([one, two], layers.Flatten()(layers.Dense(5)(x)))

        KINDS[f"{name.lower()}_{settings.get('use_scale', 'default')}".lower()] = dot_attention


@kind
def attention_of_sigmoids() -> Any:
    """What a masked channel of queries and keys holds is not zero: they stay."""
    inputs = Input((5, 4))
    query, key, value = layers.Dense(8, "sigmoid")(inputs), layers.Dense(8, "sigmoid")(inputs), layers.Dense(6)(inputs)
    return ended(inputs, layers.Flatten()(layers.Attention()([query, value, key])))


@kind
def attention_concat() -> Any:
    inputs = Input((5, 4))
    query, key, value = layers.Dense(8)(inputs), layers.Dense(8)(inputs), layers.Dense(6)(inputs)
    return ended(inputs, layers.Flatten()(layers.Attention(score_mode="concat")([query, value, key])))


@kind
def dot() -> Any:
    inputs = Input((5, 4))
    x = layers.Dot(axes=(2, 2))([layers.Dense(8)(inputs), layers.Dense(8)(inputs)])
    y = layers.Dot(axes=(1, 1))([layers.Dense(6)(inputs), layers.Dense(7)(inputs)])
    return ended(inputs, layers.Concatenate()([layers.Flatten()(x), layers.GlobalAveragePooling1D()(y)]))


@kind
def attention_by_hand() -> Any:
    inputs = Input((None, 4))
    x = layers.Dense(12)(inputs)
    query, key, value = (ops.transpose(layers.Reshape((-1, 4, 3))(layers.Dense(12)(x)), (0, 2, 1, 3)) for _ in range(3))
    scores = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * 0.5)
    found = layers.Reshape((-1, 12))(ops.transpose(ops.matmul(scores, value), (0, 2, 1, 3)))
    return ended(inputs, layers.GlobalAveragePooling1D()(layers.Add()([x, layers.Dense(12)(found)])))


@kind
def attention_by_einsum() -> Any:
    inputs = Input((5, 4))
    x = layers.Dense(12)(inputs)
    query, key, value = (layers.Reshape((5, 4, 3))(layers.Dense(12)(x)) for _ in range(3))
    scores = ops.softmax(ops.einsum("bqhd,bkhd->bhqk", query, key))
    found = layers.Reshape((5, 12))(ops.einsum("bhqk,bkhd->bqhd", scores, value))
    return ended(inputs, layers.Flatten()(layers.Dense(6)(found)))


@kind
def shared_layers() -> Any:
    one, two = Input((4,)), Input((4,))
    first, norm, second = layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(7, "relu")
    x, y = (second(norm(first(inputs))) for inputs in (one, two))
    return ended([one, two], layers.Concatenate()([x, layers.Subtract()([x, y])]))


@kind
def shared_with_an_input() -> Any:
    """One call takes what may become narrower, the other what may not."""
    inputs = Input((8,))
    first, shared = layers.Dense(8, "relu"), layers.Dense(7, "relu")
    return ended(inputs, layers.Concatenate()([shared(first(inputs)), shared(inputs)]))


@kind
def shared_reshape() -> Any:
    """A layer without weights whose number counts channels at one call and none at the other."""
    inputs = Input((8,))
    shaped = layers.Reshape((1, 8))
    x, y = shaped(layers.Dense(8, "relu")(inputs)), shaped(inputs)
    return ended(inputs, layers.Flatten()(layers.Concatenate()([layers.Dense(6)(x), layers.Dense(5)(y)])))


@kind
def nested_models() -> Any:
    inner_inputs = image()
    x = layers.Conv2D(8, 3, activation="relu")(inner_inputs)
    inner = keras.Model(inner_inputs, layers.Conv2D(6, 1)(x), name="inner")
    tail = keras.Sequential([Input((4, 4, 6)), layers.BatchNormalization(), layers.Conv2D(7, 2)], name="tail")
    one, two = image(), image()
    x = layers.Subtract()([tail(inner(one)), tail(inner(two))])
    return ended([one, two], layers.GlobalAveragePooling2D()(layers.Conv2D(5, 2)(x)))


@kind
def nested_sequential_built_later() -> Any:
    inner = keras.Sequential([keras.Sequential([layers.Dense(8, "relu")]), layers.Dense(9)], name="inner")
    inputs = Input((4,))
    return ended(inputs, inner(layers.Dense(6)(inputs)))


@kind
def nested_by_name() -> Any:
    """A model of two inputs, called by their names, twice; and one whose inputs are a dict."""
    a, b = Input((5,), name="a"), Input((6,), name="b")
    inner = keras.Model([a, b], {"sum": layers.Dense(7)(a), "other": layers.Dense(8)(b)}, name="inner")
    c, d = Input((7,), name="c"), Input((8,), name="d")
    dicted = keras.Model({"d": d, "c": c}, [layers.Dense(9)(c), layers.Dense(4)(d)], name="dicted")
    one, two = Input((4,), name="one"), Input((4,), name="two")
    found = []
    for source in (one, two):
        both = inner({"b": layers.Dense(6)(source), "a": layers.Dense(5)(source)})
        found += dicted({"c": both["sum"], "d": both["other"]})
    return ended({"one": one, "two": two}, layers.Concatenate()(found))


@kind
def called_by_keyword() -> Any:
    inputs = Input((5, 4))
    x = layers.LSTM(8, return_sequences=True)(sequences=layers.Dense(7)(inputs=inputs))
    return ended(inputs, layers.Flatten()(layers.Dropout(0.2)(inputs=x, training=False)))


@kind
def several_outputs() -> Any:
    inputs = Input((4,))
    x = layers.Dense(8, "relu")(inputs)
    y = layers.Dense(7, "relu")(x)
    return keras.Model(inputs, {"b": layers.Dense(2)(y), "a": layers.Dense(3)(layers.Concatenate()([x, y]))})


@kind
def half_precision() -> Any:
    inputs = Input((4,))
    x = layers.Dense(8, "relu", dtype="mixed_bfloat16")(inputs)
    x = layers.Dense(7, "relu", dtype="mixed_float16", kernel_constraint="max_norm", kernel_regularizer="l2")(x)
    return ended(inputs, layers.Activation("linear", dtype="float32")(x))
