"""How a model's output is read: what training, measuring and exporting ask of a task for one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from spiral_cli.data.pipeline import Inputs

DistillationLoss = Callable[[tf.Tensor, tf.Tensor, float, bool], tf.Tensor]
Said = Any  # a task's own: what a model says of a part of the data, decoded


class Forward(Protocol):
    """A model, in whatever runtime, as a function of stored rows."""

    def __call__(self, x: Inputs, cut: np.ndarray | None = None) -> np.ndarray:
        """Return the logits (n, …) of rows (n, …), whose parts may be cut to the lengths ``cut`` (parts,)."""


class Head(Protocol):
    """How a model's one output (batch, …, outputs) becomes losses, answers and metrics. Frozen.

    Attributes:
        exclusive: the numbers along the last axis are classes that exclude each other (softmax).
    """

    @property
    def exclusive(self) -> bool:
        """Whether the numbers along the last axis are classes that exclude each other."""

    @property
    def facts(self) -> dict[str, Any]:
        """Plain data from which `Task.head_from` makes it again."""

    def logits(self, output: tf.Tensor) -> tf.Tensor:
        """Return float32 logits (batch, …, outputs)."""

    def task_loss(self, logits: tf.Tensor, y: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
        """Return the loss (batch,) against the labels, of which a part is spread over all; padding does not count."""

    def distillation_loss(
        self, loss: DistillationLoss, logits: tf.Tensor, taught: tf.Tensor, temperature: float, y: tf.Tensor
    ) -> tf.Tensor:
        """Return the loss (batch,) against a teacher's logits, which may be longer: of rows that are not cut.

        Args:
            loss: of logits (rows, outputs), one value a row: the recipe's.
            logits, taught: of student and teacher.
            temperature: of the loss.
            y: labels, which tell padding.
        """

    def say(self, forward: Forward, x: Inputs) -> Said:
        """Return what a model says of stored rows ``x``."""

    def measures(self, y: Any) -> Sequence[str]:
        """Return the names of the metrics there are for such labels, the one that counts first."""

    def metrics(self, said: Said, y: Any, weight: np.ndarray, only: str | None = None) -> dict[str, float]:
        """Measure answers against what `Task.truth` gives, weighted by (n,): all metrics, or at least the one named."""

    def agreement(self, ours: Said, theirs: Said) -> float:
        """Return the fraction of examples that two models answer alike."""
