"""The student on the bench: where it starts, what may be pruned, its states on disk, its targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from spiral_cli.channels.graph import Channels
from spiral_cli.dictation import dictated
from spiral_cli.evaluate import Evaluator
from spiral_cli.events import Listener, Notice, StageDone
from spiral_cli.fitting import Fit, ends_at, fit_student, is_copy, other_sparsity, refuse_unknown_monitor
from spiral_cli.guard import Row
from spiral_cli.lessons import Lessons, teacher_rounds
from spiral_cli.models.load import load_model
from spiral_cli.models.names import fresh_names
from spiral_cli.pruning.packing import pack, unpack
from spiral_cli.pruning.prunable import Prunable, Skipped
from spiral_cli.pruning.scoring import needs
from spiral_cli.recipe import Recipe
from spiral_cli.recipe.digest import student_digest
from spiral_cli.run import Ledger, RunFolder
from spiral_cli.tasks.task import Task
from spiral_cli.teacher import TrainedTeacher
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.build import (
    make_stage,
    pressure_on_groups,
    pressure_on_weights,
    student_program,
    training_data,
)
from spiral_cli.training.checkpoint import read_state, remove_states, write_state
from spiral_cli.training.control import Control, Together
from spiral_cli.training.evidence import Collector
from spiral_cli.training.loop import train_stage
from spiral_cli.training.plan import stage_seed
from spiral_cli.training.program import Program
from spiral_cli.training.resume import Masks
from spiral_cli.training.saving import save_model
from spiral_cli.training.targets import feature_targets
from spiral_cli.training.writer import Writer


@dataclass(frozen=True)
class Whole:
    """The student before any pruning, of which everything that is left is a part; what left since counts as zero.

    Attributes:
        model: itself; its weights may have changed since, its shapes not.
        prunable: how many of its weights may be pruned.
        channels: its groups of channels, where the recipe removes some.
    """

    model: keras.Model
    prunable: int
    channels: Channels | None


@dataclass(frozen=True)
class Workbench:
    """What every turn of the spiral works with. Only the program's variables change, and what ``lessons`` knows.

    Attributes:
        teacher: the trained teacher.
        evaluator: measures the student; shares its variables with ``program``.
        program: the compiled training step.
        prunable, skipped: what masks may cover, and what not with the reason.
        channels: the groups that may leave, where the recipe removes channels.
        features: the teacher's cached features and their energies.
        collect: gives the criterion its evidence, or None where it needs none.
        lessons: what its teachers say of the training inputs.
        whole: the student before any pruning.
    """

    recipe: Recipe
    task: Task
    run: RunFolder
    teacher: TrainedTeacher
    evaluator: Evaluator
    program: Program
    prunable: tuple[Prunable, ...]
    skipped: tuple[Skipped, ...]
    channels: Channels | None
    features: Mapping[str, np.ndarray]
    collect: Collector | None
    lessons: Lessons
    whole: Whole

    @property
    def model(self) -> keras.Model:
        """The student."""
        return self.evaluator.model

    @property
    def ledger(self) -> Ledger:
        """The run's ledger."""
        return Ledger(self.run)

    def on(self, model: keras.Model) -> Workbench:
        """Return the bench with another student on it: the same one after channels left."""
        fit = fit_student(self.recipe, self.task, self.teacher.model, model)
        program = _program(self.recipe, self.task, self.teacher, model, fit, self.program.data)
        return replace(
            self,
            evaluator=Evaluator(self.task, model, fit.head),
            program=program,
            prunable=fit.prunable,
            channels=fit.channels,
            collect=_collector(self.recipe, program),
        )

    def keep(self, number: int, masks: Masks) -> tuple[Path, Path]:
        """Store the student's present state as that of round ``number``; return the files."""
        folder = self.run.round(number)
        variables = {f"variable/{i}": v.numpy() for i, v in enumerate(self.model.variables)}
        packed = {f"mask/{name}": bits for name, bits in pack(masks).items()}
        save_model(self.model, folder.student)
        write_state(folder.state, {**variables, **packed}, {"round": number})
        return folder.student, folder.state

    def kept(self, number: int) -> tuple[list[np.ndarray], Masks]:
        """Return the variables and masks that `keep` stored."""
        arrays, _ = read_state(self.run.round(number).state)
        variables = [arrays[f"variable/{i}"] for i in range(len(self.model.variables))]
        masks = {name.removeprefix("mask/"): bits for name, bits in arrays.items() if name.startswith("mask/")}
        return variables, unpack(masks)

    def stored_rows(self, listen: Listener) -> list[Row]:
        """Return the rows of finished tries up to the first whose files are damaged; forget the others."""
        tries = [record for record in self.ledger.read() if record["event"] in ("round", "removal")]
        rows: list[Row] = []
        for number, record in enumerate(tries):
            if record["event"] == "removal":
                continue
            if damaged := self.ledger.damaged(record):
                file = self.run.root / damaged[0]
                listen(Notice(f"{file} is damaged or missing; going on from the round before it", "warning"))
                self.ledger.drop(tries[number:].__contains__)
                break
            rows.append(record["row"])
        return rows

    def set_targets(self, rows: Sequence[Row], together: Together) -> None:
        """Give the program the targets of the round after ``rows``, by the recipe's teacher policy."""
        cached: Mapping[str, np.ndarray] = {}
        if self.recipe.distill.targets == "cached":
            numbers = teacher_rounds(self.recipe.distill.teacher, rows, self.teacher.metrics, self.recipe)
            together.agree("whom the student learns from", str(numbers))
            cached = self.lessons.targets(numbers, self.take)
        self.program.set_targets({**cached, **self.features})

    def take(self, number: int) -> Evaluator:
        """Return the original teacher, 0, or the student as it was accepted in a round."""
        if number == 0:
            return self.teacher.evaluator
        if self.channels is not None:  # each round has an architecture of its own
            return Evaluator(self.task, load_model(self.run.round(number).student), self.evaluator.head)
        variables, _ = self.kept(number)
        for variable, value in zip(self.model.variables, variables, strict=True):
            variable.assign(value)
        return self.evaluator


