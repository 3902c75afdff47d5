"""Functional models drawn at random: branches that part and meet, shared layers, nested models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import Input, layers, ops

Step = Callable[[np.random.Generator, Any], Any]
"""Draws a layer that fits a tensor, and applies it."""

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "softplus", None)


def width(rng: np.random.Generator) -> int:
    """Draw a number of channels with many divisors."""
    return int(rng.choice([4, 6, 8, 12]))


def activation(rng: np.random.Generator) -> Any:
    """Draw a function, or none."""
    return ACTIVATIONS[rng.integers(len(ACTIVATIONS))]


def convolution(rng: np.random.Generator, x: Any) -> Any:
    return layers.Conv2D(width(rng), int(rng.choice([1, 3])), padding="same", activation=activation(rng))(x)


def grouped(rng: np.random.Generator, x: Any) -> Any:
    groups = int(rng.choice([one for one in (1, 2, 3, 4) if x.shape[-1] % one == 0]))
    return layers.Conv2D(groups * int(rng.integers(1, 4)), 1, groups=groups, activation=activation(rng))(x)


def depthwise(rng: np.random.Generator, x: Any) -> Any:
    return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=int(rng.integers(1, 3)))(x)


def separable(rng: np.random.Generator, x: Any) -> Any:
    return layers.SeparableConv2D(width(rng), 3, padding="same", depth_multiplier=int(rng.integers(1, 3)))(x)


def transposed(rng: np.random.Generator, x: Any) -> Any:
    return layers.Conv2DTranspose(width(rng), 3, padding="same", activation=activation(rng))(x)


def normalised(rng: np.random.Generator, x: Any) -> Any:
    kind = rng.integers(6)
    if kind == 0:
        return layers.LayerNormalization()(x)
    if kind == 1:
        return layers.RMSNormalization(epsilon=0.01)(x)
    if kind == 2:
        return layers.UnitNormalization()(x)
    if kind == 3:
        return layers.GroupNormalization(
            int(rng.choice([n for n in (1, 2, 3, 4) if x.shape[-1] % n == 0])), epsilon=0.01
        )(x)
    return layers.BatchNormalization(scale=bool(rng.integers(2)), center=bool(rng.integers(2)))(x)


def single(rng: np.random.Generator, x: Any) -> Any:
    kind = rng.integers(5)
    if kind == 0:
        return layers.PReLU()(x)
    if kind == 1:
        return ops.add(x, 0.3)
    if kind == 2:
        return ops.sigmoid(x)
    return layers.Activation(activation(rng) or "silu")(x)


def spatial(rng: np.random.Generator, x: Any) -> Any:
    kind = rng.integers(3)
    if kind == 0:
        return layers.MaxPooling2D(3, 1, padding="same")(x)
    if kind == 1:
        return layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x))
    return layers.AveragePooling2D(2)(layers.UpSampling2D(2)(x))


def attention(rng: np.random.Generator, x: Any) -> Any:
    flat = layers.Reshape((-1, x.shape[-1]))(x)
    if rng.integers(2):
        flat = layers.MultiHeadAttention(int(rng.integers(2, 5)), 3)(flat, flat)
    else:
        flat = layers.GroupQueryAttention(3, 4, int(rng.choice([1, 2, 4])))(flat, flat)
    return layers.Reshape((*x.shape[1:3], flat.shape[-1]))(flat)


def recurrent(rng: np.random.Generator, x: Any) -> Any:
    rows = layers.Reshape((-1, x.shape[-1]))(x)
    layer = (layers.GRU, layers.LSTM, layers.SimpleRNN)[rng.integers(3)](width(rng), return_sequences=True)
    rows = layers.Bidirectional(layer)(rows) if rng.integers(2) else layer(rows)
    return layers.Reshape((*x.shape[1:3], rows.shape[-1]))(rows)


def gate(rng: np.random.Generator, x: Any) -> Any:
    squeezed = layers.GlobalAveragePooling2D()(x)
    scale = layers.Dense(x.shape[-1], activation="sigmoid")(layers.Dense(width(rng), activation="relu")(squeezed))
    return layers.Multiply()([x, layers.Reshape((1, 1, x.shape[-1]))(scale)])


def shuffle(rng: np.random.Generator, x: Any) -> Any:
    parts = layers.Reshape((*x.shape[1:3], 2, x.shape[-1] // 2))(x) if x.shape[-1] % 2 == 0 else None
    return x if parts is None else layers.Reshape(x.shape[1:])(layers.Permute((1, 2, 4, 3))(parts))


def halves(rng: np.random.Generator, x: Any) -> Any:
    if x.shape[-1] % 2:
        return x
    one, other = ops.split(x, 2, axis=-1)
    return one * ops.sigmoid(other)


def tokens(rng: np.random.Generator, x: Any) -> Any:
    """A dense layer over places instead of channels."""
    flat = layers.Permute((2, 1))(layers.Reshape((-1, x.shape[-1]))(x))
    flat = layers.Permute((2, 1))(layers.Dense(flat.shape[-1])(flat))
    return layers.Reshape(x.shape[1:])(flat)


def pooled(rng: np.random.Generator, x: Any) -> Any:
    """Weights of places by several heads, which are summed up without weights."""
    flat = layers.Reshape((-1, x.shape[-1]))(x)
    scores = layers.Dense(width(rng))(flat)
    weights = layers.Softmax(axis=1)(scores) if rng.integers(2) else ops.softmax(scores, axis=1)
    return layers.Reshape(x.shape[1:])(ops.einsum("bth,btd->btd", weights, flat))


def heads(rng: np.random.Generator, x: Any) -> Any:
    """A matrix of heads, with or without biases of their own, summed up without or with weights."""
    flat = layers.Reshape((9, x.shape[-1]))(x)
    count, wide, bias = width(rng), int(rng.integers(2, 5)), rng.choice(["", "d", "h", "hd"])
    matrix = layers.EinsumDense("btc,chd->bthd", (9, count, wide), activation=activation(rng), bias_axes=bias or None)
    many = matrix(flat)
    if rng.integers(2):
        many = layers.Activation(activation(rng) or "softmax")(many)
    last = layers.EinsumDense("bthd,de->bte", (9, width(rng))) if rng.integers(2) else None
    few = ops.einsum("bthd->btd", many) if last is None else last(many)
    return layers.Reshape((3, 3, few.shape[-1]))(few)


def turned(rng: np.random.Generator, x: Any) -> Any:
    """An activation along places."""
    flat = layers.Permute((2, 1))(layers.Reshape((-1, x.shape[-1]))(x))
    flat = layers.Activation(str(rng.choice(["sigmoid", "softmax", "log_softmax", "relu"])))(flat)
    return layers.Reshape(x.shape[1:])(layers.Permute((2, 1))(flat))


def scored(rng: np.random.Generator, x: Any) -> Any:
    """What all heads look at together."""
    flat = layers.Reshape((-1, x.shape[-1]))(x)
    y, scores = layers.MultiHeadAttention(int(rng.integers(2, 5)), 3)(flat, flat, return_attention_scores=True)
    return layers.Reshape(x.shape[1:])(ops.matmul(ops.einsum("bhqk->bqk", scores), y))


def unknown(rng: np.random.Generator, x: Any) -> Any:
    return ops.flip(x, axis=-1)


STEPS: tuple[Step, ...] = (
    *(convolution, convolution, convolution, grouped, depthwise, separable, transposed, normalised, normalised, single),
    *(single, spatial, attention, recurrent, gate, shuffle, halves, tokens, unknown),
    *(pooled, heads, turned, scored),
)


def chain(rng: np.random.Generator, x: Any, length: int) -> Any:
    """Apply so many layers one after the other."""
    for _ in range(length):
        x = STEPS[rng.integers(len(STEPS))](rng, x)
    return x


def meeting(rng: np.random.Generator, one: Any, other: Any) -> Any:
    """Let two tensors meet: side by side, or sum or product of what is made equally wide."""
    kind = rng.integers(5)
    if kind == 0:
        return layers.Concatenate()([one, other])
    if one.shape[-1] != other.shape[-1]:
        other = layers.Conv2D(one.shape[-1], 1)(other)
    merge = (layers.Add, layers.Add, layers.Multiply, layers.Maximum)[kind - 1]
    return merge()([one, other])


def draw_model(seed: int) -> keras.Model:
    """Draw a model of one or two inputs and outputs."""
    rng = np.random.default_rng(seed)
    inputs = [Input((3, 3, 2)) for _ in range(rng.integers(1, 3))]
    known: list[Any] = [layers.Conv2D(width(rng), 1)(one) for one in inputs]
    for _ in range(rng.integers(2, 5)):
        source = known[rng.integers(len(known))]
        kind = rng.integers(5)
        if kind == 0:
            shared = layers.Conv2D(width(rng), 1, activation=activation(rng))
            other = layers.Conv2D(source.shape[-1], 1)(known[rng.integers(len(known))])
            known += [shared(source), shared(other)]
        elif kind == 1:
            entry = Input(source.shape[1:])
            nested = keras.Model(entry, chain(rng, entry, int(rng.integers(1, 3))))
            other = layers.Conv2D(source.shape[-1], 1)(known[rng.integers(len(known))])
            known += [nested(source), nested(other)] if rng.integers(2) else [nested(source)]
        elif kind == 2:
            known.append(meeting(rng, source, known[rng.integers(len(known))]))
        else:
            known.append(chain(rng, source, int(rng.integers(1, 4))))
    ends = [layers.Flatten()(known[-1]), layers.GlobalAveragePooling2D()(meeting(rng, known[-2], known[0]))]
    return keras.Model(inputs, [layers.Dense(3)(end) for end in ends[: rng.integers(1, 3)]])
