"""A model as a plain function of tensors, whatever structures its author gave its inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

Flat = Callable[..., tuple[tf.Tensor, ...]]


def flat(model: keras.Model) -> Flat:
    """Return the inference of ``model`` from tensors in the order of ``model.inputs`` to a tuple of outputs."""
    structure = getattr(model, "input", None)  # lists and dicts are kept; a Sequential has none

    def call(*inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        packed = inputs[0] if structure is None else keras.tree.pack_sequence_as(structure, list(inputs))
        return tuple(keras.tree.flatten(model(packed, training=False)))

    return call
