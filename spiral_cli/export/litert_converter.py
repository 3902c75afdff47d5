"""A model to LiteRT's flatbuffer; runs in the process of `spiral_cli.export.worker`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.export.masks import soften
from spiral_cli.export.serving import NAME, Serving

LONGEST_UNROLLED = 256  # steps: each adds its own operations to the file
Weights = Literal["float32", "float16", "int8"]


def write_litert(
    serving: Serving,
    path: Path,
    *,
    weights: Weights = "float32",
    samples: str | None = None,
    full_integer: bool = False,
) -> None:
    """Write a ``.tflite`` file of any batch, or of one example where only that can be converted.

    Loops of recurrent layers convert for one example alone. With ``samples`` the converter
    crashes on them (TensorFlow 2.21), so there they are unrolled, which gives any batch again.

    Args:
        serving: the model.
        path: of the file.
        weights: float16 and int8 are stored so; int8 is what kernels compute in where they can.
        samples: ``.npz`` of model inputs (n, …), whose ranges are those of int8 activations.
        full_integer: with ``samples``, inputs and outputs are int8 too.

    Raises:
        ValueError: a recurrent layer cannot be unrolled.
    """
    recurrent = recurrent_layers(serving.model)
    if recurrent and samples:
        unroll(recurrent)
    batches = [1] if recurrent and not samples else [None, 1]
    for batch in batches:
        try:
            path.write_bytes(converted(serving.frozen(batch), weights, samples, full_integer))
            return
        except Exception:
            if batch == batches[-1]:
                raise


def converted(frozen: Any, weights: Weights, samples: str | None, full_integer: bool) -> bytes:
    """Return the flatbuffer of a frozen function.

    It goes by a SavedModel, from which alone the file gets a signature, and so the order of inputs;
    without the gradients that some activations bring, which cannot be saved of a frozen function.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures=frozen, options=options)
        if samples:
            soften(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        configure(converter, weights, samples, full_integer)
        return converter.convert()


def configure(converter: Any, weights: Weights, samples: str | None, full_integer: bool) -> None:
    """Set what a converter quantises."""
    if weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if samples:
        converter.representative_dataset = lambda: one_by_one(samples)
    if full_integer:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8


def one_by_one(samples: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield the stored examples as batches of one, by the name of the input."""
    arrays = list(np.load(samples).values())
    for row in range(len(arrays[0])):
        yield {NAME.format(index): array[row : row + 1] for index, array in enumerate(arrays)}


def recurrent_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers that loop over time, those inside others too."""
    return [layer for layer in model._flatten_layers(include_self=False) if isinstance(layer, keras.layers.RNN)]


def unroll(layers: list[keras.layers.Layer]) -> None:
    """Let recurrent layers compute step after step without a loop; Keras itself refuses unknown lengths.

    Raises:
        ValueError: one is too long.
    """
    for layer in layers:
        shape = layer.input.shape if getattr(layer, "_inbound_nodes", None) else (None, None)
        if (shape[1] or 0) > LONGEST_UNROLLED:
            raise ValueError(
                f"layer '{layer.name}' has {shape[1]} steps: LiteRT's int8 needs recurrent layers unrolled, which is "
                f"done up to {LONGEST_UNROLLED}; litert_dynamic has int8 weights without it"
            )
        layer.unroll = True
