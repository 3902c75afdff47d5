"""Which places of a layer's output are of a row and which of its padding, where a length is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data.preprocessing import Preprocessing
from spiral_cli.errors import UsageError


@dataclass(frozen=True)
class Places:
    """A layer has one place for every ``stride`` of the lengths of one ``part`` of a row, the last one maybe short."""

    part: int
    stride: int

    def real(self, lengths: np.ndarray) -> np.ndarray:
        """Return how many places (n,) int32 are of rows whose parts have ``lengths`` (n, parts)."""
        return -(-lengths[:, self.part] // self.stride).astype(np.int32)


@dataclass(frozen=True)
class Sample:
    """What tells the lengths that a model leaves open.

    Attributes:
        x: one stored row (1, …).
        preprocessing: turns it into the model's inputs.
        padded: whether rows are filled up, so that their parts may be cut.
    """

    x: np.ndarray
    preprocessing: Preprocessing
    padded: bool

    def output(self, model: keras.Model, cut: Sequence[int] | None = None) -> tuple[int, ...]:
        """Return the shape, without the batch, of the last output of ``model`` for the row, or for it cut."""
        inputs = self.preprocessing.inputs(tf.constant(self.x), None if cut is None else tf.constant(cut))
        return tuple(model(inputs, training=False)[-1].shape[1:])

    def lengths(self) -> list[int]:
        """Return the full length of every part of a row: each is an input of the model."""
        inputs = self.preprocessing.inputs(tf.constant(self.x))
        return [int(one.shape[1]) for one in (inputs if isinstance(inputs, list) else [inputs])]


def measured(model: keras.Model, sample: Sample, what: str) -> tuple[tuple[int, ...], Places | None]:
    """Return the shape of the last output of ``model`` for full rows, and whose length its first axis follows.

    Args:
        model: gives several outputs, the last of which counts.
        sample: a row to try.
        what: the output, for messages.

    Raises:
        UsageError: another axis is open, or the first follows more than one part of a row.
    """
    static = tuple(model.outputs[-1].shape[1:])
    shape = sample.output(model)
    if not sample.padded:
        return shape, None
    if None in static[1:]:
        raise UsageError(
            f"features: {what} gives {static}, open in more than its first axis, so that padding cannot be told; "
            "choose a layer that gives (places, channels)"
        )
    full, follows = sample.lengths(), []
    for part, length in enumerate(full):
        shorter = [*full[:part], -(-length // 2), *full[part + 1 :]]
        if sample.output(model, shorter) != shape:
            follows.append(part)
    if len(follows) > 1:
        raise UsageError(
            f"features: {what} is as long as several inputs together, so that padding cannot be told; choose a layer "
            "that follows one of them"
        )
    return shape, Places(follows[0], -(-full[follows[0]] // shape[0])) if follows else None
