"""From a recipe's settings to a compiled program."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from spiral_cli import registry
from spiral_cli.channels.graph import Channels
from spiral_cli.data.pipeline import in_memory
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.recipe.prune import Pressure as PressureSettings
from spiral_cli.recipe.schema import Recipe, Teacher, Train
from spiral_cli.tasks.head import Head
from spiral_cli.tasks.task import Task
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.group_pressure import GroupPressure
from spiral_cli.training.jit import choose_jit
from spiral_cli.training.loop import Stage
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import learning_rates, steps_per_epoch
from spiral_cli.training.program import Pressure, Program
from spiral_cli.training.replicated import ReplicatedProgram
from spiral_cli.training.targets import feature_bytes, hints_of, online_features, online_logits, together


def training_data(task: Task, head: Head) -> TrainingData:
    """Put a task's training part on the device, with every augmented view.

    Inputs that are not in memory are left where they are, to be fed.
    """
    train, inputs = task.dataset.train, task.train_inputs
    y = task.labels(train, head)
    return TrainingData(
        x=tf.constant(inputs) if in_memory(inputs) else inputs,
        y=tf.constant(y),
        weight=tf.constant(np.resize(train.weight, len(y))),  # of every view, where labels are
        preprocessing=task.preprocessing,
        lengths=task.train_lengths,
    )


def program_class() -> type[Program]:
    """Return the program for the strategy in whose scope the models are."""
    return ReplicatedProgram if tf.distribute.has_strategy() else Program


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
    count, lengths = len(task.dataset.train.x), task.train_lengths
    steps = epochs * steps_per_epoch(count, settings.batch_size)
    return Stage(
        kind=kind,
        title=title,
        key=key,
        count=count,
        views=task.views,
        batch_size=settings.batch_size,
        rates=learning_rates(settings.rate, settings.learning_rate, steps),
        strengths=np.zeros(steps, np.float32),
        gains=np.zeros(steps, np.float32),
        epochs=epochs,
        lengths=None if lengths is None else lengths.sum(axis=1),
    )


def teacher_program(task: Task, model: keras.Model, head: Head, settings: Teacher, precision: str) -> Program:
    """Return the program that trains a teacher on the labels alone."""
    return program_class()(
        model,
        training_data(task, head),
        Objective(head, smoothing=settings.label_smoothing),
        make_optimizer(settings.optimizer, settings.weight_decay, precision),
        jit=choose_jit("auto", model),
        precision=precision,
    )


def student_program(
    recipe: Recipe,
    task: Task,
    data: TrainingData,
    student: keras.Model,
    head: Head,
    teacher: keras.Model,
    teacher_head: Head,
    prunable: Sequence[Prunable],
    pressure: Pressure | None = None,
    kind: Callable[..., Program] | None = None,
) -> Program:
    """Return the program of all rounds: distillation, masks and ``pressure``; or another ``kind`` of program.

    What the teacher says is cached, unless the recipe asks for it in every step, or its features
    would take too much memory.
    """
    objective = student_objective(task, head, teacher, student)
    asked = recipe.distill.targets == "online"
    parts = [online_logits(teacher, teacher_head, recipe.precision)] if asked else []
    rows = task.views * len(task.dataset.train.y)
    if objective.hints and (asked or feature_bytes(objective.hints, rows) > recipe.distill.memory_gb * 1e9):
        parts.append(online_features(teacher, objective.hints, recipe.precision))
    return (kind or program_class())(
        student,
        data,
        objective,
        make_optimizer(recipe.train.optimizer, recipe.train.weight_decay, recipe.precision),
        prunable=prunable,
        pressure=pressure,
        online=together(parts),
        average=recipe.train.average > 0,
        expand=recipe.train.expand if kind is None else 1,
        jit=choose_jit(recipe.train.jit, student),
        precision=recipe.precision,
        seed=recipe.seed,
    )


def pressure_on_weights(settings: PressureSettings | None) -> Pressure | None:
    """Return the penalty that a recipe's ``pressure`` names, each variable for itself."""
    if settings is None or settings.strength == 0:
        return None
    return on_each(registry.pressures.get(settings.kind))


def on_each(single: Callable[[tf.Tensor], tf.Tensor]) -> Pressure:
    """Return the penalty of all weights from that of one variable."""
    return lambda weights: [single(weight) for weight in weights]


def pressure_on_groups(
    settings: PressureSettings | None, channels: Channels, model: keras.Model, prunable: Sequence[Prunable]
) -> GroupPressure | None:
    """Return the penalty on whole groups of channels of ``model``, where the recipe asks for one."""
    if settings is None or settings.strength == 0:
        return None
    index = {id(variable): place for place, variable in enumerate(model.variables)}
    return GroupPressure(channels, [index[id(one.variable)] for one in prunable])


def student_objective(task: Task, head: Head, teacher: keras.Model, student: keras.Model) -> Objective:
    """Return what the student minimises.

    Raises:
        UsageError: a layer named under ``distill.features`` does not fit.
    """
    distill = task.recipe.distill
    return Objective(
        head,
        registry.losses.get(distill.loss),
        distill.alpha,
        distill.temperature,
        hints_of(task, teacher, student),
        task.recipe.train.label_smoothing,
    )
