"""Whether a recipe's teacher, student, data and patterns fit each other; asked before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.channels.choice import per_space
from spiral_cli.channels.graph import Channels, find_channels
from spiral_cli.channels.removal import remove
from spiral_cli.errors import UsageError
from spiral_cli.models.load import refuse_unloadable
from spiral_cli.models.names import fresh_names
from spiral_cli.models.precision import computing_in
from spiral_cli.pruning import allocation, granularity
from spiral_cli.pruning.masks import make_masks
from spiral_cli.pruning.patterns import refuse_unmatched
from spiral_cli.pruning.prunable import Prunable, Skipped, find_prunable
from spiral_cli.pruning.schedules import sparsities
from spiral_cli.recipe import Recipe
from spiral_cli.recipe.prune import Prune
from spiral_cli.sources import module_names
from spiral_cli.tasks.head import Head
from spiral_cli.tasks.task import Task
from spiral_cli.training.targets import hints_of


@dataclass(frozen=True)
class Fit:
    """How a student is read and what of it may be pruned: ``skipped`` says why the rest may not.

    ``sparsity`` is that after the last round, as far as shapes decide it; ``channels`` are the groups
    that may leave, where a recipe removes some.
    """

    head: Head
    prunable: tuple[Prunable, ...]
    skipped: tuple[Skipped, ...]
    sparsity: float
    channels: Channels | None


def rehearse(recipe: Recipe, task: Task) -> list[str]:
    """Build teacher and student as the recipe says, untrained, and throw them away again.

    A pattern that matches nothing, or a model that cannot be built, or not be loaded or made smaller
    afterwards, is so found before the teacher has trained for hours. Return sentences on what the
    teacher will not learn from.

    Raises:
        MissingError, UsageError: as the run itself would, later.
    """
    update = {"weights": None} if recipe.teacher.application else {}  # no download for a rehearsal
    teacher = task.build_model(recipe.teacher.model_copy(update=update))
    head = task.head(teacher, recipe.teacher.output)
    refuse_unknown_monitor(recipe, measured(task, head))
    if recipe.teacher.epochs:
        refuse_other_types(recipe.precision, task, teacher)
    student = teacher if is_copy(recipe) else task.build_model(recipe.student)
    fit = fit_student(recipe, task, teacher, student)
    refuse_own_code(recipe, teacher, student)
    if fit.channels is not None:
        remove(student, fit.channels, without_one_each(fit.channels))
    unlearnable = task.unlearnable(teacher) if recipe.teacher.epochs else []
    fresh_names()  # names that Keras counts up start anew
    return unlearnable


def refuse_own_code(recipe: Recipe, teacher: keras.Model, student: keras.Model) -> None:
    """Check that models a person's own code has built can be loaded again; those of files were, Keras' own can.

    Raises:
        UsageError: one cannot, as `refuse_unloadable` says.
    """
    if not module_names(recipe):
        return
    for spec, model, whose in ((recipe.teacher, teacher, "the teacher"), (recipe.student, student, "the student")):
        if spec.path is None and spec.application is None and (model is not teacher or spec is recipe.teacher):
            refuse_unloadable(model, whose)


def without_one_each(channels: Channels) -> np.ndarray:
    """Return which groups stay when one of every space leaves that has another, (groups,) of bool."""
    kept = np.ones(channels.count, bool)
    for space in channels.spaces:
        kept[space.groups[1:2]] = False
    return kept


def fit_student(recipe: Recipe, task: Task, teacher: keras.Model, student: keras.Model) -> Fit:
    """Return how ``student`` fits the recipe.

    Raises:
        UsageError: its outputs are not the teacher's, nothing of it can be pruned, or a pattern or a
            feature's layer is not there.
    """
    prune = recipe.prune
    head = task.head(student, recipe.teacher.output if is_copy(recipe) else "auto")
    if head.exclusive != task.head(teacher, recipe.teacher.output).exclusive:
        raise UsageError(
            "of teacher and student one has a single output and the other one for each class, so the student cannot "
            "learn from it; with data.labels: binary both have one, or give a student with as many outputs"
        )
    refuse_other_types(recipe.precision, task, student)
    prunable, skipped = find_prunable(student, prune.targets, prune.ignore)
    if not prunable:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in skipped)
        raise UsageError(f"nothing in the student can be pruned ({reasons}); check prune.targets and prune.ignore")
    channels = None
    if prune.granularity == "channel":
        channels = find_channels(student, prune.targets, prune.ignore)
        skipped += [Skipped(layer, layer, f"its channels stay: {reason}") for layer, reason in channels.held.items()]
        if not isinstance(prune.allocation, str):
            per_space(channels, prune.allocation)
    elif not isinstance(prune.allocation, str):
        refuse_unmatched(prune.allocation, [one.name for one in prunable], "prune.allocation")
    sparsity = ends_at(prune, prunable)
    refuse_uncuttable(prune, sparsity)
    hints_of(task, teacher, student)
    return Fit(head, tuple(prunable), tuple(skipped), sparsity, channels)


def refuse_other_types(precision: str, task: Task, model: keras.Model) -> None:
    """Check that ``model`` runs in ``precision``: a layer that is not Keras' own may know float32 alone.

    Raises:
        UsageError: it does not.
    """
    if precision == "float32":
        return
    inputs = task.preprocessing.inputs(tf.constant(task.dataset.validation.x[:1]))
    try:
        with computing_in(model, precision):
            model(inputs, training=False)
    except Exception as error:
        raise UsageError(
            f"precision: model '{model.name}' does not run in {precision} ({str(error).strip().splitlines()[0]}); "
            "let its own layers cast their constants to self.compute_dtype, or use precision: float32"
        ) from error


def ends_at(prune: Prune, prunable: Sequence[Prunable]) -> float:
    """Return the sparsity after the last round as far as shapes decide it: masks of weights by chance."""
    asked = sparsities(prune.schedule)[-1]
    if prune.granularity == "channel" or (isinstance(prune.allocation, str) and prune.granularity == "unstructured"):
        return asked
    rng = np.random.default_rng(0)
    chance = {one.name: rng.random(one.variable.shape, np.float32) for one in prunable}
    masks = make_masks(
        chance,
        1.0 - asked,
        allocation=allocation.from_recipe(prune),
        granularity=granularity.from_recipe(prune.granularity),
        input_axes={one.name: one.input_axes for one in prunable},
    )
    kept = sum(int(np.count_nonzero(mask)) for mask in masks.values())
    return 1.0 - kept / sum(mask.size for mask in masks.values())


def refuse_uncuttable(prune: Prune, found: float) -> None:
    """Check that the granularity lets the spiral cut at least half of what its schedule asks.

    Raises:
        UsageError: it does not: a tile may be as large as the whole layer, and one a layer stays.
    """
    if prune.granularity in ("unstructured", "channel"):
        return
    asked = sparsities(prune.schedule)[-1]
    if found < asked / 2:
        raise UsageError(
            f"prune.granularity: in this student at most a sparsity of {found:.4g} can be reached, and the schedule "
            f"asks for {asked:g}; smaller blocks, of which one a layer always stays, reach further"
        )


def other_sparsity(prune: Prune, found: float) -> str | None:
    """Return a sentence where numbers of layers or large blocks end elsewhere than the schedule, or None."""
    asked = sparsities(prune.schedule)[-1]
    if abs(found - asked) < 0.005:
        return None
    numbers = not isinstance(prune.allocation, str)
    why = (
        f"the schedule's {asked:g} holds for layers without a number under prune.allocation"
        if numbers
        else f"the blocks of prune.granularity come no nearer to the schedule's {asked:g}"
    )
    return f"this spiral ends at a sparsity of about {found:.4f} in all: {why}"


def measured(task: Task, head: Head) -> Sequence[str]:
    """Return the names of what is measured of a model with ``head``."""
    return head.measures(task.truth(task.dataset.validation, head))


def refuse_unknown_monitor(recipe: Recipe, metrics: Collection[str]) -> None:
    """Check that the guard watches a metric these labels have.

    Raises:
        UsageError: it does not.
    """
    monitor = recipe.guard.monitor
    if monitor not in metrics:
        known = ", ".join(metrics)
        raise UsageError(f"guard.monitor: '{monitor}' is not measured for these labels; there are {known}")


def is_copy(recipe: Recipe) -> bool:
    """Say whether the student is a copy of the teacher."""
    student = recipe.student
    return student.path is None and student.builder is None and student.application is None and student.model == "same"
