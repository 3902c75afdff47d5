"""The students a channel recipe would make, narrowed by spiral's own removal and not trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import keras

from spiral_cli.channel_cut import fitting, scores_of
from spiral_cli.channels.graph import find_channels
from spiral_cli.channels.removal import remove
from spiral_cli.pruning.scoring import needs
from spiral_cli.student import Workbench
from spiral_cli.training.control import Control

WITHOUT_EVIDENCE = "l2"


def narrowed(bench: Workbench, densities: Sequence[float], control: Control) -> Iterator[keras.Model]:
    """Yield the student after each round, as a plain smaller model.

    A criterion that looks at gradients or activations is replaced by the groups' norms: what may be
    left is the same, which channels leave is not.

    Args:
        bench: the dense student; its state is stored as that of round 0.
        densities: after each round, by the recipe's measure.
        control: says when to stop.

    Raises:
        UsageError: no channel of the student may leave.
        InterruptedRun: asked to stop.
    """
    prune = bench.recipe.prune
    if needs(prune.criterion):
        prune = prune.model_copy(update={"criterion": WITHOUT_EVIDENCE})
        bench = replace(bench, recipe=bench.recipe.model_copy(update={"prune": prune}))
    bench.keep(0, {})
    model = bench.model
    for number, density in enumerate(densities, 1):
        control.check()
        wide = bench.on(model)
        channels = find_channels(model, prune.targets, prune.ignore)
        scores = scores_of(wide, channels, (bench.recipe.seed, 2, number, 1))
        kept, _ = fitting(wide, channels, scores, density, control.together)
        model = remove(model, channels, kept)
        yield model
