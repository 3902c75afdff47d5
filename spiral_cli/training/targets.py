"""The teacher's targets for every training row, computed once by compiled inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data import Preprocessing
from spiral_cli.data.pipeline import Inputs, first
from spiral_cli.distillation.features import Hint, pair_layers, with_features
from spiral_cli.distillation.places import Sample
from spiral_cli.models.precision import computing_in
from spiral_cli.tasks.head import Head
from spiral_cli.tasks.task import Task
from spiral_cli.training.predict import Predictor
from spiral_cli.training.program import Online

ENERGY_SAMPLE = 1024


def hints_of(task: Task, teacher: keras.Model, student: keras.Model) -> tuple[Hint, ...]:
    """Return the pairs of layers that a task's recipe names; raises what `pair_layers` does."""
    features = task.recipe.distill.features
    if not features:  # then no row is read
        return ()
    sample = Sample(first(task.train_inputs, 1), task.preprocessing, task.train_lengths is not None)
    return pair_layers(features, teacher, student, sample)


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
    x, preprocessing = task.train_inputs, task.preprocessing
    places = real_places(hints, task.train_lengths, len(x))
    beside = {**energies(teacher, hints, x, preprocessing, places), **places}
    return beside if online else {**cached_features(teacher, hints, x, preprocessing), **beside}


def real_places(hints: Sequence[Hint], lengths: np.ndarray | None, rows: int) -> dict[str, np.ndarray]:
    """Return ``places/i`` (rows,) int32, how many are no padding, for each hint whose length is open.

    Args:
        hints: pairs of layers.
        lengths: (n, parts) of the rows, or of those of one view.
        rows: how many there are.
    """
    if lengths is None:
        return {}
    each = np.resize(lengths, (rows, lengths.shape[1]))  # of every view
    return {f"places/{i}": hint.places.real(each) for i, hint in enumerate(hints) if hint.places is not None}


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
    teacher: keras.Model,
    hints: Sequence[Hint],
    x: Inputs,
    preprocessing: Preprocessing,
    places: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Return scalar ``energy/i``: the mean square of the teacher's feature i over the first rows of ``x``.

    Padding does not count; ``places`` from `real_places` tell it.
    """
    sample = cached_features(teacher, hints, first(x, ENERGY_SAMPLE), preprocessing)
    means = []
    for i in range(len(hints)):
        feature, real = sample[f"feature/{i}"], (places or {}).get(f"places/{i}")
        if real is not None:
            feature = feature[np.arange(feature.shape[1]) < real[: len(feature), None]]  # (places, …)
        means.append(np.mean(np.square(feature), dtype=np.float64))
    return {f"energy/{i}": np.asarray(mean + 1e-12, np.float32) for i, mean in enumerate(means)}
