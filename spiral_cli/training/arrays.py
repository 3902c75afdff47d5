"""Training examples as a step finds them: on the device, or fed to it while it computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from spiral_cli.data.pipeline import Inputs, feed, pipeline
from spiral_cli.data.preprocessing import Preprocessing

Feed = Iterator[dict[str, tf.Tensor]]


@dataclass(frozen=True)
class TrainingData:
    """What a step gathers from.

    Attributes:
        x: stored inputs (views · n, …): a tensor on the device, or rows that are read and augmented
            as they come; row ``view * n + example`` is a view of an example.
        y, weight: labels (n, …) and weights (n,), on the device.
        preprocessing: turns stored values into model inputs.
    """

    x: tf.Tensor | Inputs
    y: tf.Tensor
    weight: tf.Tensor
    preprocessing: Preprocessing

    @property
    def on_device(self) -> bool:
        """Say whether a step gathers its inputs by itself."""
        return tf.is_tensor(self.x)

    def example(self, rows: tf.Tensor) -> tf.Tensor:
        """Return which examples ``rows`` are views of."""
        return rows % len(self.y) if len(self.x) > len(self.y) else rows

    def scale(self, x: tf.Tensor) -> tf.Tensor:
        """Turn stored values into model inputs."""
        return scaled(x, self.preprocessing)

    def batches(self, rows: np.ndarray) -> Iterator[tf.Tensor]:
        """Yield the stored inputs (batch, …) of each of ``rows`` (batches, batch)."""
        return (tf.gather(self.x, batch) for batch in rows) if self.on_device else iter(pipeline(self.x, rows))

    def feed(self, rows: np.ndarray, beside: Mapping[str, np.ndarray]) -> Feed | None:
        """Return what `rows` (steps, batch) must be fed of inputs and of arrays ``beside`` them, if anything."""
        if self.on_device and not beside:
            return None
        return feed(None if self.on_device else self.x, rows, beside)


def scaled(x: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Turn stored values into model inputs."""
    return tf.cast(x, tf.float32) * preprocessing.factor + preprocessing.offset
