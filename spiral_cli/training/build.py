"""From a recipe's settings to a compiled program."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from spiral_cli import registry
from spiral_cli.distillation.features import pair_layers
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.recipe.schema import Distill, Recipe, Teacher, Train
from spiral_cli.tasks.classification import Head
from spiral_cli.tasks.task import Task
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.jit import choose_jit
from spiral_cli.training.loop import Stage
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import learning_rates, steps_per_epoch
from spiral_cli.training.program import Program
from spiral_cli.training.targets import FEATURE_CACHE_BYTES, feature_bytes, online_features


def training_data(task: Task, head: Head) -> TrainingData:
    """Put a task's training part on the device, every augmented view with its labels and weights."""
    train, views = task.dataset.train, task.views
    labels = task.labels(train, head)
    return TrainingData(
        x=tf.constant(task.train_inputs),
        y=tf.constant(np.concatenate([labels] * views)),
        weight=tf.constant(np.concatenate([train.weight] * views)),
        preprocessing=task.preprocessing,
    )


def make_stage(
    task: Task,
    settings: Teacher | Train,
    epochs: int,
    *,
    kind: str,
    title: str,
    key: tuple[int, ...],
) -> Stage:
    """Return a stage of ``epochs`` whose learning rate starts at its peak and decays fully.

    Args:
        task: its training part is what an epoch visits.
        settings: batch size and peak rate.
        epochs: how often every example is visited.
        kind, title, key: as `Stage`.
    """
    count = len(task.dataset.train.x)
    steps = epochs * steps_per_epoch(count, settings.batch_size)
    rate = settings.rate if isinstance(settings, Train) else "cosine"
    return Stage(
        kind=kind,
        title=title,
        key=key,
        count=count,
        views=task.views,
        batch_size=settings.batch_size,
        rates=learning_rates(rate, settings.learning_rate, steps),
        strengths=np.zeros(steps, np.float32),
        gains=np.zeros(steps, np.float32),
        epochs=epochs,
    )


def teacher_program(task: Task, model: keras.Model, head: Head, settings: Teacher, precision: str) -> Program:
    """Return the program that trains a teacher on the labels alone."""
    return Program(
        model,
        training_data(task, head),
        Objective(head),
        make_optimizer(settings.optimizer, settings.weight_decay, precision),
        jit=choose_jit("auto", model),
        precision=precision,
    )


def student_program(
    recipe: Recipe,
    task: Task,
    student: keras.Model,
    head: Head,
    teacher: keras.Model,
    prunable: Sequence[Prunable],
) -> Program:
    """Return the program of all rounds: distillation, masks and pressure."""
    pressure = recipe.prune.pressure
    data = training_data(task, head)
    objective = student_objective(recipe.distill, head, teacher, student)
    heavy = feature_bytes(objective.hints, len(data.x)) > FEATURE_CACHE_BYTES
    return Program(
        student,
        data,
        objective,
        make_optimizer(recipe.train.optimizer, recipe.train.weight_decay, recipe.precision),
        prunable=prunable,
        pressure=registry.pressures.get(pressure.kind) if pressure is not None and pressure.strength > 0 else None,
        online=online_features(teacher, objective.hints, recipe.precision) if heavy else None,
        average=recipe.train.average > 0,
        jit=choose_jit(recipe.train.jit, student),
        precision=recipe.precision,
        seed=recipe.seed,
    )


def student_objective(distill: Distill, head: Head, teacher: keras.Model, student: keras.Model) -> Objective:
    """Return what the student minimises.

    Raises:
        UsageError: a layer named under ``distill.features`` does not fit.
    """
    return Objective(
        head,
        registry.losses.get(distill.loss),
        distill.alpha,
        distill.temperature,
        pair_layers(distill.features, teacher, student),
    )
