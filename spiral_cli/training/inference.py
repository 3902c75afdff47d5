"""Layers that a model's author called with ``training=False`` stay in inference mode while it trains.

A functional Keras 3 model called with ``training=True`` passes that on to every layer, over what
the author wrote; a batch normalisation kept still on purpose would start to move.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import tensorflow as tf

from spiral_cli.hooks import hooked


def in_inference(layer: keras.layers.Layer) -> bool:
    """Say whether the graph calls ``layer`` with ``training=False``, everywhere it calls it."""
    nodes = getattr(layer, "_inbound_nodes", [])
    return bool(nodes) and all(node.arguments.kwargs.get("training") is False for node in nodes)


def as_written(model: keras.Model) -> AbstractContextManager[None]:
    """Return a context in which such layers are traced in inference mode."""
    layers = [layer for layer in model._flatten_layers(include_self=False) if in_inference(layer)]
    return hooked({layer: _still(layer) for layer in layers})


def _still(layer: keras.layers.Layer) -> Callable[..., tf.Tensor]:
    original = layer.call

    def call(*args, training: bool | None = None, **kwargs) -> tf.Tensor:
        return original(*args, training=False, **kwargs)

    return call
