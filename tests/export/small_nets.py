"""Small models of every kind that is exported, pruned, with examples."""

from __future__ import annotations

import keras
import numpy as np

from spiral_cli.pruning.prunable import find_prunable

layers = keras.layers


def cnn() -> keras.Model:
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(3),
        ]
    )


def depthwise() -> keras.Model:
    """Return what MobileNet and EfficientNet are made of; `Normalization` holds constants that are no variables."""
    image = keras.Input((8, 8, 3))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 1.0, 2.0])(image)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(layers.Conv2D(8, 1, groups=2)(x))
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    excited = layers.Dense(16, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, excited]))
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def single_pixel() -> keras.Model:
    """Return the last stage of a ConvNeXt on small images: means over the channels of one pixel."""
    image = keras.Input((2, 2, 6))
    x = layers.Conv2D(16, 2, strides=2)(layers.LayerNormalization()(image))
    x = layers.LayerNormalization()(layers.Conv2D(16, 3, padding="same", groups=16)(x))
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def lstm() -> keras.Model:
    steps = layers.LSTM(6, return_sequences=True)
    return keras.Sequential([layers.Input((7, 5)), steps, layers.LSTM(4), layers.Dense(3)])


def bigru() -> keras.Model:
    return keras.Sequential([layers.Input((7, 5)), layers.Bidirectional(layers.GRU(6)), layers.Dense(3)])


def bilstm_of_any_length() -> keras.Model:
    steps = layers.Bidirectional(layers.LSTM(6, return_sequences=True))
    return keras.Sequential([layers.Input((None, 5)), steps, layers.GlobalAveragePooling1D(), layers.Dense(3)])


def encoder() -> keras.Model:
    """Return a transformer block over tokens, with the exact gelu."""
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(8)(layers.Dense(16, activation="gelu")(x)))
    return keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def two_by_two() -> keras.Model:
    """Return two inputs and two outputs whose names are in another order than they are."""
    b, a = keras.Input((4,), name="b"), keras.Input((3,), name="a")
    both = layers.Concatenate()([layers.Dense(5, activation="relu")(b), layers.Dense(5)(a)])
    return keras.Model([b, a], [layers.Dense(3, name="z")(both), layers.Dense(2, activation="softmax", name="y")(both)])


KINDS_OF_NETS = (cnn, depthwise, single_pixel, lstm, bigru, bilstm_of_any_length, encoder, two_by_two)
NETS = {net.__name__: net for net in KINDS_OF_NETS}


def pruned(name: str, density: float = 0.3) -> keras.Model:
    """Return a net with biases and statistics that are not trivial, and so much of its weights."""
    keras.utils.set_random_seed(0)
    model, rng = NETS[name](), np.random.default_rng(1)
    for variable in model.variables:
        if "float" in variable.dtype and len(variable.shape) == 1:
            variable.assign(np.abs(variable.numpy() + rng.normal(0.0, 0.1, variable.shape)))
    for one in find_prunable(model)[0]:
        one.variable.assign(one.variable.numpy() * (rng.random(one.variable.shape) < density))
    return model


def inputs(model: keras.Model, count: int) -> tuple[np.ndarray, ...]:
    """Return random model inputs (count, …), nine steps where the length is open."""
    rng, arrays = np.random.default_rng(2), []
    for one in model.inputs:
        shape = [count, *(size or 9 for size in one.shape[1:])]
        whole = "int" in one.dtype
        arrays.append(rng.integers(0, 20, shape).astype(one.dtype) if whole else rng.normal(size=shape))
    return tuple(array if array.dtype.kind == "i" else array.astype(np.float32) for array in arrays)


def answers(model: keras.Model, arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Return what the model gives."""
    given = model(list(arrays) if len(arrays) > 1 else arrays[0], training=False)
    return [np.asarray(one) for one in (given if isinstance(given, list | tuple) else [given])]
