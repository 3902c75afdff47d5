"""How long a recipe takes here, from a few of its steps: the compiled step itself, on the recipe's own data.

What is timed is thrown away; nothing is written to the run folder.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import keras
import numpy as np

from spiral_cli.channel_turn import stages
from spiral_cli.data.pipeline import first
from spiral_cli.distillation.topk import INDICES, REST, VALUES
from spiral_cli.evaluate import Evaluator
from spiral_cli.fitting import is_copy
from spiral_cli.guard import Attempt
from spiral_cli.lessons import Footprint
from spiral_cli.recipe import Recipe
from spiral_cli.student import Workbench
from spiral_cli.tasks.task import Task
from spiral_cli.timing import seconds
from spiral_cli.training.build import make_stage, teacher_program
from spiral_cli.training.control import Control
from spiral_cli.training.loop import Stage, next_length
from spiral_cli.training.program import Program
from spiral_cli.training.targets import real_places
from spiral_cli.turn import make_cut, round_stage

SECONDS, MOST_SECONDS = 1.5, 20.0  # of steps, once they are compiled: enough, and where even the fewest end
LEAST_CHUNKS = 8
REPEATS = 3  # of what a round does only now and then
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
    bench: Workbench,
    students: Sequence[keras.Model],
    densities: Sequence[float],
    footprint: Footprint,
    control: Control,
    *,
    trained: bool,
) -> Estimate:
    """Take a few steps of everything the recipe trains and say how long all of them take.

    Args:
        bench: the dense student and its teacher; their variables change, and files go to its run folder.
        students: the dense one and that after each round, where channels leave; else none.
        densities: after each round.
        footprint: of the teachers' outputs, which are stood in for.
        control: says when to stop.
        trained: the teacher need not be trained any more.

    Raises:
        InterruptedRun: asked to stop.
    """
    recipe = bench.recipe
    targets = stand_ins(bench, footprint)
    bench.program.set_targets(targets)
    dense = 0.0
    if not is_copy(recipe):
        epochs = recipe.student.epochs or recipe.train.epochs
        stage = make_stage(bench.task, recipe.train, epochs, kind="dense", title="dense", key=(recipe.seed, 1))
        dense = stage_seconds(bench.program, stage)
    control.check()
    if recipe.prune.granularity == "channel":
        rounds = tuple(channel_rounds(bench, students, densities, targets, control))
    else:
        rounds = mask_rounds(bench, densities)
    control.check()
    asked = asking(bench)
    needed = recipe.teacher.epochs and not trained
    teacher = teacher_training(recipe, bench.task, bench.teacher.model) if needed else 0.0
    return Estimate(teacher, dense, asked, rounds)


def teacher_training(recipe: Recipe, task: Task, model: keras.Model) -> float:
    """Return the seconds that training the teacher takes, measured on validation after each epoch."""
    settings = recipe.teacher
    head = task.head(model, settings.output)
    stage = make_stage(task, settings, settings.epochs, kind="teacher", title="teacher", key=(recipe.seed, 0))
    program = teacher_program(task, model, head, settings, recipe.precision)
    return stage_seconds(program, stage) + stage.epochs * measuring(Evaluator(task, model, head))


def mask_rounds(bench: Workbench, densities: Sequence[float]) -> tuple[float, ...]:
    """Return the seconds of each round that makes masks; all but the first find the step compiled."""
    program, attempt = bench.program, Attempt(1, 1, densities[0])
    stage = round_stage(bench, attempt)
    compiling, training = stage_parts(program, stage)
    masks = {one.name: np.ones(one.variable.shape, bool) for one in bench.prunable}
    cut = make_cut(bench, attempt, [], stage, masks)
    first, *later = (seconds(partial(cut.remake, program, stage.remakes[0], masks)) for _ in range(REPEATS + 1))
    again = statistics.median(later)
    each = training + len(stage.remakes) * again + measuring(bench.evaluator)
    return (each + compiling + max(first - again, 0.0), *[each] * (len(densities) - 1))


def channel_rounds(
    bench: Workbench,
    students: Sequence[keras.Model],
    densities: Sequence[float],
    targets: Mapping[str, np.ndarray],
    control: Control,
) -> Iterator[float]:
    """Yield the seconds of each round that removes channels: every student has a step of its own to be compiled."""
    for number, ((wide, narrow), density) in enumerate(zip(pairwise(students), densities, strict=True), 1):
        before, after = stages(bench, Attempt(number, 1, density))
        spent = 0.0
        for model, stage in ((wide, before), (narrow, after)):
            if stage is not None:
                control.check()
                here = bench.on(model)
                here.program.set_targets(targets)
                spent += stage_seconds(here.program, stage)
        yield spent + measuring(here.evaluator)


def stage_seconds(program: Program, stage: Stage) -> float:
    """Return the seconds of a stage whose step is not compiled yet."""
    return sum(stage_parts(program, stage))


def stage_parts(program: Program, stage: Stage) -> tuple[float, float]:
    """Return the seconds in which a stage compiles its steps, and those in which it takes them."""
    plain = pace(program, stage, 0)
    tail = np.flatnonzero(stage.gains)  # steps with a running average are a program of their own
    averaged = pace(program, stage, int(tail[0])) if len(tail) else Pace(0.0, plain.step)
    rows, _ = stage.epoch(0)
    again = seconds(partial(program.recalibrate, rows))
    steps = len(stage.rates) - len(tail)
    return plain.compile + averaged.compile, steps * plain.step + len(tail) * averaged.step + again


def pace(program: Program, stage: Stage, at: int) -> Pace:
    """Return the pace of a stage's steps from step ``at`` on; they change the program's variables.

    Chunks grow as in training. The median of the later half tells the pace: a machine that is busy for a
    moment, when a step may take a thousand times as long, must not be extrapolated.

    Args:
        program: with targets set.
        stage: whose rates, strengths and gains the steps have.
        at: a step of the stage.
    """
    rows, valid = stage.epoch(0)
    fed = program.feed(rows)
    chunks: list[float] = []  # seconds of one of their steps
    position, length, spent = 0, 1, 0.0
    while position < len(rows) and spent < MOST_SECONDS and (len(chunks) < LEAST_CHUNKS or spent < SECONDS):
        here = slice(position, min(position + length, len(rows)))
        there = np.minimum(at + np.arange(here.stop - here.start), len(stage.rates) - 1)
        plan = (rows[here], valid[here], stage.rates[there], stage.strengths[there], stage.gains[there])
        took = seconds(partial(program.run, *plan, fed))
        chunks.append(took / len(there))
        if position:  # before, it was compiled
            spent, length = spent + took, next_length(length, took / len(there))
        position = here.stop
    compiled, *later = chunks
    step = statistics.median(later[len(later) // 2 :] or [compiled])
    return Pace(max(compiled - step, 0.0), step)


def asking(bench: Workbench) -> float:
    """Return the seconds in which the teacher gives its outputs for every training input."""
    if bench.recipe.distill.targets == "online":
        return 0.0
    sample = first(bench.task.train_inputs, SAMPLE)
    evaluator = bench.teacher.evaluator
    compiling = seconds(partial(evaluator.logits, sample))
    again = seconds(partial(evaluator.logits, sample))
    return max(compiling - again, 0.0) + again * len(bench.task.train_inputs) / len(sample)


def measuring(evaluator: Evaluator) -> float:
    """Return the seconds of a validation, once it is compiled."""
    validation = evaluator.task.dataset.validation
    evaluator.logits(validation.x)
    return statistics.median(seconds(partial(evaluator.logits, validation.x)) for _ in range(REPEATS))


def stand_ins(bench: Workbench, footprint: Footprint) -> dict[str, np.ndarray]:
    """Return targets of the right shapes, in memory or mapped from disk as they would be; their values are zeros."""
    folder = bench.run.root
    rows, (*places, outputs) = len(bench.task.train_inputs), bench.task.output_shape
    targets: dict[str, np.ndarray] = {}
    if bench.recipe.distill.targets == "cached" and not footprint.on_disk:
        targets["logits"] = np.zeros((rows, *places, outputs), np.float32)
    elif bench.recipe.distill.targets == "cached":
        shape = (rows, *places, footprint.kept or outputs)
        for number, name in enumerate((INDICES, VALUES) if footprint.kept else ("logits",)):
            kind = np.uint16 if name == INDICES else np.float16
            targets[name] = np.memmap(folder / f"{number}.bin", kind, "w+", shape=shape)
        if footprint.kept:
            targets[REST] = np.memmap(folder / "rest.bin", np.float16, "w+", shape=shape[:-1])
    hints = bench.program.objective.hints
    targets.update(real_places(hints, bench.task.train_lengths, rows))
    targets.update({f"energy/{i}": np.asarray(1.0, np.float32) for i in range(len(hints))})
    if hints and not bench.program.online:
        targets.update({f"feature/{i}": np.zeros((rows, *h.teacher_shape), np.float32) for i, h in enumerate(hints)})
    return targets
