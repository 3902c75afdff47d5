"""SavedModels in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from spiral_cli.registry import runtimes
from spiral_cli.runtimes.session import Arrays, Input, Session, in_order
from spiral_cli.runtimes.tensorflow_threads import use_threads


@runtimes.register("saved_model", opens="folder")
def open_saved_model(path: Path, threads: int) -> Session:
    """TensorFlow, by the signature serving_default of a SavedModel."""
    used = use_threads(threads)
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    names, outputs = in_order(signature.structured_input_signature[1]), in_order(signature.structured_outputs)

    def run(inputs: Sequence[np.ndarray], owner: object = loaded) -> Arrays:  # a signature alone loses its variables
        given = signature(**{name: tf.constant(array) for name, array in zip(names, inputs, strict=True)})
        return tuple(given[name].numpy() for name in outputs)

    specs = signature.structured_input_signature[1]
    inputs = tuple(Input(tuple(specs[name].shape[1:]), specs[name].dtype.name) for name in names)
    return Session(f"tensorflow {tf.__version__}", used, run, lambda: stored(path), inputs)


def stored(path: Path) -> list[np.ndarray]:
    """Return the variables of a SavedModel."""
    checkpoint = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    tensors = (checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map())
    return [tensor for tensor in tensors if isinstance(tensor, np.ndarray) and tensor.dtype.kind == "f"]
