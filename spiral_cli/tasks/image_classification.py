"""Image classification: one class an image, or several labels, from arrays of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spiral_cli import registry
from spiral_cli.data import Split, load_dataset
from spiral_cli.data.image_files import decode, read_image
from spiral_cli.data.load import streamed
from spiral_cli.data.picture import data_uri
from spiral_cli.data.pipeline import Inputs, Views, materialised
from spiral_cli.data.pixels import Pixels, as_stored, stored_range
from spiral_cli.data.preprocessing import few
from spiral_cli.data.stream import in_memory_bytes
from spiral_cli.models.application import application
from spiral_cli.recipe.schema import Recipe, Student, Teacher
from spiral_cli.tasks.augmented import Augmented
from spiral_cli.tasks.classification import Head
from spiral_cli.tasks.classifier import Classifier
from spiral_cli.tasks.suspects import suspects

SUSPECT_SAMPLE = 1000


@registry.tasks.register(
    "image_classification",
    data="images",
    loss="crossentropy",
    augments=True,
    metrics=("accuracy", "balanced_accuracy", "f1", "loss", "exact_match"),
)
class ImageClassification(Augmented, Classifier):
    """Say which class, or which labels, an image shows."""

    preprocessing: Pixels
    preprocessing_type = Pixels

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, load_dataset(recipe.data, recipe.seed))

    def build_model(self, spec: Teacher | Student) -> keras.Model:
        """Return the model ``spec`` names, as `Classifier.build_model`; a network of `keras.applications` too."""
        if spec.application is not None:
            shape, outputs = self.model_arguments
            return application(spec.application, shape, outputs, getattr(spec, "weights", None))
        return super().build_model(spec)

    def hint(self, model: keras.Model, head: Head) -> str:
        """Return what to look at where a teacher guesses: readings of the images under which it does not."""
        labels = self.labels(self.dataset.validation, head)
        reasons: list[str] = []
        if head.exclusive or labels.shape[-1] == 1:
            y = labels if labels.ndim == 1 else (labels.argmax(-1) if head.exclusive else labels[:, 0])

            def predict(inputs: np.ndarray) -> np.ndarray:
                logits = head.logits(model(inputs, training=False)).numpy()
                return logits.argmax(-1) if head.exclusive else (logits[:, 0] > 0).astype(np.int64)

            sample = slice(0, few(self.preprocessing.input_shape, SUSPECT_SAMPLE))
            x = self.dataset.validation.x[sample]
            reasons = suspects(predict, x, y[sample].astype(np.int64), self.preprocessing)
        return "; ".join(reasons) or (
            "suspects: data.scale (the range of values it was trained on), the order of data.classes, "
            "the number or order of channels, too few teacher.epochs"
        )

    @classmethod
    def rows_from(cls, preprocessing: Pixels, inputs: Sequence[str]) -> np.ndarray:
        """Return image files as rows (n, height, width, channels), as the recipe's images are stored."""
        height, width, channels = preprocessing.input_shape
        images = [read_image(Path(name), lambda image: decode(image, channels, (height, width))) for name in inputs]
        return as_stored(np.stack(images), preprocessing)

    def shown(self, split: Split, rows: np.ndarray) -> list[dict[str, Any]]:
        """Return the images as ``data:`` addresses."""
        low, high = stored_range(split.x.dtype, self.preprocessing.scale)
        return [{"kind": "image", "source": data_uri(image, low, high)} for image in split.x[rows]]

    @cached_property
    def seen(self) -> tuple[Inputs, np.ndarray]:
        """Training images with their labels, which are those of every view."""
        train, settings = self.dataset.train, self.recipe.data
        if not settings.augment:
            return train.x, train.y
        from spiral_cli.data.augmentation import augmenter

        views = Views(train.x, self.views, augmenter(settings.augment, train.x, self.recipe.seed, settings.scale))
        # Of views that nothing is cached for most are never seen: they are not made ahead.
        if self.recipe.distill.targets == "online" or streamed(settings, in_memory_bytes(train.x) + views.nbytes):
            return views, train.y
        return materialised(views), train.y
