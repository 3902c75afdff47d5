"""The teacher: trained by the recipe, or loaded, and checked before anything learns from it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from spiral_cli.errors import RunMismatchError, UsageError
from spiral_cli.evaluate import Evaluator
from spiral_cli.events import Listener, Notice, StageDone
from spiral_cli.models.load import compiled_loss, load_model
from spiral_cli.recipe import Recipe
from spiral_cli.recipe.digest import teacher_digest
from spiral_cli.registry import tasks
from spiral_cli.run import Ledger, RunFolder, atomic_path
from spiral_cli.tasks.task import Task
from spiral_cli.training.build import make_stage, teacher_program
from spiral_cli.training.checkpoint import remove_states
from spiral_cli.training.control import Control
from spiral_cli.training.loop import Trained, train_stage
from spiral_cli.training.resume import Curve
from spiral_cli.training.saving import save_model
from spiral_cli.training.writer import Writer

CROSSENTROPIES = ("sparsecategoricalcrossentropy", "categoricalcrossentropy", "binarycrossentropy")


@dataclass(frozen=True)
class TrainedTeacher:
    """A teacher ready to teach: its evaluator holds model and head; metrics are on validation."""

    evaluator: Evaluator
    metrics: Mapping[str, float]
    seconds: float

    @property
    def model(self) -> keras.Model:
        """The Keras model."""
        return self.evaluator.model


def train_or_load_teacher(
    recipe: Recipe, task: Task, run: RunFolder, *, listen: Listener, control: Control
) -> TrainedTeacher:
    """Return the run's teacher; train or fetch it first where the run has none.

    Raises:
        MissingError: its file is missing or cannot be used.
        UsageError: it does not fit the data, or is hardly better than guessing.
    """
    ledger = Ledger(run)
    record = _stored(recipe, task, ledger, listen)
    reused = record is not None
    if record is None:
        seconds, curve = _obtain(recipe, task, run, listen, control)
    model = load_model(run.teacher)
    evaluator = Evaluator(task, model, task.head(model, recipe.teacher.output))
    if record is None:
        metrics = evaluator.metrics(task.dataset.validation)
        refuse_guessing(evaluator, metrics)
        record = ledger.append(
            "teacher",
            digest=teacher_digest(recipe),
            data=task.dataset.fingerprint(),
            metrics=metrics,
            seconds=seconds,
            curve=curve,
            files=(run.teacher,),
        )
        remove_states(run.teacher_checkpoint)
    listen(StageDone("teacher", "teacher", record["metrics"], record["seconds"], reused))
    return TrainedTeacher(evaluator, record["metrics"], record["seconds"])


def _stored(recipe: Recipe, task: Task, ledger: Ledger, listen: Listener) -> dict[str, Any] | None:
    """Return the ledger's record of an intact teacher of this recipe, or None."""
    record = ledger.find("teacher")
    if record is None:
        return None
    refuse_other_data(task, record, ledger.run.root)
    damaged = ledger.damaged(record)
    if damaged:
        listen(Notice(f"{ledger.run.root / damaged[0]} is damaged or missing; making the teacher again", "warning"))
        ledger.drop(lambda one: one["event"] == "teacher")
        return None
    return record


def _obtain(recipe: Recipe, task: Task, run: RunFolder, listen: Listener, control: Control) -> tuple[float, Curve]:
    """Put ``teacher.keras`` into the run; return the seconds of its training and what each epoch came to."""
    settings = recipe.teacher
    if settings.path is not None and not settings.epochs:
        with atomic_path(run.teacher) as temporary:
            shutil.copyfile(settings.path, temporary)
        return 0.0, []
    keras.utils.set_random_seed(recipe.seed)
    model = task.build_model(settings)
    trained = _train(recipe, task, model, run, listen, control) if settings.epochs else None
    save_model(model, run.teacher)
    return (trained.seconds, trained.curve) if trained else (0.0, [])


def _train(
    recipe: Recipe, task: Task, model: keras.Model, run: RunFolder, listen: Listener, control: Control
) -> Trained:
    settings = recipe.teacher
    head = task.head(model, settings.output)
    seen = task if settings.augment else task.unaugmented()
    stage = make_stage(seen, settings, settings.epochs, kind="teacher", title="teacher", key=(recipe.seed, 0))
    program = teacher_program(seen, model, head, settings, recipe.precision)
    evaluator = Evaluator(task, model, head)
    with Writer() as writer:
        return train_stage(
            program,
            stage,
            run.teacher_checkpoint,
            writer,
            measure=lambda: evaluator.metrics(task.dataset.validation),
            listen=listen,
            control=control,
        )


def refuse_other_data(task: Task, record: Mapping[str, Any], run: Path) -> None:
    """Check that a teacher's ledger record is of the task's data.

    Raises:
        RunMismatchError: it is not.
    """
    if record["data"] != task.dataset.fingerprint():
        raise RunMismatchError(
            f"the data are not those that the teacher in {run} was made with (files, labels or their order); "
            "start over with --fresh, or give --run another folder"
        )


def refuse_file(recipe: Recipe, task: Task, *, thorough: bool) -> None:
    """Refuse a teacher's file that is to be used as it is, before the run is opened.

    Args:
        recipe: maybe names one.
        task: to measure it on.
        thorough: measure it too, where otherwise something would be lost first; it is measured again later.

    Raises:
        MissingError, UsageError: as `train_or_load_teacher`.
    """
    settings = recipe.teacher
    if settings.path is None or settings.epochs:
        return
    refuse_other_loss(settings.path, recipe)
    if thorough:
        model = load_model(settings.path)
        evaluator = Evaluator(task, model, task.head(model, settings.output))
        refuse_guessing(evaluator, evaluator.metrics(task.dataset.validation))


def refuse_other_loss(path: str, recipe: Recipe) -> None:
    """Stop where a model was compiled with a loss that is not the task's and the recipe does not say so.

    Raises:
        UsageError: it was; the message says what to set.
    """
    if tasks.part(recipe.task).facts.get("loss") != "crossentropy":
        return  # Keras has no name for what such a task minimises
    loss = compiled_loss(path)
    stated = recipe.train.loss != "auto" or recipe.distill.alpha == 1.0
    if loss is not None and loss.replace("_", "").lower() not in CROSSENTROPIES and not stated:
        raise UsageError(
            f"teacher.path: {path} was compiled with the loss '{loss}', but a student's task loss is cross-entropy; "
            "set train.loss: crossentropy to use that, or distill.alpha: 1 to learn from the teacher alone"
        )


def refuse_guessing(evaluator: Evaluator, metrics: Mapping[str, float]) -> None:
    """Stop before any round where the teacher is hardly better than guessing.

    Raises:
        UsageError: it is; the message names what would make it right, or what to look at.
    """
    doubt = evaluator.task.doubt(evaluator.model, evaluator.head, metrics)
    if doubt is not None:
        raise UsageError(f"the teacher is hardly better than guessing: {doubt}")
