"""Epochs through a compiled program: plan, chunks, masks made anew, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spiral_cli.errors import DivergedError
from spiral_cli.events import EpochDone, Listener, Notice, Progress, StageStarted
from spiral_cli.training.arrays import Feed
from spiral_cli.training.control import Control
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import CHUNK_STEPS, Program
from spiral_cli.training.resume import Curve, Masks, Position, Saver, take_up
from spiral_cli.training.writer import Writer

RECALIBRATION = 3  # names its order of examples among a stage's
CHUNK_SECONDS = 0.5  # how long one call may run, so that Ctrl-C and the progress bar feel prompt


@dataclass(frozen=True)
class Stage:
    """One training from a start to an end: the teacher, a dense student, a try of a round, or shared values.

    Attributes:
        kind: ``teacher``, ``dense``, ``round`` or ``tuning``.
        title: what a person calls it, for example ``round 3, try 1``.
        key: integers that name it, the seed first; they fix the order of its examples.
        count: training examples, without their augmented views.
        views: augmented copies of each example.
        batch_size: examples a step.
        rates: (steps,) learning rates of the whole stage.
        strengths: (steps,) factors of the sparsity pressure, zeros without one.
        gains: (steps,) of the running average of the variables; zeros without one.
        epochs: how often every example is visited.
        remakes: steps before which masks are made anew.
        lengths: (count,) or (views · count,) of the examples where they differ, or None.
    """

    kind: str
    title: str
    key: tuple[int, ...]
    count: int
    views: int
    batch_size: int
    rates: np.ndarray
    strengths: np.ndarray
    gains: np.ndarray
    epochs: int
    remakes: tuple[int, ...] = ()
    lengths: np.ndarray | None = None

    def epoch(self, number: int, *purpose: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows (steps, batch) of an epoch and which of them count, as `plan.epoch_rows`."""
        key = (*self.key, *purpose)
        return epoch_rows(self.count, self.batch_size, key, number, self.views, self.lengths)

    @property
    def seams(self) -> tuple[int, ...]:
        """The steps before which the work changes: masks are made anew, the average begins."""
        return (*self.remakes, *np.flatnonzero(self.gains)[:1].tolist())


@dataclass(frozen=True)
class Trained:
    """How a stage ended: mean losses of its last epoch, seconds of training, masks in force, losses by epoch."""

    losses: Mapping[str, float]
    seconds: float
    masks: Masks
    curve: Curve


Remake = Callable[[Program, int, Masks], Masks]
Measure = Callable[[], Mapping[str, float]]


def train_stage(
    program: Program,
    stage: Stage,
    checkpoint: Path,
    writer: Writer,
    *,
    masks: Masks | None = None,
    remake: Remake | None = None,
    measure: Measure | None = None,
    listen: Listener,
    control: Control,
) -> Trained:
    """Train ``program`` from its present state, or from ``checkpoint`` where one is intact.

    After every epoch the whole state is written while the next one trains, so that a killed process
    loses less than two epochs and repeats the same bits. A stop that was asked for is taken at the
    next chunk, once the state there is written. The last write may still be under way at the end.

    Args:
        program: at the state the stage begins with.
        stage: what to train.
        checkpoint: file of the stage's state; removed by the caller when its result is stored.
        writer: writes the checkpoint; left by the caller before the result is stored.
        masks: masks in force at the beginning.
        remake: called before each of the stage's ``remakes`` with the step and the masks in
            force; sets new ones in the program and returns them.
        measure: gives validation metrics after each epoch, or None.
        listen: is told of every chunk and epoch.
        control: says when to stop.

    Raises:
        DivergedError: a loss or a weight is not finite.
        InterruptedRun, TimeIsUp: as `Control.check`.
        DiskFullError, SpiralError: a checkpoint cannot be written.
    """
    position, masks, refused = take_up(program, checkpoint, dict(masks or {}))
    for error in refused:
        listen(Notice(f"{error}; going on from the last good state before it", "warning"))
    listen(StageStarted(stage.kind, stage.title, stage.epochs, position.epoch))
    saver = Saver(program, checkpoint, writer)
    before, started = position.seconds, time.monotonic()
    length = 1
    while position.epoch < stage.epochs:
        rows, valid = stage.epoch(position.epoch)
        fed = program.feed(rows[position.step :])
        while position.step < len(rows):
            at = position.epoch * len(rows) + position.step
            if remake is not None and at in stage.remakes:
                masks = remake(program, at, masks)
            spent = _run_chunk(program, stage, position, rows, valid, fed, length)
            length = next_length(length, control.together.most(spent))
            position.seconds = before + time.monotonic() - started
            done = position.epoch + position.step / len(rows)
            losses = _means(program, position, stage)
            listen(Progress(stage.kind, done, stage.epochs, position.seconds, losses["loss"]))
            if control.stop_asked:
                saver.save(position, masks)
                writer.wait()
                control.check()
        _end_epoch(program, stage, position)
        if not program.finite():  # a loss is that before its update, so the last one does not tell
            raise diverged("a weight", "NaN or infinite", stage, position.epoch, len(rows), program.precision)
        metrics = dict(measure()) if measure is not None else {}
        position.curve.append({"losses": position.losses, "metrics": metrics})
        saver.save(position, masks)
        listen(
            EpochDone(stage.kind, stage.title, position.epoch, stage.epochs, position.losses, metrics, position.seconds)
        )
    _polish(program, stage)
    return Trained(position.losses, position.seconds, masks, position.curve)


