"""Training examples on the device, as they are stored."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from spiral_cli.data.preprocessing import Preprocessing


@dataclass(frozen=True)
class TrainingData:
    """What a step gathers from, on the device. The first axis of every tensor counts the same rows."""

    x: tf.Tensor
    y: tf.Tensor
    weight: tf.Tensor
    preprocessing: Preprocessing

    def scale(self, x: tf.Tensor) -> tf.Tensor:
        """Turn stored values into model inputs."""
        return scaled(x, self.preprocessing)


def scaled(x: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Turn stored values into model inputs."""
    return tf.cast(x, tf.float32) * preprocessing.factor + preprocessing.offset
