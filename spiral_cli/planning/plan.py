"""`spiral plan`: a recipe looked at before anything is trained."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from spiral_cli.compress import build_task
from spiral_cli.data.preprocessing import one_of
from spiral_cli.evaluate import Evaluator
from spiral_cli.fitting import fit_student, is_copy, measured, other_sparsity, refuse_own_code, refuse_unknown_monitor
from spiral_cli.flops import calls, total_flops
from spiral_cli.lessons import footprint
from spiral_cli.models.load import load_model
from spiral_cli.models.names import fresh_names
from spiral_cli.planning.channels import models_of_rounds
from spiral_cli.planning.left import Left, course_of_masks, course_of_models
from spiral_cli.planning.sizes import FLOAT32
from spiral_cli.planning.trial import Estimate, estimate
from spiral_cli.pruning.schedules import sparsities
from spiral_cli.recipe import Recipe
from spiral_cli.recipe.digest import teacher_digest
from spiral_cli.run import Ledger, RunFolder
from spiral_cli.student import Workbench, lay_out
from spiral_cli.tasks.task import Task
from spiral_cli.teacher import TrainedTeacher
from spiral_cli.training.control import Control
from spiral_cli.training.device import use_device
from spiral_cli.training.saving import save_model
from spiral_cli.training.targets import feature_bytes, hints_of


def plan(recipe: Recipe, run: RunFolder, *, control: Control, trial: bool = True) -> dict[str, Any]:
    """Return what a run of ``recipe`` will leave after each round, what it keeps in memory and how long it takes.

    Data are loaded and models built; nothing is trained and nothing written to the run folder.

    Args:
        recipe: what is planned.
        run: its folder; a teacher that is there already is used.
        control: says when to stop.
        trial: take a few steps to estimate times; else they are None.

    Returns:
        ``teacher`` and ``student`` (``parameters``, ``flops``), ``rounds`` (the fields of `Left` with
        ``density`` and ``seconds``; round 0 is the dense student), ``targets`` (``memory_bytes``,
        ``disk_bytes``, ``feature_bytes``, ``online``), ``seconds`` (by part and ``total``) or None,
        ``uncounted`` layers and ``notes``.

    Raises:
        SpiralError: as the run itself would, before training.
    """
    use_device("auto" if recipe.device == "tpu" else recipe.device, recipe.seed)
    task = build_task(recipe)
    teacher, trained = teacher_of(recipe, task, run)
    student = teacher if is_copy(recipe) else task.build_model(recipe.student)
    fit = fit_student(recipe, task, teacher, student)
    refuse_own_code(recipe, teacher, student)
    shapes = one_of(task.dataset.validation.x, task.preprocessing)
    densities = [1.0 - sparsity for sparsity in sparsities(recipe.prune.schedule)]
    rows = task.views * len(task.dataset.train.y)
    kept = footprint(recipe.distill, len(densities), rows, task.output_shape, fit.head.exclusive)
    channels, packed = recipe.prune.granularity == "channel", recipe.export.packed
    values = packed.bits if packed.values == "shared" else 8 * FLOAT32
    students: list[keras.Model] = []
    missed: list[str] = []
    seconds = None
    with tempfile.TemporaryDirectory(prefix="spiral-plan-") as folder:
        bench = lay_out_aside(recipe, task, teacher, Path(folder)) if channels or trial else None
        if bench is not None and channels:
            made = list(models_of_rounds(bench, densities, control))
            students = [student, *(model for model, _ in made)]
            missed = [sentence for _, sentence in made if sentence is not None]
            rounds = course_of_models(recipe.prune, students, values, shapes)
        else:
            rounds = course_of_masks(recipe.prune, student, fit.prunable, values, shapes)
        if bench is not None and trial:
            seconds = estimate(bench, students, densities, kept, control, trained=trained)
    uncounted = [call.path for call in calls(student, shapes) if call.source == "unknown"]
    return {
        "recipe": recipe.name,
        "teacher": {**facts_of(teacher, shapes), "trained": trained},
        "student": facts_of(student, shapes),
        "rounds": rows_of(rounds, seconds),
        "targets": {**asdict(kept), "feature_bytes": features(task, teacher, student, rows)},
        "seconds": None if seconds is None else {**asdict(seconds), "total": seconds.total},
        "uncounted": uncounted,
        "notes": notes(recipe, fit.sparsity, missed, uncounted),
    }


def facts_of(model: keras.Model, shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
    """Return how many parameters and, of inputs of ``shapes``, floating-point operations a model has."""
    return {"parameters": model.count_params(), "flops": total_flops(model, shapes)}


def lay_out_aside(recipe: Recipe, task: Task, teacher: keras.Model, folder: Path) -> Workbench:
    """Return the bench of a run in an empty folder, with a teacher as it is."""
    run = RunFolder(folder)
    save_model(teacher, run.teacher)
    fresh_names()
    head = task.head(teacher, recipe.teacher.output)
    return lay_out(recipe, task, TrainedTeacher(Evaluator(task, teacher, head), {}, 0.0), run)


def teacher_of(recipe: Recipe, task: Task, run: RunFolder) -> tuple[keras.Model, bool]:
    """Return the teacher and whether it is trained: the run's own, one from a file, or a new one.

    Raises:
        UsageError: it has not the metric that the guard watches.
    """
    teacher, trained = found_or_new(recipe, task, run)
    refuse_unknown_monitor(recipe, measured(task, task.head(teacher, recipe.teacher.output)))
    return teacher, trained


def found_or_new(recipe: Recipe, task: Task, run: RunFolder) -> tuple[keras.Model, bool]:
    """Return what `teacher_of` does."""
    ledger = Ledger(run)
    record = ledger.find("teacher")
    if record is not None and record["digest"] == teacher_digest(recipe) and not ledger.damaged(record):
        return load_model(run.teacher), True
    if recipe.teacher.path is not None and not recipe.teacher.epochs:
        return load_model(recipe.teacher.path), True
    update = {"weights": None} if recipe.teacher.application else {}  # no download for a plan
    return task.build_model(recipe.teacher.model_copy(update=update)), recipe.teacher.epochs == 0


def features(task: Task, teacher: keras.Model, student: keras.Model, rows: int) -> int:
    """Return the bytes of the teacher's cached features; 0 where it runs in every step instead."""
    distill = task.recipe.distill
    size = feature_bytes(hints_of(task, teacher, student), rows)
    cached = distill.targets == "cached" and size <= distill.memory_gb * 1e9
    return size if cached else 0


def rows_of(rounds: Sequence[Left], seconds: Estimate | None) -> list[dict[str, Any]]:
    """Return the rounds as plain data, each with its density and the seconds it takes."""
    each = [None] * len(rounds) if seconds is None else [seconds.dense, *seconds.rounds]
    return [{**asdict(one), "density": one.density, "seconds": took} for one, took in zip(rounds, each, strict=True)]


def notes(recipe: Recipe, ends_at: float, missed: Sequence[str], uncounted: Sequence[str]) -> list[str]:
    """Return sentences without which the numbers would mislead; of the targets ``missed`` the last stands for all."""
    channels = recipe.prune.granularity == "channel"
    found = [] if channels else ["zeros alone leave a dense runtime's FLOPs, and its latency, as they are"]
    if sentence := other_sparsity(recipe.prune, ends_at):
        found.append(sentence)
    found += missed[-1:]
    if uncounted:
        found.append(f"FLOPs without those of {', '.join(uncounted)}, which could not be counted")
    if recipe.distribution != "none":
        found.append(f"times are those of one device; distribution is {recipe.distribution}")
    return found
