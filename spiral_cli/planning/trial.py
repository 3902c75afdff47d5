"""How long a recipe takes here, from a few of its steps: the compiled step itself, on the recipe's own data.

What is timed is thrown away; nothing is written to the run folder.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spiral_cli.data.pipeline import first
from spiral_cli.distillation.topk import INDICES, REST, VALUES
from spiral_cli.evaluate import Evaluator
from spiral_cli.fitting import is_copy
from spiral_cli.guard import Attempt
from spiral_cli.lessons import Footprint
from spiral_cli.recipe import Recipe
from spiral_cli.run import RunFolder
from spiral_cli.student import Workbench, lay_out
from spiral_cli.tasks.task import Task
from spiral_cli.teacher import TrainedTeacher
from spiral_cli.training.build import make_stage, teacher_program
from spiral_cli.training.loop import Stage, next_length
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import Program
from spiral_cli.training.saving import save_model
from spiral_cli.turn import make_cut, round_stage

SECONDS = 1.5  # of steps, once they are compiled
SAMPLE = 2048  # inputs the teacher is asked about


@dataclass(frozen=True)
class Estimate:
    """Seconds of a run's parts, if no round is rolled back; loading, exports and the report come on top.

    Attributes:
        teacher: training it; 0 where it is there.
        dense: distilling a student that is no copy, before any pruning.
        targets: asking the teacher about every training input.
        rounds: each round; the first compiles the step.
    """

    teacher: float
    dense: float
    targets: float
    rounds: tuple[float, ...]

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return self.teacher + self.dense + self.targets + sum(self.rounds)


@dataclass(frozen=True)
class Pace:
    """Seconds a step, and of compiling before the first."""

    compile: float
    step: float


def estimate(
    recipe: Recipe,
    task: Task,
    teacher: keras.Model,
    footprint: Footprint,
    densities: Sequence[float],
    folder: Path,
    *,
    trained: bool,
) -> Estimate:
    """Take a few steps of everything the recipe trains and say how long all of them take.

    Args:
        recipe, task: what is planned.
        teacher: built; its variables may change.
        footprint: of the teachers' outputs, which are stood in for.
        densities: after each round.
        folder: an empty one for what the trial writes.
        trained: the teacher need not be trained any more.
    """
    head = task.head(teacher, recipe.teacher.output)
    needed = recipe.teacher.epochs and not trained
    teacher_seconds = teacher_training(recipe, task, teacher) if needed else 0.0
    run = RunFolder(folder)
    save_model(teacher, run.teacher)
    bench = lay_out(recipe, task, TrainedTeacher(Evaluator(task, teacher, head), {}, 0.0), run)
    bench.program.set_targets(stand_ins(bench, footprint, folder))
    rounds, dense = round_training(bench, densities)
    return Estimate(teacher_seconds, dense, asking(bench), rounds)


def teacher_training(recipe: Recipe, task: Task, model: keras.Model) -> float:
    """Return the seconds that training the teacher takes, measured on validation after each epoch."""
    settings = recipe.teacher
    head = task.head(model, settings.output)
    stage = make_stage(task, settings, settings.epochs, kind="teacher", title="teacher", key=(recipe.seed, 0))
    found = pace(teacher_program(task, model, head, settings, recipe.precision), stage, 0)
    return found.compile + found.step * len(stage.rates) + stage.epochs * measuring(Evaluator(task, model, head))


def round_training(bench: Workbench, densities: Sequence[float]) -> tuple[tuple[float, ...], float]:
    """Return the seconds of each round, and those of dense distillation where there is some."""
    recipe, program = bench.recipe, bench.program
    attempt = Attempt(1, 1, densities[0])
    stage = round_stage(bench, attempt)
    plain = pace(program, stage, 0)
    tail = np.flatnonzero(stage.gains)  # steps with a running average are a program of their own
    averaged = pace(program, stage, int(tail[0])) if len(tail) else plain
    masks = {one.name: np.ones(one.variable.shape, bool) for one in bench.prunable}
    cut = make_cut(bench, attempt, [], stage, masks)
    remakes = [seconds_of(partial(cut.remake, program, stage.remakes[0], masks)) for _ in range(2)]
    rows, _ = epoch_rows(stage.count, stage.batch_size, stage.key, 0, stage.views)
    again = len(stage.remakes) * remakes[1] + seconds_of(partial(program.recalibrate, rows))
    steps = len(stage.rates)
    each = (steps - len(tail)) * plain.step + len(tail) * averaged.step + again + measuring(bench.evaluator)
    compiling = plain.compile + (averaged.compile if len(tail) else 0.0) + max(remakes[0] - remakes[1], 0.0)
    dense = 0.0
    if not is_copy(recipe):
        dense = plain.compile + plain.step * steps / stage.epochs * (recipe.student.epochs or recipe.train.epochs)
        compiling -= plain.compile
    return (each + compiling, *[each] * (len(densities) - 1)), dense


def pace(program: Program, stage: Stage, at: int) -> Pace:
    """Return the pace of a stage's steps from step ``at`` on; they change the program's variables.

    Chunks grow as in training; the longest ones tell the pace.

    Args:
        program: with targets set.
        stage: whose rates, strengths and gains the steps have.
        at: a step of the stage.
    """
    rows, valid = epoch_rows(stage.count, stage.batch_size, stage.key, 0, stage.views)
    fed = program.feed(rows)
    chunks: list[tuple[int, float]] = []  # steps, seconds of one
    position, length, spent = 0, 1, 0.0
    while position < len(rows) and (len(chunks) < 2 or spent < SECONDS):
        here = slice(position, min(position + length, len(rows)))
        there = np.minimum(at + np.arange(here.stop - here.start), len(stage.rates) - 1)
        plan = (rows[here], valid[here], stage.rates[there], stage.strengths[there], stage.gains[there])
        seconds = seconds_of(partial(program.run, *plan, fed))
        chunks.append((len(there), seconds / len(there)))
        if position:  # before, it was compiled
            spent, length = spent + seconds, next_length(length, seconds / len(there))
        position = here.stop
    (_, compiled), *later = chunks
    longest = max((steps for steps, _ in later), default=1)
    step = statistics.median([one for steps, one in later if steps == longest] or [compiled])
    return Pace(max(compiled - step, 0.0), step)


def asking(bench: Workbench) -> float:
    """Return the seconds in which the teacher gives its outputs for every training input."""
    if bench.recipe.distill.targets == "online":
        return 0.0
    sample = first(bench.task.train_inputs, SAMPLE)
    evaluator = bench.teacher.evaluator
    compiling = seconds_of(partial(evaluator.logits, sample))
    again = seconds_of(partial(evaluator.logits, sample))
    return max(compiling - again, 0.0) + again * len(bench.task.train_inputs) / len(sample)


def measuring(evaluator: Evaluator) -> float:
    """Return the seconds of a validation, once it is compiled."""
    validation = evaluator.task.dataset.validation
    evaluator.logits(validation.x)
    return seconds_of(partial(evaluator.logits, validation.x))


def seconds_of(work: Callable[[], Any]) -> float:
    """Return the seconds that ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def stand_ins(bench: Workbench, footprint: Footprint, folder: Path) -> dict[str, np.ndarray]:
    """Return targets of the right shapes, in memory or mapped from disk as they would be; their values are zeros."""
    rows, outputs = len(bench.task.train_inputs), bench.task.outputs
    targets: dict[str, np.ndarray] = {}
    if bench.recipe.distill.targets == "cached" and not footprint.on_disk:
        targets["logits"] = np.zeros((rows, outputs), np.float32)
    elif bench.recipe.distill.targets == "cached":
        width = footprint.kept or outputs
        shapes = {"logits": (rows, width)} if not footprint.kept else {INDICES: (rows, width), VALUES: (rows, width)}
        for number, (name, shape) in enumerate(shapes.items()):
            kind = np.uint16 if name == INDICES else np.float16
            targets[name] = np.memmap(folder / f"{number}.bin", kind, "w+", shape=shape)
        if footprint.kept:
            targets[REST] = np.memmap(folder / "rest.bin", np.float16, "w+", shape=(rows,))
    hints = bench.program.objective.hints
    targets.update({f"energy/{i}": np.asarray(1.0, np.float32) for i in range(len(hints))})
    if hints and not bench.program.online:
        targets.update({f"feature/{i}": np.zeros((rows, *h.teacher_shape), np.float32) for i, h in enumerate(hints)})
    return targets
