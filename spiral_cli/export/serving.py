"""What an exported file computes: one function of tensors. What exporters are handed, in whatever process.

A task whose files need several functions (a translation encodes once and decodes step by step)
is several of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.models.flat import flat

NAME = "input_{}"  # in the model's order, which names of layers do not keep


@dataclass(frozen=True)
class Serving:
    """A model's inference with what it is called on.

    Attributes:
        model: the model.
        example: model inputs (batch, …) in its order, a few examples.
    """

    model: keras.Model
    example: tuple[np.ndarray, ...]

    def specs(self, batch: int | None = None) -> list[tf.TensorSpec]:
        """Return what each input is, for any batch or for one of ``batch`` examples."""
        declared = getattr(self.model, "inputs", None)
        shapes = [(one.shape, one.dtype) for one in declared or self.example]
        return [
            tf.TensorSpec((batch, *shape[1:]), dtype, name=NAME.format(index))
            for index, (shape, dtype) in enumerate(shapes)
        ]

    def function(self, batch: int | None = None) -> Any:
        """Return the inference as a `tf.function` of these inputs."""
        return tf.function(flat(self.model), input_signature=self.specs(batch))

    def frozen(self, batch: int | None = None) -> Any:
        """Return the inference as a concrete function with its variables made constants, loops kept as loops.

        What converters lose otherwise (constants a layer holds, as of `Normalization`) is then
        part of the graph.
        """
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        eagerly = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)  # what Keras compiles by XLA (grouped convolutions) is traced into it
        try:
            concrete = self.function(batch).get_concrete_function()
        finally:
            tf.config.run_functions_eagerly(eagerly)
        return convert_variables_to_constants_v2(concrete, lower_control_flow=False)
