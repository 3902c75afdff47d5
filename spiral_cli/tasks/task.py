"""What the floors above ask of a task. They know no other: a new kind of problem is one new file here."""

from __future__ import annotations

from typing import Any, Protocol

import keras
import numpy as np

from spiral_cli.data import Dataset, Split
from spiral_cli.data.pipeline import Inputs
from spiral_cli.data.preprocessing import Preprocessing
from spiral_cli.recipe.schema import Recipe, Student, Teacher
from spiral_cli.tasks.answers import Said
from spiral_cli.tasks.classification import Head


class Task(Protocol):
    """A recipe's data, its models, and how their outputs are read and measured.

    Attributes:
        recipe: the recipe it was made from.
        dataset: train, validation and test part.
        preprocessing: how stored inputs become model inputs.
    """

    recipe: Recipe
    dataset: Dataset
    preprocessing: Preprocessing

    @property
    def outputs(self) -> int:
        """How many outputs a model for these data needs."""

    @property
    def views(self) -> int:
        """How many augmented copies of each training input there are; 1 without augmentation."""

    @property
    def train_inputs(self) -> Inputs:
        """Stored training inputs (views · n, …), one view after the other, in memory or not."""

    def build_model(self, spec: Teacher | Student) -> keras.Model:
        """Return the model ``spec`` names, loaded or new."""

    def head(self, model: keras.Model, declared: str = "auto") -> Head:
        """Return how to read ``model``'s output; refuse one that does not fit the data."""

    def labels(self, split: Split, head: Head) -> np.ndarray:
        """Return labels as the head's task loss reads them."""

    def paired(self, split: Split, teacher: Said, student: Said) -> dict[str, int] | None:
        """Count ``examples``, and those that ``only_teacher`` or ``only_student`` has right; None if that is vague."""

    def classes(self, split: Split, teacher: Said, student: Said) -> list[dict[str, Any]]:
        """Return ``name``, ``examples``, and ``teacher`` and ``student`` recall of each class; [] if there are none."""

    def samples(self, split: Split, teacher: Said, student: Said, most: int) -> list[dict[str, Any]]:
        """Return up to ``most`` examples on which the two disagree.

        Each has ``shown`` (``kind`` and ``source``, such as an image's ``data:`` address), its ``truth``, and of
        ``teacher`` and ``student`` an ``answer`` and its ``confidence`` (0 to 1, or None where there is none).
        """
