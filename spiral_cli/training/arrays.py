"""Training examples as a step finds them: on the device, or fed to it while it computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from spiral_cli.data.pipeline import Inputs, feed, pipeline
from spiral_cli.data.preprocessing import ModelInputs, Preprocessing
from spiral_cli.data.tokens import cut_lengths

Feed = Iterator[dict[str, tf.Tensor]]


@dataclass(frozen=True)
class TrainingData:
    """What a step gathers from.

    Attributes:
        x: stored inputs (views · n, …): a tensor on the device, or rows that are read and augmented
            as they come; row ``view * n + example`` is a view of an example.
        y, weight: labels (n, …) and weights (n,), on the device; or of every row (views · n, …), where a view
            has labels of its own.
        preprocessing: turns stored rows into model inputs.
        lengths: (n, parts) or (views · n, parts), how much of each part of a row is not padding; None where all
            rows are full.
    """

    x: tf.Tensor | Inputs
    y: tf.Tensor
    weight: tf.Tensor
    preprocessing: Preprocessing
    lengths: np.ndarray | None = None

    @property
    def on_device(self) -> bool:
        """Say whether a step gathers its inputs by itself."""
        return tf.is_tensor(self.x)

    def example(self, rows: tf.Tensor) -> tf.Tensor:
        """Return which examples ``rows`` are views of."""
        return rows % len(self.y) if len(self.x) > len(self.y) else rows

    def inputs(self, stored: tf.Tensor, cut: tf.Tensor | None = None) -> ModelInputs:
        """Turn stored rows into model inputs, their parts cut to the lengths ``cut`` (parts,)."""
        return self.preprocessing.inputs(stored, cut)

    def cuts(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the lengths (steps, parts) int32 that hold all examples of each of ``rows`` (steps, …)."""
        if self.lengths is None:
            return None
        examples = rows.reshape(len(rows), -1) % len(self.lengths)
        return cut_lengths(self.lengths[examples].max(axis=1), self.lengths.max(axis=0))

    def batches(self, rows: np.ndarray) -> Iterator[tf.Tensor]:
        """Yield the stored inputs (batch, …) of each of ``rows`` (batches, batch)."""
        return (tf.gather(self.x, batch) for batch in rows) if self.on_device else iter(pipeline(self.x, rows))

    def feed(self, rows: np.ndarray, beside: Mapping[str, np.ndarray]) -> Feed | None:
        """Return what `rows` (steps, batch) must be fed of inputs and of arrays ``beside`` them, if anything."""
        if self.on_device and not beside:
            return None
        return feed(None if self.on_device else self.x, rows, beside)
