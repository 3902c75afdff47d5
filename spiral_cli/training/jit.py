"""Whether XLA compiles the step: a rule, not a race, so that every run of a recipe decides alike."""

from __future__ import annotations

from typing import Literal

import keras

# Layers for which XLA on the CPU was not slower than TensorFlow's own kernels, and whose gradients
# it computes deterministically (it refuses those of pooling). Convolutions run faster without it.
GAINS = (
    keras.layers.InputLayer,
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Permute,
    keras.layers.Dropout,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.Softmax,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Rescaling,
    keras.layers.Add,
    keras.layers.Concatenate,
)


def choose_jit(setting: Literal["auto"] | bool, model: keras.Model) -> bool:
    """Return whether to compile ``model``'s training step by XLA.

    ``auto`` says yes where every layer is one of `GAINS`. A timed trial would choose differently
    from run to run on a busy machine, and the two ways do not give the same bits.
    """
    if setting != "auto":
        return setting
    leaves = [layer for layer in model._flatten_layers(include_self=False) if not isinstance(layer, keras.Model)]
    return bool(leaves) and all(type(layer) in GAINS for layer in leaves)