def _polish(program: Program, stage: Stage) -> None:
    """End a stage: the variables become their average, and batch normalisation is measured anew."""
    if stage.gains.any():
        program.take_average()
    rows, valid = stage.epoch(0, RECALIBRATION)
    program.recalibrate(rows[valid.all(axis=1)])


def _run_chunk(
    program: Program,
    stage: Stage,
    position: Position,
    rows: np.ndarray,
    valid: np.ndarray,
    fed: Feed | None,
    length: int,
) -> float:
    """Take up to ``length`` steps, none beyond the epoch or a seam of the stage; return the seconds of one."""
    first = position.epoch * len(rows)
    stop = min(position.step + length, len(rows))
    following = [at - first for at in stage.seams if position.step < at - first < stop]
    here = slice(position.step, min([stop, *following]))
    there = slice(first + here.start, first + here.stop)
    started = time.monotonic()
    sums = program.run(rows[here], valid[here], stage.rates[there], stage.strengths[there], stage.gains[there], fed)
    spent = time.monotonic() - started
    before = position.sums or [0.0] * len(sums)
    position.sums = [a + float(b) for a, b in zip(before, sums, strict=True)]
    position.step = here.stop
    return spent / (here.stop - here.start)


def next_length(length: int, seconds: float) -> int:
    """Return how many steps the next chunk takes after one of ``length`` with so many ``seconds`` a step."""
    return max(1, min(CHUNK_STEPS, 2 * length, int(CHUNK_SECONDS / max(seconds, 1e-6))))


def _end_epoch(program: Program, stage: Stage, position: Position) -> None:
    position.losses = _means(program, position, stage)
    position.epoch, position.step, position.sums = position.epoch + 1, 0, []


def _means(program: Program, position: Position, stage: Stage) -> dict[str, float]:
    """Return the mean losses of the epoch so far.

    Raises:
        DivergedError: one is not finite.
    """
    *sums, weight = position.sums
    means = {name: value / max(weight, 1e-12) for name, value in zip(program.objective.terms, sums, strict=True)}
    for name, value in means.items():
        if not math.isfinite(value):
            raise diverged(name, str(value), stage, position.epoch + 1, position.step, program.precision)
    return means


def diverged(what: str, value: str, stage: Stage, epoch: int, step: int, precision: str) -> DivergedError:
    """Return the error that says what is not finite, where, and the likely causes."""
    narrow = ", or a layer gives more than float16's 65,504 (mixed_bfloat16 holds it)"
    cause = narrow if precision == "mixed_float16" else ""
    return DivergedError(
        f"{what} became {value} in {stage.title}, epoch {epoch} of {stage.epochs}, step {step}. "
        f"Likely causes: the learning rate (peak {float(stage.rates.max()):g}) is too high, the inputs are not in "
        f"the range data.scale says, or the data hold NaN{cause}. The last good state is kept in the run folder; "
        "lower the rate and give another --run folder, or start over with --fresh"
    )
