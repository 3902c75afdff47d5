"""Halves of a batch side by side on a CPU: one operation seldom keeps two cores busy, two chains of them do."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

COUPLING = (  # what makes one example's output depend on the others, or counts its calls
    keras.layers.BatchNormalization,
    keras.layers.SpectralNormalization,
    keras.layers.ActivityRegularization,
    keras.layers.Lambda,
)


def separable(model: keras.Model) -> bool:
    """Say whether ``model`` surely treats every example of a batch by itself: Keras' own layers but a few.

    A functional model may also hold bare operations, such as a mean over the batch, which are no layers.
    """
    layers = model._flatten_layers()
    parts = [part for layer in layers for part in (layer, *getattr(layer, "operations", ()))]
    return all(
        isinstance(layer, keras.layers.Layer)
        and type(layer).__module__.startswith("keras.")
        and not isinstance(layer, COUPLING)
        and getattr(layer, "activity_regularizer", None) is None
        for layer in parts
    )


def halves(tree: Any) -> list[Any]:
    """Split every tensor (batch, …) of a ``tree``, of even batch, in two; a scalar belongs to both."""
    both = [tf.split(one, 2) if one.shape.rank else [one, one] for one in tf.nest.flatten(tree)]
    return [tf.nest.pack_sequence_as(tree, side) for side in zip(*both, strict=True)]
