"""The teacher's targets for every training row, computed once by compiled inference."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data import Preprocessing
from spiral_cli.data.pipeline import Inputs, first
from spiral_cli.distillation.features import Hint, with_features
from spiral_cli.models.precision import computing_in
from spiral_cli.tasks.head import Head
from spiral_cli.tasks.task import Task
from spiral_cli.training.predict import Predictor
from spiral_cli.training.program import Online

ENERGY_SAMPLE = 1024


def feature_bytes(hints: Sequence[Hint], rows: int) -> int:
    """Return the memory the teacher's features for ``rows`` training rows would take."""
    return sum(4 * rows * int(np.prod(hint.teacher_shape)) for hint in hints)


def cached_features(
    teacher: keras.Model, hints: Sequence[Hint], x: Inputs, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """Return ``feature/i`` of shape (rows, …) for each hint."""
    model = with_features(teacher, [hint.teacher for hint in hints])
    features = Predictor(lambda inputs: model(inputs, training=False)[1:], preprocessing)(x)
    return {f"feature/{i}": feature for i, feature in enumerate(features)}


def feature_targets(teacher: keras.Model, hints: Sequence[Hint], task: Task, online: bool) -> dict[str, np.ndarray]:
    """Return the energies of the teacher's features, and the features of all training rows unless asked ``online``."""
    if not hints:
        return {}
    scale = energies(teacher, hints, task.train_inputs, task.preprocessing)
    return scale if online else {**cached_features(teacher, hints, task.train_inputs, task.preprocessing), **scale}


def online_features(teacher: keras.Model, hints: Sequence[Hint], precision: str = "float32") -> Online:
    """Return what computes ``feature/i`` from scaled inputs inside a step, in its ``precision``."""
    model = with_features(teacher, [hint.teacher for hint in hints])

    def features(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        with computing_in(model, precision):
            outputs = model(inputs, training=False)[1:]
        return {f"feature/{i}": tf.stop_gradient(output) for i, output in enumerate(outputs)}

    return features


def online_logits(teacher: keras.Model, head: Head, precision: str = "float32") -> Online:
    """Return what computes float32 ``logits`` from scaled inputs inside a step, in its ``precision``."""

    def logits(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        with computing_in(teacher, precision):
            output = head.logits(teacher(inputs, training=False))
        return {"logits": tf.stop_gradient(tf.cast(output, tf.float32))}

    return logits


def together(parts: Sequence[Online]) -> Online | None:
    """Return what gives the targets of all ``parts``, or None where there are none."""
    return (lambda inputs: {name: value for part in parts for name, value in part(inputs).items()}) if parts else None


def energies(
    teacher: keras.Model, hints: Sequence[Hint], x: Inputs, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """Return scalar ``energy/i``: the mean square of the teacher's feature i over the first rows of ``x``."""
    sample = cached_features(teacher, hints, first(x, ENERGY_SAMPLE), preprocessing)
    means = [np.mean(np.square(sample[f"feature/{i}"]), dtype=np.float64) for i in range(len(hints))]
    return {f"energy/{i}": np.asarray(mean + 1e-12, np.float32) for i, mean in enumerate(means)}
