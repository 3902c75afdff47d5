"""One turn of the screw on single weights: masks that grow while the student trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spiral_cli.cut import REMAKES_PER_EPOCH, Cut, cut_steps
from spiral_cli.events import Listener
from spiral_cli.guard import Attempt, Row, accepted_density
from spiral_cli.pruning.pressure import pressure_course, pressure_strength
from spiral_cli.student import Workbench
from spiral_cli.training.build import make_stage
from spiral_cli.training.checkpoint import remove_states
from spiral_cli.training.control import Control
from spiral_cli.training.loop import Stage, train_stage
from spiral_cli.training.plan import average_gains, stage_seed
from spiral_cli.training.resume import Masks
from spiral_cli.training.writer import Writer
from spiral_cli.verdict import decision, judge, store


def turn(bench: Workbench, attempt: Attempt, rows: Sequence[Row], listen: Listener, control: Control) -> Row:
    """Make one try of one round: prune and distil from the last accepted state, measure, keep or roll back.

    Rolling back is not storing: the next turn starts from the last state that was kept.
    """
    checkpoint = bench.run.round(attempt.round).checkpoint(attempt.attempt)
    stage = round_stage(bench, attempt)
    bench.set_targets(rows, control.together)
    masks = begin(bench, rows, stage)
    cut = make_cut(bench, attempt, rows, stage, masks)
    with Writer() as writer:
        trained = train_stage(
            bench.program,
            stage,
            checkpoint,
            writer,
            masks=masks,
            remake=cut.remake,
            listen=listen,
            control=control,
        )
        row = judge(bench, attempt, stage, trained)
    control.together.agree(f"{stage.title}: its masks and whether it is accepted", decision(row, trained.masks))
    files = store(bench, row, rows, trained.masks)
    bench.ledger.append("round", row=row, curve=trained.curve, files=files)
    remove_states(checkpoint)
    return row


def round_stage(bench: Workbench, attempt: Attempt) -> Stage:
    """Return the training of one try: its learning rate restarts, its pressure builds up and ends.

    The student is the mean of the weights over the last part of the round.
    """
    recipe, prune = bench.recipe, bench.recipe.prune
    stage = make_stage(
        bench.task,
        recipe.train,
        recipe.train.epochs,
        kind="round",
        title=f"round {attempt.round}, try {attempt.attempt}",
        key=(recipe.seed, 2, attempt.round, attempt.attempt),
    )
    steps = len(stage.rates)
    per_epoch = 1 if bench.collect else REMAKES_PER_EPOCH  # evidence costs a pass over some batches
    remakes = cut_steps(stage.epochs, steps, prune.cut, per_epoch)
    tail = min(recipe.train.average, 1.0 - remakes[-1] / steps)  # only masks that stay can be averaged
    stage = replace(stage, remakes=remakes, gains=average_gains(steps, tail))
    if prune.pressure is None:
        return stage
    strength = pressure_strength(prune.pressure.strength, attempt.density)
    course = [pressure_course(step / steps, prune.cut) for step in range(steps)]
    return replace(stage, strengths=np.float32(strength) * np.array(course, np.float32))


def begin(bench: Workbench, rows: Sequence[Row], stage: Stage) -> Masks:
    """Put the program at the last accepted state, or at its masks on the dense weights; return the masks."""
    last = next((row["round"] for row in reversed(rows) if row["accepted"]), 0)
    variables, masks = bench.kept(last)
    if bench.recipe.prune.weights == "rewind":
        variables, _ = bench.kept(0)
    bench.program.reset(variables, stage_seed(stage.key))
    bench.program.cut(masks)
    bench.program.hold(masks)
    return masks


def make_cut(bench: Workbench, attempt: Attempt, rows: Sequence[Row], stage: Stage, masks: Masks) -> Cut:
    """Return the pruning of one try, from the masks of the last accepted state."""
    return Cut(
        settings=bench.recipe.prune,
        within=masks,
        start=accepted_density(rows),
        end=attempt.density,
        steps=stage.remakes,
        collect=bench.collect,
        key=stage.key,
        batch_size=stage.batch_size,
    )
