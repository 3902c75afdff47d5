"""Feature (hint) losses: the student imitates what named layers of the teacher compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.distillation.places import Places, Sample, measured
from spiral_cli.errors import UsageError, did_you_mean
from spiral_cli.recipe.schema import Feature


@dataclass(frozen=True)
class Hint:
    """One pair of layers: output shapes without the batch axis, and the weight of their loss.

    Attributes:
        places: which places of the first axis are no padding, where its length is open; the shapes are of full rows.
    """

    teacher: str
    student: str
    weight: float
    teacher_shape: tuple[int, ...]
    student_shape: tuple[int, ...]
    places: Places | None = None

    @property
    def projected(self) -> bool:
        """Whether the student's channels must be mapped to the teacher's."""
        return self.teacher_shape[-1] != self.student_shape[-1]


def pair_layers(
    features: Sequence[Feature], teacher: keras.Model, student: keras.Model, sample: Sample
) -> tuple[Hint, ...]:
    """Look up the recipe's ``features`` in both models.

    Args:
        features: pairs of names.
        teacher, student: the models.
        sample: tells lengths that they leave open.

    Raises:
        UsageError: a layer does not exist, a model has no graph to take it from, the two outputs
            differ in more than their channels, or padding cannot be told in them.
    """
    hints = []
    for feature in features:
        theirs, places = _output_shape(teacher, feature.teacher, "teacher", sample)
        ours, others = _output_shape(student, feature.student, "student", sample)
        if theirs[:-1] != ours[:-1] or places != others:
            raise UsageError(
                f"features: teacher layer '{feature.teacher}' gives {theirs} and student layer '{feature.student}' "
                f"{ours}; only the last axis (channels) may differ; choose layers of the same size"
            )
        hints.append(Hint(feature.teacher, feature.student, feature.weight, theirs, ours, places))
    return tuple(hints)


def with_features(model: keras.Model, layers: Sequence[str]) -> keras.Model:
    """Return a model that shares ``model``'s variables and gives ``[output, *layer outputs]``."""
    inputs = model.inputs if len(model.inputs) > 1 else model.inputs[0]
    outputs = [model.get_layer(name).output for name in layers]
    return keras.Model(inputs, [model.outputs[0], *outputs], name=f"{model.name}_with_features")


def make_projections(hints: Sequence[Hint], seed: int) -> list[keras.Variable]:
    """Return one (student channels, teacher channels) matrix for every hint that needs it.

    Glorot-uniform from ``seed``; they train with the student and are thrown away afterwards.
    """
    rng = np.random.default_rng([seed, 0x41])
    projections = []
    for hint in hints:
        if hint.projected:
            shape = (hint.student_shape[-1], hint.teacher_shape[-1])
            limit = np.sqrt(6.0 / sum(shape))
            projections.append(keras.Variable(rng.uniform(-limit, limit, shape).astype(np.float32)))
    return projections


def hint_loss(
    student: tf.Tensor,
    teacher: tf.Tensor,
    projection: keras.Variable | None,
    energy: tf.Tensor,
    places: tf.Tensor | None = None,
) -> tf.Tensor:
    """Squared error relative to the teacher's energy: mean (s·P - t)² / energy (Romero et al. 2015).

    Args:
        student: (batch, …, student channels), of any float type.
        teacher: (batch, …, teacher channels), of any float type; with ``places`` the first axis may be longer.
        projection: (student channels, teacher channels), or None where they are equal.
        energy: scalar, the mean of t² over training data; dividing by it makes a weight mean the
            same for every layer.
        places: (batch,) how many places along the first axis are no padding, which does not count; None for all.

    Returns:
        (batch,) float32
    """
    student, teacher = tf.cast(student, tf.float32), tf.cast(teacher, tf.float32)
    if projection is not None:
        student = tf.tensordot(student, projection.value, axes=1)
    if places is None:
        return mean_square(student - teacher, 1) / energy
    length = tf.shape(student)[1]
    real = tf.sequence_mask(places, length, tf.float32)
    errors = mean_square(student - teacher[:, :length], 2)
    return tf.reduce_sum(real * errors, axis=1) / tf.maximum(tf.reduce_sum(real, axis=1), 1.0) / energy


def mean_square(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Return the mean of x² over ``axis`` and all behind it."""
    return tf.reduce_mean(tf.square(x), axis=range(axis, len(x.shape)))


def _output_shape(model: keras.Model, layer: str, role: str, sample: Sample) -> tuple[tuple[int, ...], Places | None]:
    names = [one.name for one in model.layers]
    if layer not in names:
        near = did_you_mean(layer, names)
        raise UsageError(f"features: the {role} has no layer '{layer}'; it has {', '.join(names)}{near}")
    try:
        reaching = with_features(model, [layer])
    except (AttributeError, ValueError) as error:
        raise UsageError(
            f"features: the {role} gives no graph from which the output of '{layer}' can be taken; "
            "named features need a functional or sequential model"
        ) from error
    shape = tuple(reaching.outputs[-1].shape[1:])
    return measured(reaching, sample, f"{role} layer '{layer}'") if None in shape else (shape, None)
