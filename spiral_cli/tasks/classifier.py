"""The part of a classification task that is the same whatever it looks at."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from spiral_cli.data import Split
from spiral_cli.data.preprocessing import Preprocessing, few, model_inputs
from spiral_cli.tasks.answers import disagreements, named, paired, recalls, said_of
from spiral_cli.tasks.classification import Head, Said, near_chance, read_head, truth
from spiral_cli.tasks.plain import PlainTask

HEAD_SAMPLE = 256


class Classifier(PlainTask):
    """Says of every example which class it is, or which labels it has.

    A task gives it data and says what of an example a person is shown (`shown`).
    """

    @abstractmethod
    def shown(self, split: Split, rows: np.ndarray) -> list[dict[str, Any]]:
        """Return ``kind`` and ``source`` of the examples ``rows`` (k,) of a part."""

    @property
    def output_shape(self) -> tuple[int]:
        """Shape of a model's output for one example: one for each class, or one alone."""
        return (1 if self.dataset.labels == "binary" else len(self.preprocessing.classes),)

    def head(self, model: keras.Model, declared: str = "auto") -> Head:
        """Return how to read ``model``'s output, as `classification.read_head`."""
        sample = self.dataset.validation.x[: few(self.preprocessing.input_shape, HEAD_SAMPLE)]
        (inputs,) = model_inputs(sample, self.preprocessing)
        return read_head(model, inputs, self.dataset.labels, len(self.preprocessing.classes), declared)

    def doubt(self, model: keras.Model, head: Head, metrics: Mapping[str, float]) -> str | None:
        """Return why a teacher that is hardly better than guessing has nothing to teach, or None."""
        classes = len(self.preprocessing.classes) if head.exclusive else 2
        if not near_chance(metrics["balanced_accuracy"], classes):
            return None
        return (
            f"balanced accuracy {metrics['balanced_accuracy']:.3f} on validation, {1 / classes:.3f} is chance; nothing "
            f"can be learnt from it. Where it is good elsewhere, the recipe feeds it wrongly ({self.hint(model, head)})"
        )

    def hint(self, model: keras.Model, head: Head) -> str:
        """Return what to look at where a teacher guesses."""
        return "suspects: the order of data.classes, other preprocessing than it was trained with, too few epochs"

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
        """Return up to ``most`` examples that the two decide differently, those both are surest of first."""
        names, rows = self.preprocessing.classes, disagreements(teacher, student, most)
        true = self._truth(split, student)[rows]
        answers = zip(said_of(teacher, rows, names), said_of(student, rows, names), strict=True)
        return [
            {"shown": shown, "truth": named(label, names), "teacher": theirs, "student": ours}
            for shown, label, (theirs, ours) in zip(self.shown(split, rows), true, answers, strict=True)
        ]

    @classmethod
    def head_from(cls, preprocessing: Preprocessing, facts: Mapping[str, Any]) -> Head:
        """Return the head whose `Head.facts` these are."""
        return Head(**facts)

    @classmethod
    def tell(cls, preprocessing: Preprocessing, said: Said) -> list[dict[str, Any]]:
        """Return the ``answer`` for every input, its ``confidence``, and the probability of each class."""
        names = preprocessing.classes
        chances = said.probabilities
        told = said_of(said, np.arange(len(chances)), names)
        labels = names[-1:] if chances.shape[1] == 1 else names
        return [
            {**one, "probabilities": dict(zip(labels, map(float, row), strict=True))}
            for one, row in zip(told, chances, strict=True)
        ]

    def _truth(self, split: Split, said: Said) -> np.ndarray:
        return truth(self.labels(split, said.head), said.head)