def set_up(
    recipe: Recipe,
    task: Task,
    teacher: TrainedTeacher,
    run: RunFolder,
    *,
    listen: Listener,
    control: Control,
) -> Workbench:
    """Return the bench with the round-0 student on it: a copy of the teacher, or one distilled dense.

    Raises:
        UsageError: nothing in the student can be pruned, or a setting does not fit it.
    """
    refuse_unknown_monitor(recipe, teacher.metrics)
    if recipe.distill.sequence:
        task = dictated(task, teacher.evaluator, run, listen)
    bench = lay_out(recipe, task, teacher, run)
    if sentence := other_sparsity(recipe.prune, ends_at(recipe.prune, bench.prunable)):
        listen(Notice(sentence))
    bench = replace(
        bench,
        features=feature_targets(teacher.model, bench.program.objective.hints, task, bench.program.online is not None),
    )
    _distil_dense(bench, is_copy(recipe), listen, control)
    return bench


def lay_out(recipe: Recipe, task: Task, teacher: TrainedTeacher, run: RunFolder) -> Workbench:
    """Return the bench with a student that has yet to be distilled, and without the teacher's features.

    Raises:
        UsageError: as `set_up`.
    """
    student = _initial_student(recipe, task, run)
    fit = fit_student(recipe, task, teacher.model, student)
    program = _program(recipe, task, teacher, student, fit)
    return Workbench(
        recipe=recipe,
        task=task,
        run=run,
        teacher=teacher,
        evaluator=Evaluator(task, student, fit.head),
        program=program,
        prunable=fit.prunable,
        skipped=fit.skipped,
        channels=fit.channels,
        features={},
        collect=_collector(recipe, program),
        lessons=Lessons(task, recipe.distill, Path(recipe.distill.cache) if recipe.distill.cache else run.targets),
        whole=Whole(student, sum(one.variable.numpy().size for one in fit.prunable), fit.channels),
    )


def _initial_student(recipe: Recipe, task: Task, run: RunFolder) -> keras.Model:
    if is_copy(recipe):
        return load_model(run.teacher)
    fresh_names()  # the names that Keras counts up do not depend on what ran before
    keras.utils.set_random_seed(recipe.seed + 1)
    return task.build_model(recipe.student)


def _program(
    recipe: Recipe,
    task: Task,
    teacher: TrainedTeacher,
    student: keras.Model,
    fit: Fit,
    data: TrainingData | None = None,
) -> Program:
    data = training_data(task, fit.head) if data is None else data
    prune = recipe.prune
    pressure = (
        pressure_on_weights(prune.pressure)
        if fit.channels is None
        else pressure_on_groups(prune.pressure, fit.channels, student, fit.prunable)
    )
    theirs = teacher.evaluator.head
    return student_program(recipe, task, data, student, fit.head, teacher.model, theirs, fit.prunable, pressure)


def _collector(recipe: Recipe, program: Program) -> Collector | None:
    asked = needs(recipe.prune.criterion)
    return Collector(program, asked, recipe.seed) if asked else None


def _distil_dense(bench: Workbench, same: bool, listen: Listener, control: Control) -> None:
    """Store round 0: the student before any pruning."""
    record = bench.ledger.find("dense")
    if record is not None:
        damaged = bench.ledger.damaged(record)
        if not damaged:
            return
        file = bench.run.root / damaged[0]
        listen(Notice(f"{file} is damaged or missing; making the dense student again", "warning"))
    recipe, checkpoint = bench.recipe, bench.run.round(0).checkpoint(1)
    trained = None
    if not same:
        epochs = recipe.student.epochs or recipe.train.epochs
        stage = make_stage(bench.task, recipe.train, epochs, kind="dense", title="dense student", key=(recipe.seed, 1))
        bench.program.reset([v.numpy() for v in bench.model.variables], stage_seed(stage.key))
        bench.set_targets([], control.together)
        with Writer() as writer:
            trained = train_stage(bench.program, stage, checkpoint, writer, listen=listen, control=control)
    metrics = bench.evaluator.metrics(bench.task.dataset.validation)
    masks = {one.name: np.ones(one.variable.shape, bool) for one in bench.prunable}
    files = bench.keep(0, masks)
    seconds, curve = (trained.seconds, trained.curve) if trained else (0.0, [])
    facts = {"metrics": metrics, "seconds": seconds, "curve": curve}
    bench.ledger.append("dense", digest=student_digest(recipe), **facts, files=files)
    remove_states(checkpoint)
    if not same:
        listen(StageDone("dense", "dense student", metrics, seconds))
