"""What the floors above ask of a task. They know no other: a new kind of problem is one new file here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from spiral_cli.data import Dataset, Split
from spiral_cli.data.pipeline import Inputs
from spiral_cli.data.preprocessing import Preprocessing
from spiral_cli.recipe.schema import Recipe, Student, Teacher
from spiral_cli.tasks.head import Head, Said


class Task(Protocol):
    """A recipe's data, its models, and how their outputs are read and measured.

    Attributes:
        recipe: the recipe it was made from.
        dataset: train, validation and test part.
        preprocessing: how stored rows become model inputs.
        preprocessing_type: its class, which reads what was written beside a student.
    """

    recipe: Recipe
    dataset: Dataset
    preprocessing: Preprocessing
    preprocessing_type: type[Preprocessing]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a model's output for one stored row."""

    @property
    def views(self) -> int:
        """How many augmented copies of each training input there are; 1 without augmentation."""

    @property
    def train_inputs(self) -> Inputs:
        """Stored training inputs (views · n, …), one view after the other, in memory or not."""

    @property
    def train_lengths(self) -> np.ndarray | None:
        """How much of each part of a training row is not padding, as `Split.lengths`, or such of every view."""

    def unaugmented(self) -> Task:
        """Return the task without `data.augment`: every training image as it is."""

    def build_model(self, spec: Teacher | Student) -> keras.Model:
        """Return the model ``spec`` names, loaded or new."""

    def head(self, model: keras.Model, declared: str = "auto") -> Head:
        """Return how to read ``model``'s output; refuse one that does not fit the data."""

    def doubt(self, model: keras.Model, head: Head, metrics: Mapping[str, float]) -> str | None:
        """Return why a teacher with these validation metrics has nothing to teach, and what to look at, or None."""

    def unlearnable(self, model: keras.Model) -> list[str]:
        """Return sentences on training examples from which ``model``, by its shape, can learn nothing."""

    def labels(self, split: Split, head: Head) -> np.ndarray:
        """Return labels (n, …) as the head's task loss reads them; of train, they may be those of every view."""

    def truth(self, split: Split, head: Head) -> Any:
        """Return what answers are measured against, as `Head.metrics` takes it: labels, or texts (n,)."""

    def speaker(self, model: keras.Model, head: Head, beams: int = 1) -> Callable[[Inputs], Said] | None:
        """Return a quicker way than `Head.say` to what ``model`` says of stored rows, or None.

        It raises DivergedError where the model gives NaN or infinity, as no search can tell these from the unlikely.
        """

    def taught(self, texts: Sequence[str]) -> Task:
        """Return the task with ``texts`` (n,) in place of the train part's labels; of tasks that say sequences."""

    def paired(self, split: Split, teacher: Said, student: Said) -> dict[str, int] | None:
        """Count ``examples``, and those that ``only_teacher`` or ``only_student`` has right; None if that is vague."""

    def classes(self, split: Split, teacher: Said, student: Said) -> list[dict[str, Any]]:
        """Return ``name``, ``examples``, and ``teacher`` and ``student`` recall of each class; [] if there are none."""

    def samples(self, split: Split, teacher: Said, student: Said, most: int) -> list[dict[str, Any]]:
        """Return up to ``most`` examples on which the two disagree.

        Each has ``shown`` (``kind`` and ``source``, such as an image's ``data:`` address), its ``truth``, and of
        ``teacher`` and ``student`` an ``answer`` and its ``confidence`` (0 to 1, or None where there is none).
        """

    @classmethod
    def head_from(cls, preprocessing: Any, facts: Mapping[str, Any]) -> Head:
        """Return the head whose `facts` these are."""

    @classmethod
    def rows_from(cls, preprocessing: Any, inputs: Sequence[str]) -> np.ndarray:
        """Return raw inputs, such as paths of files, as stored rows (n, …); MissingError names a bad one."""

    @classmethod
    def tell(cls, preprocessing: Any, said: Said) -> list[dict[str, Any]]:
        """Return what a model says of each input as plain data, ``answer`` first."""
