"""What most tasks have in common, so that a task of one's own is a short file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from spiral_cli import registry
from spiral_cli.data import Dataset, Split
from spiral_cli.data.pipeline import Inputs
from spiral_cli.errors import UsageError
from spiral_cli.models.load import build_from, load_model
from spiral_cli.recipe.schema import Recipe, Student, Teacher
from spiral_cli.tasks.head import Head, Said


class PlainTask(ABC):
    """A task whose answers come in one forward pass, without augmentation and without classes.

    A task says how its data are loaded, what its models are built from, and how a model's output is read
    (`tasks.head.Head`); everything else it may say better than this.

    Args:
        recipe: the recipe.
        dataset: its data, loaded.
    """

    preprocessing: Any

    def __init__(self, recipe: Recipe, dataset: Dataset) -> None:
        self.recipe, self.dataset, self.preprocessing = recipe, dataset, dataset.preprocessing

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a model's output for one stored row."""

    @abstractmethod
    def head(self, model: keras.Model, declared: str = "auto") -> Head:
        """Return how to read ``model``'s output; refuse one that does not fit the data."""

    @classmethod
    @abstractmethod
    def head_from(cls, preprocessing: Any, facts: Mapping[str, Any]) -> Head:
        """Return the head whose `Head.facts` these are."""

    @classmethod
    @abstractmethod
    def rows_from(cls, preprocessing: Any, inputs: Sequence[str]) -> np.ndarray:
        """Return raw inputs, such as paths of files, as stored rows (n, …); MissingError names a bad one."""

    @classmethod
    @abstractmethod
    def tell(cls, preprocessing: Any, said: Said) -> list[dict[str, Any]]:
        """Return what a model says of each input as plain data, ``answer`` first."""

    @property
    def model_arguments(self) -> tuple[Any, ...]:
        """What a built-in model and a person's builder are called with."""
        return self.preprocessing.input_shape, self.output_shape[-1]

    def build_model(self, spec: Teacher | Student) -> keras.Model:
        """Return the model ``spec`` names: loaded, or with fresh weights from Keras' global seed.

        Raises:
            MissingError: a file is missing or cannot be used.
            UsageError: the model cannot be built for these data.
        """
        if spec.path is not None:
            return load_model(spec.path)
        if spec.builder is not None:
            return build_from(spec.builder, self.model_arguments)
        return registry.models.get(spec.model or "same")(*self.model_arguments)

    def doubt(self, model: keras.Model, head: Any, metrics: Mapping[str, float]) -> str | None:
        """Return why a teacher with these metrics has nothing to teach: here nothing is known of that."""
        return None

    def unlearnable(self, model: keras.Model) -> list[str]:
        """Return nothing: a model can learn from every example."""
        return []

    def labels(self, split: Split, head: Any) -> np.ndarray:
        """Return labels as the head's task loss reads them: as they are stored."""
        return split.y

    def truth(self, split: Split, head: Any) -> Any:
        """Return what answers are measured against: the labels, or texts where a part has such."""
        return split.references if split.references is not None else self.labels(split, head)

    def speaker(self, model: keras.Model, head: Any, beams: int = 1) -> Callable[[Inputs], Said] | None:
        """Return nothing: one forward pass says it all."""
        return None

    def taught(self, texts: Sequence[str]) -> Any:
        """Refuse: this task says no sequences; a recipe that asks for them is not valid."""
        raise UsageError("distill.sequence: this task says no sequences; leave the key out")

    def paired(self, split: Split, teacher: Said, student: Said) -> dict[str, int] | None:
        """Return nothing: an answer is not just right or wrong."""
        return None

    def classes(self, split: Split, teacher: Said, student: Said) -> list[dict[str, Any]]:
        """Return nothing: there are no classes."""
        return []

    def samples(self, split: Split, teacher: Said, student: Said, most: int) -> list[dict[str, Any]]:
        """Return nothing: no example is shown."""
        return []

    @property
    def views(self) -> int:
        """How many augmented copies of each training example there are: one."""
        return 1

    def unaugmented(self) -> Any:
        """Return the task itself: nothing is augmented."""
        return self

    @property
    def train_inputs(self) -> Inputs:
        """Stored training rows (views · n, …), one view after the other, in memory or not."""
        return self.dataset.train.x

    @property
    def train_lengths(self) -> np.ndarray | None:
        """How much of each part of a training row is not padding, as `Split.lengths`, or such of every view."""
        return self.dataset.train.lengths
