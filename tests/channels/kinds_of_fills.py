"""The same for what fills channels without weights with values: they may not leave where these are summed up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import Input, layers, ops
from kinds import KINDS, STAY, ended, kind


def summed(name: str, fill: Callable[[Any], Any], stay: set[str]) -> None:
    """Keep a model that sums up, without weights, all heads (batch, 5, heads, 3) that ``fill`` makes."""

    def build() -> Any:
        inputs = Input((5, 4))
        x = fill(layers.Dense(6, activation="tanh")(inputs))
        return ended(inputs, layers.Flatten()(layers.Dense(7)(ops.einsum("bthd->btd", x))))

    KINDS[name], STAY[name] = build, stay


def heads(bias: str | None, activation: str | None) -> Callable[[Any], Any]:
    """Return what makes four heads of three of a sequence."""
    return layers.EinsumDense("btc,chd->bthd", (5, 4, 3), bias_axes=bias, activation=activation)


for activation, stay in (("sigmoid", {"einsum_dense"}), ("log_softmax", {"einsum_dense"}), ("tanh", set())):
    summed(f"heads_{activation}", lambda x, name=activation: heads("hd", name)(x), stay)
summed("heads_of_one_bias", lambda x: heads("d", None)(x), {"einsum_dense"})
summed("heads_without_bias", lambda x: heads(None, None)(x), set())
summed("heads_activated", lambda x: layers.Activation("sigmoid")(heads("hd", None)(x)), {"einsum_dense"})
summed("heads_of_softmax", lambda x: layers.Softmax(axis=1)(heads("hd", None)(x)), {"einsum_dense"})
summed("heads_of_log_softmax", lambda x: ops.log_softmax(heads("hd", None)(x), axis=1), {"einsum_dense"})


@kind
def pooled_by_softmax() -> Any:
    """Weights of places, by several heads that are summed up."""
    inputs = Input((5, 4))
    x = layers.Dense(8)(inputs)
    weights = layers.Softmax(axis=1)(layers.Dense(6)(x))
    return ended(inputs, layers.Dense(7)(ops.einsum("bth,btd->bd", weights, x)))


@kind
def scores_summed_over_heads() -> Any:
    inputs = Input((5, 4))
    x, scores = layers.MultiHeadAttention(4, 3)(inputs, inputs, return_attention_scores=True)
    return ended(inputs, layers.Flatten()(ops.matmul(ops.einsum("bhqk->bqk", scores), layers.Dense(7)(x))))


@kind
def turned_and_activated() -> Any:
    inputs = Input((5, 4))
    x = layers.Activation("softmax")(layers.Permute((2, 1))(layers.Dense(8)(inputs)))
    return ended(inputs, layers.Flatten()(layers.Dense(7)(layers.Dot(axes=(1, 1))([x, x]))))


@kind
def largest_with_an_initial() -> Any:
    inputs = Input((5, 4))
    x = ops.max(layers.Dense(8)(inputs), axis=1, initial=0.5)
    return ended(inputs, layers.Dense(7)(layers.UnitNormalization()(x)))


@kind
def squeezed_without_an_axis() -> Any:
    """A single channel that is left would be squeezed away as well."""
    inputs = Input((6, 6, 2))
    x = layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(8, 3)(inputs))
    return ended(inputs, layers.Dense(7)(ops.squeeze(x)))


@kind
def convolutions_of_channels_first() -> Any:
    """Keras adds a bias along the width where there are as many channels: what may come to that stays."""
    inputs = Input((3, 8, 8))
    first = {"data_format": "channels_first"}
    x = layers.Conv2D(5, 3, activation="relu", **first)(inputs)  # 6 wide, so never as many
    x = layers.Conv2D(6, 1, use_bias=False, **first)(x)
    x = layers.Conv2D(8, 3, name="as_wide", **first)(x)
    return ended(inputs, layers.Dense(7)(layers.Flatten(**first)(x)))


STAY |= {
    "pooled_by_softmax": {"dense_1"},
    "scores_summed_over_heads": {"multi_head_attention"},
    "turned_and_activated": {"dense"},
    "largest_with_an_initial": {"dense"},
    "squeezed_without_an_axis": {"conv2d"},
    "convolutions_of_channels_first": {"conv2d_1", "as_wide"},
}
