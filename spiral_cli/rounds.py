"""The spiral itself: prune, distil, evaluate, accept or roll back, again and again.

Every turn starts from the last accepted state on disk, so a run that was killed and one that was
not go the same way. What has been done is read from the ledger, never from memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from spiral_cli.cut import REMAKES_PER_EPOCH, Cut, cut_steps
from spiral_cli.errors import DivergedError
from spiral_cli.evaluate import measure_size
from spiral_cli.events import Listener, Notice, RoundDone
from spiral_cli.guard import Attempt, Row, accepted_density, drop, monitor_mode, next_attempt, within_budget
from spiral_cli.pruning.packing import pack
from spiral_cli.pruning.pressure import pressure_course, pressure_strength
from spiral_cli.pruning.schedules import sparsities
from spiral_cli.student import Workbench
from spiral_cli.training.build import make_stage
from spiral_cli.training.checkpoint import remove_states
from spiral_cli.training.control import Control
from spiral_cli.training.loop import Stage, Trained, train_stage
from spiral_cli.training.plan import average_gains, stage_seed
from spiral_cli.training.resume import Masks
from spiral_cli.training.saving import save_model
from spiral_cli.training.writer import Writer


def run_rounds(bench: Workbench, *, listen: Listener, control: Control) -> list[Row]:
    """Turn the screw until the schedule is done or the guard's patience is spent.

    Returns:
        every try as a row of the report, in order.

    Raises:
        DivergedError, InterruptedRun, TimeIsUp: as `train_stage`; rows so far are in the ledger.
    """
    schedule = sparsities(bench.recipe.prune.schedule)
    rows = bench.stored_rows(listen)
    for row in rows:
        listen(RoundDone(row, reused=True))
    while (attempt := next_attempt(rows, schedule, bench.recipe.guard.patience)) is not None:
        control.check()
        rows.append(turn(bench, attempt, rows, listen, control))
        listen(RoundDone(rows[-1]))
    if 1.0 > accepted_density(rows) > 1.0 - schedule[-1] + 1e-9:
        listen(Notice(ended_early(rows, schedule[-1], bench.recipe.guard.max_drop)))
    return rows


def ended_early(rows: Sequence[Row], asked: float, max_drop: float) -> str:
    """Return why the spiral ends above the density that its schedule asked for."""
    reached = 1.0 - accepted_density(rows)
    return (
        f"the schedule's sparsity of {asked:g} cost more than max_drop {max_drop:g}; the spiral ends at "
        f"{reached:.4g}. More train.epochs or prune.schedule.rounds, or a larger guard.max_drop, may reach further"
    )


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


def judge(bench: Workbench, attempt: Attempt, stage: Stage, trained: Trained) -> Row:
    """Measure the student as it now is and return its row of the report."""
    guard = bench.recipe.guard
    try:
        metrics = bench.evaluator.metrics(bench.task.dataset.validation)
    except DivergedError as error:
        raise DivergedError(f"{stage.title}, after its last epoch: {error}") from error
    lost = drop(bench.teacher.metrics[guard.monitor], metrics[guard.monitor], monitor_mode(guard.monitor, guard.mode))
    size = measure_size(bench.model, bench.prunable)
    return {
        "round": attempt.round,
        "attempt": attempt.attempt,
        "target_density": attempt.density,
        "sparsity": size.sparsity,
        "density": size.density,
        "nonzero": size.nonzero,
        "parameters": size.parameters,
        "losses": dict(trained.losses),
        "metrics": {"validation": metrics},
        "drop": lost,
        "accepted": within_budget(lost, guard.max_drop),
        "epochs": stage.epochs,
        "seconds": trained.seconds,
    }


def decision(row: Row, masks: Masks) -> str:
    """Return what all who train together must have come to."""
    digest = hashlib.blake2b(digest_size=16)
    for name, bits in sorted(pack(masks).items()):
        digest.update(name.encode() + np.ascontiguousarray(bits).tobytes())
    return json.dumps([row["target_density"], row["accepted"], digest.hexdigest()])


def store(bench: Workbench, row: Row, rows: Sequence[Row], masks: Masks) -> tuple[Path, ...]:
    """Keep an accepted student; keep a failed one aside while none was accepted and it is the best so far."""
    if row["accepted"]:
        return bench.keep(row["round"], masks)
    best = min((other["drop"] for other in rows), default=np.inf)
    if not any(other["accepted"] for other in rows) and row["drop"] < best:
        file = bench.run.round(row["round"]).failed(row["attempt"])
        save_model(bench.model, file)
        return (file,)
    return ()
