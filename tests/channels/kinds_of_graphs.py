"""The same for what graphs do with layers: shared and nested ones, several inputs and outputs."""

from __future__ import annotations

from typing import Any

import keras
from keras import Input, layers
from kinds import ended, image, kind


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
