"""What a step minimises: task loss, distillation loss and feature losses, per example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from spiral_cli.distillation.features import Hint, hint_loss
from spiral_cli.distillation.topk import INDICES, REST, VALUES, spread
from spiral_cli.tasks.head import DistillationLoss, Head

TAUGHT = ("logits", INDICES, VALUES, REST)


@dataclass(frozen=True)
class Objective:
    """loss = (1 - alpha) · task + alpha · distillation + sum of weighted feature losses.

    Without a ``distillation`` loss it is the task loss alone, as the teacher trains.
    """

    head: Head
    distillation: DistillationLoss | None = None
    alpha: float = 0.0
    temperature: float = 1.0
    hints: tuple[Hint, ...] = ()
    smoothing: float = 0.0

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the losses that `per_example` gives, the total first."""
        names = ["loss", "task_loss"]
        if self.distillation is not None:
            names.append("distillation_loss")
        if self.hints:
            names.append("feature_loss")
        return tuple(names)

    def per_example(
        self,
        outputs: Sequence[tf.Tensor],
        y: tf.Tensor,
        targets: Mapping[str, tf.Tensor],
        projections: Sequence[keras.Variable],
    ) -> list[tf.Tensor]:
        """Return one (batch,) tensor for each of `terms`.

        Args:
            outputs: the student's output, then its features in the order of ``hints``.
            y: labels as `Head.task_loss` reads them.
            targets: ``logits`` (batch, outputs) or what `topk.largest` left of them, ``feature/i``,
                scalar ``energy/i`` and, where lengths are open, ``places/i`` for hint i.
            projections: one matrix for every hint that is ``projected``, in order.
        """
        logits = self.head.logits(outputs[0])
        task = self.head.task_loss(logits, y, self.smoothing)
        if self.distillation is None:
            return [task, task]
        if len(logits.shape) == 3:  # rows may be cut, what is cached of them is not
            places = tf.shape(logits)[1]
            targets = {name: value[:, :places] if name in TAUGHT else value for name, value in targets.items()}
        taught = targets["logits"] if "logits" in targets else spread(targets, logits.shape[-1], self.temperature)
        distilled = self.head.distillation_loss(self.distillation, logits, taught, self.temperature, y)
        total = (1.0 - self.alpha) * task + self.alpha * distilled
        terms = [task, distilled]
        if self.hints:
            waiting = iter(projections)
            feature = tf.zeros_like(task)
            for i, (hint, output) in enumerate(zip(self.hints, outputs[1:], strict=True)):
                projection = next(waiting) if hint.projected else None
                taught, energy = targets[f"feature/{i}"], targets[f"energy/{i}"]
                loss = hint_loss(output, taught, projection, energy, targets.get(f"places/{i}"))
                feature += hint.weight * loss
            total += feature
            terms.append(feature)
        return [total, *terms]
