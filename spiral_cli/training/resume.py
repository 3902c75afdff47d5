"""Where a training stage stands, written whole and taken up again to the last bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.pruning.packing import pack, unpack
from spiral_cli.training.checkpoint import newest_good, rotate_state
from spiral_cli.training.program import Program

Masks = dict[str, np.ndarray]


@dataclass
class Position:
    """How far a stage has come.

    Attributes:
        epoch: epochs that have ended.
        step: steps taken within the present one.
        seconds: of training so far, over all processes that took part.
        sums: of the losses of the present epoch, as `Program.run` returns them.
        losses: means of the last epoch that ended.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    sums: list[float] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)


def save_position(program: Program, checkpoint: Path, position: Position, masks: Masks) -> None:
    """Write the whole training state; the checkpoint before it is kept too."""
    groups = {"state": program.state(), "mask": pack(masks), "hold": pack(program.held())}
    arrays = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    rotate_state(checkpoint, arrays, asdict(position))


def take_up(program: Program, checkpoint: Path, masks: Masks) -> tuple[Position, Masks, list[Path]]:
    """Restore the newest intact checkpoint, or begin with ``masks``; also name the damaged files met."""
    arrays, facts, damaged = newest_good(checkpoint)
    if arrays is None:
        return Position(), masks, damaged
    groups: dict[str, dict[str, Any]] = {"state": {}, "mask": {}, "hold": {}}
    for path, array in arrays.items():
        group, _, name = path.partition("/")
        groups[group][name] = array
    program.restore(groups["state"])
    program.hold(unpack(groups["hold"]))
    return Position(**facts), unpack(groups["mask"]), damaged
