"""The student as a TensorFlow SavedModel."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from spiral_cli.export.artifact import Chosen
from spiral_cli.export.serving import Serving
from spiral_cli.registry import exporters


@exporters.register("saved_model", file="exports/saved_model", beside="saved_model")
def saved_model(chosen: Chosen, path: Path) -> None:
    """A TensorFlow SavedModel for TensorFlow Serving and the like; any batch."""
    chosen.convert(write_saved_model, path)


def write_saved_model(serving: Serving, path: Path) -> None:
    """Write a folder with the signature ``serving_default``: ``input_0``, … to ``output_0``, ….

    `Model.export` would do, but stores every variable twice (measured with Keras 3.15).
    """
    module = tf.Module()
    module.held = [variable.value for variable in serving.model.variables]
    module.serve = serving.function()
    tf.saved_model.save(module, str(path), signatures=module.serve)
