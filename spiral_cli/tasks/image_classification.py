"""Image classification: one class an image, or several labels, from arrays of pixels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import keras
import numpy as np

from spiral_cli import registry
from spiral_cli.data import Split, load_dataset
from spiral_cli.data.load import streamed
from spiral_cli.data.picture import data_uri
from spiral_cli.data.pipeline import Inputs, Views, materialised
from spiral_cli.data.preprocessing import few, stored_range
from spiral_cli.models.application import application
from spiral_cli.models.load import build_from, load_model
from spiral_cli.recipe.schema import Recipe, Student, Teacher
from spiral_cli.tasks.answers import Said, disagreements, named, paired, recalls, said, truth
from spiral_cli.tasks.classification import Head, read_head

HEAD_SAMPLE = 256


@registry.tasks.register("image_classification", metrics=("accuracy", "balanced_accuracy", "f1", "loss", "exact_match"))
class ImageClassification:
    """Say which class, or which labels, an image shows."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.dataset = load_dataset(recipe.data, recipe.seed)
        self.preprocessing = self.dataset.preprocessing

    def build_model(self, spec: Teacher | Student) -> keras.Model:
        """Return the model ``spec`` names: loaded, or with fresh weights from Keras' global seed.

        Raises:
            MissingError: a file is missing or cannot be used.
            UsageError: the model cannot be built for these data.
        """
        shape, outputs = self.preprocessing.input_shape, self.outputs
        if spec.path is not None:
            return load_model(spec.path)
        if spec.builder is not None:
            return build_from(spec.builder, shape, outputs)
        if spec.application is not None:
            return application(spec.application, shape, outputs, getattr(spec, "weights", None))
        return registry.models.get(spec.model or "same")(shape, outputs)

    @property
    def outputs(self) -> int:
        """How many outputs a model for these data needs."""
        return 1 if self.dataset.labels == "binary" else len(self.preprocessing.classes)

    def head(self, model: keras.Model, declared: str = "auto") -> Head:
        """Return how to read ``model``'s output, as `classification.read_head`."""
        sample = self.dataset.validation.x[: few(self.preprocessing.input_shape, HEAD_SAMPLE)].astype(np.float32)
        inputs = sample * self.preprocessing.factor + self.preprocessing.offset
        return read_head(model, inputs, self.dataset.labels, len(self.preprocessing.classes), declared)

    def labels(self, split: Split, head: Head) -> np.ndarray:
        """Return labels as `Head.task_loss` reads them: (n,) int32, or (n, outputs) float32."""
        y = split.y
        if head.exclusive:
            return y.astype(np.int32) if y.ndim == 1 else y.astype(np.float32)
        return y.reshape(len(y), -1).astype(np.float32)

    def paired(self, split: Split, teacher: Said, student: Said) -> dict[str, int] | None:
        """Count the examples that one of the two alone has right, as `answers.paired`."""
        return paired(self._truth(split, student), teacher, student, split.weight)

    def classes(self, split: Split, teacher: Said, student: Said) -> list[dict[str, Any]]:
        """Return the recalls of every class, as `answers.recalls`."""
        return recalls(self._truth(split, student), teacher, student, self.preprocessing.classes)

    def samples(self, split: Split, teacher: Said, student: Said, most: int) -> list[dict[str, Any]]:
        """Return up to ``most`` images that the two decide differently, those both are surest of first."""
        names, (low, high) = self.preprocessing.classes, stored_range(split.x.dtype, self.preprocessing.scale)
        rows = disagreements(teacher, student, most)
        true = self._truth(split, student)[rows]
        answers = zip(said(teacher, rows, names), said(student, rows, names), strict=True)
        return [
            {
                "shown": {"kind": "image", "source": data_uri(image, low, high)},
                "truth": named(label, names),
                "teacher": theirs,
                "student": ours,
            }
            for image, label, (theirs, ours) in zip(split.x[rows], true, answers, strict=True)
        ]

    def _truth(self, split: Split, said: Said) -> np.ndarray:
        return truth(self.labels(split, said.head), said.head)

    @property
    def views(self) -> int:
        """How many augmented copies of each training image there are; 1 without augmentation."""
        return self.recipe.data.views if self.recipe.data.augment else 1

    @cached_property
    def train_inputs(self) -> Inputs:
        """Stored training inputs (views · n, height, width, channels), one view after the other, in memory or not."""
        x, settings = self.dataset.train.x, self.recipe.data
        if not settings.augment:
            return x
        from spiral_cli.data.augmentation import augmenter

        views = Views(x, self.views, augmenter(settings.augment, x, self.recipe.seed, settings.scale))
        # Of views that nothing is cached for most are never seen: they are not made ahead.
        if self.recipe.distill.targets == "online" or streamed(settings, views.nbytes):
            return views
        return materialised(views)
