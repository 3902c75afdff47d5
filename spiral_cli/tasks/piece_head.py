"""What heads of models that say pieces have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from spiral_cli.tasks.classification import Head


class Texts(Protocol):
    """What such a model says."""

    @property
    def texts(self) -> tuple[str, ...]:
        """One of each example."""


@dataclass(frozen=True, kw_only=True)
class PieceHead:
    """Reads logits (batch, places, vocabulary), which exclude each other at every place.

    Attributes:
        probabilities: the model ends in softmax.
    """

    probabilities: bool = False
    exclusive = True

    @property
    def facts(self) -> dict[str, bool]:
        """Plain data that make it again, beside the preprocessing."""
        return {"probabilities": self.probabilities}

    def logits(self, output: tf.Tensor) -> tf.Tensor:
        """Return float32 logits, as `classification.Head.logits`."""
        return Head(True, self.probabilities).logits(output)

    def agreement(self, ours: Texts, theirs: Texts) -> float:
        """Return the fraction of examples of which two models say the same."""
        return float(np.mean([one == other for one, other in zip(ours.texts, theirs.texts, strict=True)]))


def differing(ours: Texts, theirs: Texts, most: int) -> Sequence[int]:
    """Return the numbers of the first ``most`` examples of which two models say different things."""
    pairs = zip(ours.texts, theirs.texts, strict=True)
    return [row for row, (one, other) in enumerate(pairs) if one != other][:most]
