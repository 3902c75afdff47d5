"""How one round lowers its density: masks made anew several times an epoch until the cut is done."""

from __future__ import annotations

from dataclasses import dataclass

from spiral_cli.pruning.recipe_masks import recipe_masks
from spiral_cli.pruning.schedules import round_density
from spiral_cli.recipe.prune import Prune
from spiral_cli.training.evidence import Collector, gather
from spiral_cli.training.program import Program
from spiral_cli.training.resume import Masks

REMAKES_PER_EPOCH = 4  # masks that follow the weights closely lose less at a cut


@dataclass(frozen=True)
class Cut:
    """The pruning half of one try of a round.

    Attributes:
        settings: the recipe's ``prune``.
        within: masks of the last accepted state; what they cut stays cut.
        start, end: density before and after.
        steps: before which masks are made anew, the last of them at the density of the end.
        collect: gives a criterion its evidence, or None where it needs none.
        key: of the stage, the seed first.
        batch_size: examples a batch of evidence.
    """

    settings: Prune
    within: Masks
    start: float
    end: float
    steps: tuple[int, ...]
    collect: Collector | None
    key: tuple[int, ...]
    batch_size: int

    def remake(self, program: Program, step: int, masks: Masks) -> Masks:
        """Make the masks that hold from ``step`` on; `training.loop` calls this."""
        done = (self.steps.index(step) + 1) / len(self.steps)
        masks = self.masks(program, round_density(self.start, self.end, done), step)
        program.cut(masks)
        program.hold(self.within if self.settings.regrow and done < 1 else masks)
        return masks

    def masks(self, program: Program, density: float, step: int) -> Masks:
        """Return masks of ``density`` for the program's present weights."""
        return recipe_masks(
            self.settings,
            program.weights(),
            density,
            evidence=gather(self.collect, self.batch_size, self.key, step),
            input_axes={one.name: one.input_axes for one in program.prunable},
            within=self.within,
        )


def cut_steps(epochs: int, steps: int, cut: float, per_epoch: int) -> tuple[int, ...]:
    """Return the steps of a round before which masks are made anew, evenly over its cut.

    Args:
        epochs: of the round.
        steps: of the round.
        cut: part of the round over which density falls; at 0 there is one cut before the first step.
        per_epoch: how often an epoch, where it has as many steps.

    Returns:
        increasing steps below ``steps``, the last at the end of the cut.
    """
    last = min(round(cut * steps), steps - 1)
    times = max(1, min(round(cut * epochs * per_epoch), last))
    return tuple(sorted({round(last * k / times) for k in range(1, times + 1)}))
