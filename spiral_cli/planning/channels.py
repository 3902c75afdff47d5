"""The students a channel recipe would make, narrowed by spiral's own removal and not trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import keras

from spiral_cli.channel_cut import left_of, narrowed
from spiral_cli.channel_turn import out_of_reach
from spiral_cli.guard import Attempt
from spiral_cli.pruning.scoring import needs
from spiral_cli.student import Workbench
from spiral_cli.training.control import Control

WITHOUT_EVIDENCE = "l2"


def models_of_rounds(
    bench: Workbench, densities: Sequence[float], control: Control
) -> Iterator[tuple[keras.Model, str | None]]:
    """Yield the student after each round, as a plain smaller model, and what a run says if it misses its target.

    A criterion that looks at gradients or activations is replaced by the groups' norms: what may be
    left is the same, which channels leave is not.

    Args:
        bench: with the dense student on it.
        densities: after each round, by the recipe's measure.
        control: says when to stop.

    Raises:
        InterruptedRun: asked to stop.
    """
    prune = bench.recipe.prune
    if needs(prune.criterion):
        prune = prune.model_copy(update={"criterion": WITHOUT_EVIDENCE})
        bench = replace(bench, recipe=bench.recipe.model_copy(update={"prune": prune}), collect=None)
    for number, density in enumerate(densities, 1):
        control.check()
        model, measured = narrowed(bench, density, (bench.recipe.seed, 2, number, 1), control.together)
        bench = bench.on(model)
        yield model, out_of_reach(prune, Attempt(number, 1, density), {**left_of(bench), **measured})
