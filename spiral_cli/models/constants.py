"""Constants that Keras' preprocessing layers make of their variables."""

from __future__ import annotations

import keras


def follow_variables(layer: keras.layers.Layer) -> None:
    """Let a layer's constants follow variables that were set, as Keras does where it loads them from a file.

    `Normalization` computes with constants made of its mean and variance.
    """
    if type(layer).__module__.startswith("keras.src.") and hasattr(layer, "finalize_state"):
        layer.finalize_state()
