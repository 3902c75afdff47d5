"""Where a training stage stands, written whole and taken up again to the last bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.pruning.packing import pack, unpack
from spiral_cli.training.checkpoint import DamagedError, newest_good, rotate_state
from spiral_cli.training.program import Program, State
from spiral_cli.training.writer import Writer

Masks = dict[str, np.ndarray]
Curve = list[dict[str, dict[str, float]]]


@dataclass
class Position:
    """How far a stage has come.

    Attributes:
        epoch: epochs that have ended.
        step: steps taken within the present one.
        seconds: of training so far, over all processes that took part.
        sums: of the losses of the present epoch, as `Program.run` returns them.
        losses: means of the last epoch that ended.
        curve: of every epoch that ended its mean ``losses`` and validation ``metrics`` (empty where not measured).
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    sums: list[float] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    curve: Curve = field(default_factory=list)


class Saver:
    """Saves the positions of one stage: copied out of the program, then written while training goes on.

    Training waits for the copy alone. Only where the disk is slower than an epoch does it wait for
    the write before, too: memory holds one copy of the state, never two.

    Args:
        program: the state to save.
        checkpoint: file of the latest position; the one before it is kept beside it.
        writer: writes; an error of a write is raised by the next `save`, or as `Writer` says.
    """

    def __init__(self, program: Program, checkpoint: Path, writer: Writer) -> None:
        self._program, self._checkpoint, self._writer = program, checkpoint, writer
        self._room: State = {}
        writer.begin(lambda: self._room.update(program.room()))

    def save(self, position: Position, masks: Masks) -> None:
        """Copy the whole training state and begin to write it.

        Raises:
            DiskFullError, SpiralError: the write before this one failed.
        """
        self._writer.wait()
        state = self._program.state(self._room)
        groups = {"state": state, "mask": pack(masks), "hold": pack(self._program.held())}
        arrays = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
        facts = asdict(position)
        self._writer.begin(lambda: rotate_state(self._checkpoint, arrays, facts))


def take_up(program: Program, checkpoint: Path, masks: Masks) -> tuple[Position, Masks, list[DamagedError]]:
    """Restore the newest intact checkpoint, or begin with ``masks``; also say why others were passed over."""
    arrays, facts, refused = newest_good(checkpoint)
    if arrays is None:
        return Position(), masks, refused
    groups: dict[str, dict[str, Any]] = {"state": {}, "mask": {}, "hold": {}}
    for path, array in arrays.items():
        group, _, name = path.partition("/")
        groups[group][name] = array
    program.restore(groups["state"])
    program.hold(unpack(groups["hold"]))
    return Position(**facts), unpack(groups["mask"]), refused
