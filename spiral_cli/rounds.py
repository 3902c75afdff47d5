"""The spiral itself: prune, distil, evaluate, accept or roll back, again and again.

Every turn starts from the last accepted state on disk, so a run that was killed and one that was
not go the same way. What has been done is read from the ledger, never from memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from spiral_cli.channel_turn import channel_turn
from spiral_cli.events import Listener, Notice, RoundDone
from spiral_cli.guard import Row, accepted_density, next_attempt
from spiral_cli.pruning.schedules import sparsities
from spiral_cli.student import Workbench
from spiral_cli.training.control import Control
from spiral_cli.turn import turn


def run_rounds(bench: Workbench, *, listen: Listener, control: Control) -> list[Row]:
    """Turn the screw until the schedule is done or the guard's patience is spent.

    Returns:
        every try as a row of the report, in order.

    Raises:
        DivergedError, InterruptedRun, TimeIsUp: as `train_stage`; rows so far are in the ledger.
    """
    schedule = sparsities(bench.recipe.prune.schedule)
    take_turn = channel_turn if bench.recipe.prune.granularity == "channel" else turn
    rows = bench.stored_rows(listen)
    for row in rows:
        listen(RoundDone(row, reused=True))
    while (attempt := next_attempt(rows, schedule, bench.recipe.guard.patience)) is not None:
        control.check()
        rows.append(take_turn(bench, attempt, rows, listen, control))
        listen(RoundDone(rows[-1]))
    if 1.0 > accepted_density(rows) > 1.0 - schedule[-1] + 1e-9:
        listen(Notice(ended_early(rows, schedule[-1], bench.recipe.guard.max_drop)))
    return rows


def ended_early(rows: Sequence[Row], asked: float, max_drop: float) -> str:
    """Return why the spiral ends above the density that its schedule asked for."""
    last = next(row for row in reversed(rows) if row["accepted"])
    # A target is of the recipe's measure, as FLOPs of channels; of weights, numbers of layers may lead elsewhere.
    reached = 1.0 - last["target_density"] if "left" in last else last["sparsity"]
    return (
        f"the schedule's sparsity of {asked:g} cost more than max_drop {max_drop:g}; the spiral ends at "
        f"{reached:.4g}. More train.epochs or prune.schedule.rounds, or a larger guard.max_drop, may reach further"
    )
