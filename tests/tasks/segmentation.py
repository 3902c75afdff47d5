"""A task of one's own: which class every pixel of an image is. Named under `plugins` in a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data import Dataset, Split
from spiral_cli.data.builder import call_data_builder
from spiral_cli.data.pixels import Pixels
from spiral_cli.recipe.schema import Recipe
from spiral_cli.registry import tasks
from spiral_cli.tasks.plain import PlainTask
from spiral_cli.tasks.sequences import at_every_place

CLASSES = ("ground", "square", "disc")


@dataclass(frozen=True)
class Masks:
    """What a model says: the class of every pixel (n, height, width)."""

    classes: np.ndarray


@dataclass(frozen=True)
class PixelHead:
    """Reads logits (batch, height, width, classes)."""

    exclusive: bool = True

    @property
    def facts(self) -> dict[str, Any]:
        return asdict(self)

    def logits(self, output: tf.Tensor) -> tf.Tensor:
        return tf.cast(output, tf.float32)

    def task_loss(self, logits: tf.Tensor, y: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits), axis=(1, 2))

    def distillation_loss(self, loss, logits, taught, temperature, y) -> tf.Tensor:
        places = (tf.shape(logits)[0], -1, logits.shape[-1])
        each = at_every_place(loss, tf.reshape(logits, places), tf.reshape(taught, places), temperature, True)
        return tf.reduce_mean(each, axis=1)

    def say(self, forward, x) -> Masks:
        return Masks(forward(x).argmax(axis=-1))

    def measures(self, y: np.ndarray) -> tuple[str, ...]:
        return ("mean_iou",)

    def metrics(self, said: Masks, y: np.ndarray, weight: np.ndarray, only: str | None = None) -> dict[str, float]:
        both = [weight @ ((said.classes == k) & (y == k)).sum(axis=(1, 2)) for k in range(len(CLASSES))]
        either = [weight @ ((said.classes == k) | (y == k)).sum(axis=(1, 2)) for k in range(len(CLASSES))]
        return {"mean_iou": float(np.mean([b / max(e, 1e-9) for b, e in zip(both, either, strict=True)]))}

    def agreement(self, ours: Masks, theirs: Masks) -> float:
        return float(np.mean(ours.classes == theirs.classes))


@tasks.register("segmentation", metrics=("mean_iou",))
class Segmentation(PlainTask):
    """Say which class every pixel is."""

    preprocessing_type = Pixels

    def __init__(self, recipe: Recipe) -> None:
        parts = call_data_builder(recipe.data.builder or "").parts()
        splits = {
            part: Split(np.asarray(one.x), one.y.astype(np.int32), np.ones(len(one.y), np.float32))
            for part, one in parts.items()
        }
        told = Pixels(splits["train"].x.shape[1:], CLASSES, "0-1", 1 / 255, 0.0)
        super().__init__(recipe, Dataset(**splits, labels="pixels", preprocessing=told))

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (*self.preprocessing.input_shape[:2], len(CLASSES))

    def head(self, model: keras.Model, declared: str = "auto") -> PixelHead:
        return PixelHead()

    @classmethod
    def head_from(cls, preprocessing: Pixels, facts: Mapping[str, Any]) -> PixelHead:
        return PixelHead(**facts)

    @classmethod
    def rows_from(cls, preprocessing: Pixels, inputs: Sequence[str]) -> np.ndarray:
        return np.stack([np.load(name) for name in inputs])

    @classmethod
    def tell(cls, preprocessing: Pixels, said: Masks) -> list[dict[str, Any]]:
        return [{"answer": CLASSES[np.bincount(one[one > 0], minlength=3).argmax()]} for one in said.classes]


def shapes() -> dict[str, Any]:
    """Return noisy images of a square and a disc, with the class of every pixel."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 160), ("validation", 40), ("test", 40)):
        y = np.zeros((count, 16, 16), np.int64)
        rows, columns = np.indices((16, 16))
        for one in y:
            (top, left), (r, c) = rng.integers(0, 11, 2), rng.integers(4, 12, 2)
            one[top : top + 5, left : left + 5] = 1
            one[(rows - r) ** 2 + (columns - c) ** 2 <= 9] = 2
        light = np.array([40, 140, 230])[y] + rng.normal(0, 15, y.shape)
        parts[part] = (np.clip(light, 0, 255).astype(np.uint8)[..., None], y)
    return parts


def network(input_shape: tuple[int, ...], outputs: int) -> keras.Model:
    """Return a small network of convolutions."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(12, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.Conv2D(12, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, keras.layers.Conv2D(outputs, 1)(x))
