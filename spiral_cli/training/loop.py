"""Epochs through a compiled program: plan, chunks, checkpoints, and an exact way back in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spiral_cli.errors import DivergedError
from spiral_cli.events import EpochDone, Listener, Notice, Progress, StageStarted
from spiral_cli.pruning.packing import pack, unpack
from spiral_cli.training.checkpoint import newest_good, rotate_state
from spiral_cli.training.control import Control
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import CHUNK_STEPS, Program

Masks = dict[str, np.ndarray]
CHUNK_SECONDS = 0.5  # how long one call may run, so that Ctrl-C and the progress bar feel prompt


@dataclass(frozen=True)
class Stage:
    """One training from a start to an end: the teacher, a dense student, or a try of a round.

    Attributes:
        kind: ``teacher``, ``dense`` or ``round``.
        title: what a person calls it, for example ``round 3, try 1``.
        key: integers that name it, the seed first; they fix the order of its examples.
        count: training examples, without their augmented views.
        views: augmented copies of each example.
        batch_size: examples a step.
        rates: (steps,) learning rates of the whole stage.
        strengths: (steps,) factors of the sparsity pressure, zeros without one.
        epochs: how often every example is visited.
    """

    kind: str
    title: str
    key: tuple[int, ...]
    count: int
    views: int
    batch_size: int
    rates: np.ndarray
    strengths: np.ndarray
    epochs: int


@dataclass(frozen=True)
class Trained:
    """How a stage ended: mean losses of its last epoch, and seconds of training."""

    losses: Mapping[str, float]
    seconds: float
    masks: Masks = field(default_factory=dict)


@dataclass
class Position:
    """Where a stage stands. ``step`` counts within the epoch; ``sums`` are its losses so far."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    sums: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float64))


MaskEpoch = Callable[[Program, int, Masks], Masks]
Measure = Callable[[], Mapping[str, float]]


def train_stage(
    program: Program,
    stage: Stage,
    checkpoint: Path,
    *,
    masks: Masks | None = None,
    before_epoch: MaskEpoch | None = None,
    measure: Measure | None = None,
    listen: Listener,
    control: Control,
) -> Trained:
    """Train ``program`` from its present state, or from ``checkpoint`` where one is intact.

    After every epoch the whole state is written, so that a killed process loses less than one
    epoch and repeats the same bits. A stop that was asked for is taken at the next chunk and
    writes the state there.

    Args:
        program: at the state the stage begins with.
        stage: what to train.
        checkpoint: file of the stage's state; removed by the caller when its result is stored.
        masks: masks in force at the beginning.
        before_epoch: called before each epoch with the masks in force; sets and returns new ones.
        measure: gives validation metrics after each epoch, or None.
        listen: is told of every chunk and epoch.
        control: says when to stop.

    Raises:
        DivergedError: a loss is not finite.
        InterruptedRun, TimeIsUp: as `Control.check`.
    """
    position, masks = _take_up(program, checkpoint, dict(masks or {}), stage, listen)
    started = time.monotonic() - position.seconds
    listen(StageStarted(stage.kind, stage.title, stage.epochs, position.epoch))
    losses: dict[str, float] = {}

    def save() -> None:
        position.seconds = time.monotonic() - started
        _save(program, checkpoint, position, masks)

    while position.epoch < stage.epochs:
        if position.step == 0 and before_epoch is not None:
            masks = before_epoch(program, position.epoch, masks)
        for sums in _chunks(program, stage, position, started, listen):
            losses = _means(program, sums)
            _refuse_nan(losses, stage, position)
            if control.stop_asked and position.step:
                save()
                control.check()
        position.epoch, position.step = position.epoch + 1, 0
        position.sums = np.zeros_like(position.sums)
        metrics = dict(measure()) if measure is not None else {}
        save()
        listen(EpochDone(stage.kind, stage.title, position.epoch, stage.epochs, losses, metrics, position.seconds))
        if position.epoch < stage.epochs:
            control.check()
    return Trained(losses, position.seconds, masks)


def _chunks(program: Program, stage: Stage, position: Position, started: float, listen: Listener):
    """Run the rest of the epoch chunk by chunk; yield the sums of losses after each."""
    rows, valid = epoch_rows(stage.count, stage.batch_size, stage.key, position.epoch, stage.views)
    first = position.epoch * len(rows)
    if not position.sums.size:
        position.sums = np.zeros(len(program.objective.terms) + 1)
    length = 1
    while position.step < len(rows):
        here = slice(position.step, min(position.step + length, len(rows)))
        there = slice(first + here.start, first + here.stop)
        begun = time.monotonic()
        position.sums = position.sums + program.run(rows[here], valid[here], stage.rates[there], stage.strengths[there])
        spent = max(time.monotonic() - begun, 1e-6)
        length = max(1, min(CHUNK_STEPS, 2 * length, int(CHUNK_SECONDS * (here.stop - here.start) / spent)))
        position.step = here.stop
        done = position.epoch + position.step / len(rows)
        mean = float(position.sums[0] / max(position.sums[-1], 1e-12))
        listen(Progress(stage.kind, done, stage.epochs, time.monotonic() - started, mean))
        yield position.sums


def _means(program: Program, sums: np.ndarray) -> dict[str, float]:
    means = sums[:-1] / max(sums[-1], 1e-12)
    return {name: float(value) for name, value in zip(program.objective.terms, means, strict=True)}


def _refuse_nan(losses: Mapping[str, float], stage: Stage, position: Position) -> None:
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    if bad:
        peak = float(stage.rates.max())
        raise DivergedError(
            f"{bad[0]} became {losses[bad[0]]} in {stage.title}, epoch {position.epoch + 1} of {stage.epochs}, "
            f"step {position.step}. Likely causes: the learning rate (peak {peak:g}) is too high, the inputs are not "
            "in the range data.scale says, or the data hold NaN. The last good state is kept in the run folder; "
            "lower the rate and use another --run folder, or --fresh"
        )


def _save(program: Program, checkpoint: Path, position: Position, masks: Masks) -> None:
    groups = {"state": program.state(), "mask": pack(masks), "hold": pack(program.held())}
    arrays = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    facts = {"epoch": position.epoch, "step": position.step, "seconds": position.seconds, "sums": list(position.sums)}
    rotate_state(checkpoint, arrays, facts)


def _take_up(
    program: Program, checkpoint: Path, masks: Masks, stage: Stage, listen: Listener
) -> tuple[Position, Masks]:
    """Restore the newest intact checkpoint of the stage, or begin it."""
    arrays, facts, damaged = newest_good(checkpoint)
    for file in damaged:
        listen(Notice(f"{file} is damaged (its checksum does not match); using the last good state before it", "warning"))
    if arrays is None:
        return Position(), masks
    groups: dict[str, dict[str, np.ndarray]] = {"state": {}, "mask": {}, "hold": {}}
    for path, array in arrays.items():
        group, _, name = path.partition("/")
        groups[group][name] = array
    program.restore(groups["state"])
    program.hold(unpack(groups["hold"]))
    position = Position(facts["epoch"], facts["step"], facts["seconds"], np.array(facts["sums"], np.float64))
    listen(Notice(f"{stage.title} goes on after epoch {position.epoch} of {stage.epochs}"))
    return position, unpack(groups["mask"])
