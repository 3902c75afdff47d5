"""Images on their way to a model: read, augmented and gathered into batches while the model computes.

Order and bytes depend on the rows asked for alone, never on which image was read first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from spiral_cli.data.stream import Images, reader
from spiral_cli.errors import MissingError

AHEAD = 4  # batches made before they are asked for
Augment = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Views:
    """Augmented copies of images, made when they are needed: row ``view * n + sample`` of (views · n) rows.

    Attributes:
        images: (n, height, width, channels).
        count: how many views there are of each image.
        augment: from an image (height, width, channels), its sample number and a view to the copy.
    """

    images: Images
    count: int
    augment: Augment

    @property
    def dtype(self) -> np.dtype:
        """Of the copies, as of the images."""
        return self.images.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(views · n, height, width, channels)."""
        return (len(self), *self.images.shape[1:])

    @property
    def nbytes(self) -> int:
        """What all copies would take in memory, in bytes."""
        return self.count * self.images.nbytes

    def __len__(self) -> int:
        return self.count * len(self.images)


Inputs = Images | Views


@contextmanager
def telling_what_was_read() -> Iterator[None]:
    """Raise a `MissingError` of reading as itself, where TensorFlow wraps it on its way out of a graph.

    Raises:
        MissingError: an image cannot be read.
    """
    try:
        yield
    except tf.errors.OpError as error:
        _, name, told = error.message.partition(f"{MissingError.__name__}: ")
        if not name:
            raise
        raise MissingError(told.partition("\n")[0]) from error


def in_memory(inputs: Inputs) -> bool:
    """Say whether ``inputs`` is a plain array."""
    return isinstance(inputs, np.ndarray)


def pipeline(inputs: Inputs, rows: np.ndarray) -> tf.data.Dataset:
    """Return a dataset of the batches (batch, height, width, channels) that ``rows`` (batches, batch) names."""
    shape, size = inputs.shape[1:], rows.shape[1]
    images = inputs.images if isinstance(inputs, Views) else inputs
    read = reader(images)

    def example(row: tf.Tensor) -> tf.Tensor:
        sample = row % len(images)
        image = tf.numpy_function(lambda place: read(int(place)), [sample], images.dtype, stateful=False)
        image = tf.ensure_shape(image, shape)
        return inputs.augment(image, sample, row // len(images)) if isinstance(inputs, Views) else image

    workers = os.cpu_count() or 1
    flat = tf.data.Dataset.from_tensor_slices(rows.astype(np.int64).ravel())
    return flat.map(example, workers, deterministic=True).batch(size, drop_remainder=True).prefetch(AHEAD)


def feed(inputs: Inputs | None, rows: np.ndarray, beside: Mapping[str, np.ndarray]) -> Iterator[dict[str, tf.Tensor]]:
    """Return an iterator over the batches that ``rows`` (batches, batch) names, to be drawn inside a compiled step.

    Args:
        inputs: give ``x`` of each batch, or None where a step has them on the device.
        beside: arrays by name with as many rows, of which each batch holds its own.
    """
    taken = tf.data.Dataset.from_tensor_slices(rows)

    def looked_up(array: np.ndarray) -> tf.data.Dataset:
        def look_up(batch: tf.Tensor) -> tf.Tensor:
            found = tf.numpy_function(lambda index: np.asarray(array[index]), [batch], array.dtype, stateful=False)
            return tf.ensure_shape(found, (rows.shape[1], *array.shape[1:]))

        return taken.map(look_up)

    columns = {name: looked_up(array) for name, array in beside.items()}
    if inputs is not None:
        columns["x"] = pipeline(inputs, rows)
    return iter(tf.data.Dataset.zip(columns).prefetch(AHEAD))


def batches(inputs: Inputs, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield all rows in order as batches (size, …) and how many of each are rows: the last is filled up."""
    if isinstance(inputs, np.ndarray):
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            missing = size - len(batch)
            filled = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)]) if missing else batch
            yield filled, len(batch)
        return
    steps = -(-len(inputs) // size)
    rows = np.resize(np.arange(len(inputs)), (steps, size))
    with telling_what_was_read():
        for step, batch in enumerate(pipeline(inputs, rows).as_numpy_iterator()):
            yield batch, min(size, len(inputs) - step * size)


def first(inputs: Inputs, count: int) -> np.ndarray:
    """Return up to ``count`` rows from the start as an array."""
    if not isinstance(inputs, Views):
        return inputs[:count]
    rows = np.arange(min(count, len(inputs)))[:, None]
    return np.concatenate(list(pipeline(inputs, rows).as_numpy_iterator()))


def materialised(inputs: Inputs) -> np.ndarray:
    """Return all rows as one array."""
    if isinstance(inputs, np.ndarray):
        return inputs
    result = np.empty(inputs.shape, inputs.dtype)
    done = 0
    for batch, count in batches(inputs, 256):
        result[done : done + count] = batch[:count]
        done += count
    return result
