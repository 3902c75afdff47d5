"""The same for layers that read sequences: embeddings, einsums, recurrence, attention."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import Input, layers, ops
from kinds import KINDS, around, ended, image, kind


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


@kind
def time_distributed_both_ways() -> Any:
    """A wrapper in a wrapper: both were built with the size that comes in."""
    return around(
        (3, 5, 4),
        layers.TimeDistributed(layers.Dense(8)),
        layers.TimeDistributed(layers.Bidirectional(layers.LSTM(6, return_sequences=True))),
        layers.TimeDistributed(layers.Bidirectional(layers.GRU(5))),
        layers.Dense(7),
    )


def of_an_array(*shape: int) -> Any:
    """Return an initializer whose values are those of an array, as pretrained weights are given."""
    return keras.initializers.Constant(np.linspace(-1.0, 1.0, math.prod(shape), dtype=np.float32).reshape(shape))


@kind
def wrapped_layers_of_arrays() -> Any:
    return around(
        (3, 5, 4),
        layers.TimeDistributed(layers.Dense(8, kernel_initializer=of_an_array(4, 8))),
        layers.TimeDistributed(layers.Bidirectional(layers.LSTM(6, kernel_initializer=of_an_array(8, 24)))),
        layers.Bidirectional(layers.LSTM(5, recurrent_initializer=of_an_array(5, 20))),
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
