"""How one round lowers its density: masks made anew before each epoch until the cut is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spiral_cli import registry
from spiral_cli.guard import Attempt
from spiral_cli.pruning.allocation import per_layer
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.granularity import from_recipe
from spiral_cli.pruning.masks import make_masks
from spiral_cli.pruning.schedules import round_density, sparsities
from spiral_cli.recipe.schema import Prune
from spiral_cli.training.evidence import Collector
from spiral_cli.training.loop import Masks
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import Program

EVIDENCE_BATCHES = 32  # enough for a stable mean; the criterion's cost stays below a tenth of an epoch


@dataclass(frozen=True)
class Cut:
    """The pruning half of one try of a round.

    Attributes:
        settings: the recipe's ``prune``.
        within: masks of the last accepted state; what they cut stays cut.
        start, end: density before and after.
        epochs: how many of the round's epochs the cut takes; at 0 it is made at once.
        collect: gives a criterion its evidence, or None where it needs none.
        key: of the stage, the seed first.
        batch_size: examples a batch of evidence.
    """

    settings: Prune
    within: Masks
    start: float
    end: float
    epochs: int
    collect: Collector | None
    key: tuple[int, ...]
    batch_size: int

    def before_epoch(self, program: Program, epoch: int, masks: Masks) -> Masks:
        """Set and return the masks of ``epoch``; `training.loop` calls this before each."""
        if epoch > self.epochs or (epoch == 0 < self.epochs):
            return masks
        density = round_density(self.start, self.end, epoch / self.epochs if self.epochs else 1.0)
        masks = self.masks(program, density, epoch)
        program.cut(masks)
        regrow = self.settings.regrow and epoch < self.epochs
        program.hold(self.within if regrow else masks)
        return masks

    def masks(self, program: Program, density: float, epoch: int) -> Masks:
        """Return masks of ``density`` for the program's present weights."""
        criterion = registry.criteria.get(self.settings.criterion)
        weights = program.weights()
        scores = criterion(weights, self._evidence(program, epoch))
        return make_masks(
            scores,
            density,
            allocation=self._allocation(),
            granularity=from_recipe(self.settings.granularity),
            input_axes={one.name: one.input_axes for one in program.prunable},
            within=self.within,
            weights=weights,
        )

    def _allocation(self) -> Callable:
        allocation = self.settings.allocation
        if isinstance(allocation, str):
            return registry.allocations.get(allocation)
        return per_layer(allocation, sparsities(self.settings.schedule)[-1])

    def _evidence(self, program: Program, epoch: int) -> Evidence:
        if self.collect is None:
            return Evidence(gradients=None, squared_gradients=None, input_norms=None, seed=self.key[0])
        rows, _ = epoch_rows(len(program.data.x), self.batch_size, (*self.key, 1), epoch)
        return self.collect(rows[:EVIDENCE_BATCHES])
