"""One space of channels made narrower at a time, nothing trained: its metric against the part that left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from spiral_cli.channel_cut import groups, measure_statistics, scores_of
from spiral_cli.channels.choice import Limits, choose, part_of, steps_of
from spiral_cli.channels.graph import Space
from spiral_cli.channels.removal import remove
from spiral_cli.evaluate import Evaluator
from spiral_cli.sensitivity.curves import Curve, Point, lost, metric_of
from spiral_cli.student import Workbench
from spiral_cli.training.control import Control


def channel_curves(bench: Workbench, sparsities: Sequence[float], control: Control) -> Iterator[Curve]:
    """Yield the curve of each space, the channels that only leave together; the student stays as it is.

    Each point is a smaller model, made as a round makes it: the groups of the least score leave, within
    ``prune.round_to`` and ``prune.min_channels``, and batch normalisation is measured anew.

    Args:
        bench: the dense student, with what it learns from set where the criterion looks at gradients.
        sparsities: which part of a space leaves, above 0, at most 1; where that is too much, as much as may.
        control: says when to stop.

    Raises:
        InterruptedRun: asked to stop.
    """
    key = (bench.recipe.seed, 6)
    scores, dense = scores_of(bench, key), metric_of(bench, bench.evaluator)
    for space in groups(bench).spaces:
        found = points(bench, space, sparsities, scores, dense, control)
        yield Curve(space.layers[0], round(float(groups(bench).weight[space.groups].sum())), tuple(found))


def points(
    bench: Workbench,
    space: Space,
    sparsities: Sequence[float],
    scores: np.ndarray,
    dense: float | None,
    control: Control,
) -> Iterator[Point]:
    """Yield the dense point of a space, then one for each of ``sparsities`` in order."""
    yield Point(0.0, dense, 0.0)
    for sparsity in sorted(sparsities):
        control.check()
        kept = narrower(bench, space, scores, sparsity)
        small = remove(bench.model, groups(bench), kept)
        measure_statistics(bench, small, (bench.recipe.seed, 6))
        metric = metric_of(bench, Evaluator(bench.task, small, bench.evaluator.head))
        yield Point(1.0 - part_of(space, len(space.groups), kept), metric, lost(bench, dense, metric))


def narrower(bench: Workbench, space: Space, scores: np.ndarray, sparsity: float) -> np.ndarray:
    """Return the groups that stay, (groups,) of bool, when ``sparsity`` of one space leaves and nothing else."""
    steps = steps_of(space, scores, Limits(bench.recipe.prune.round_to, bench.recipe.prune.min_channels))
    every = np.ones(groups(bench).count, bool)
    return choose(steps, every, partial(part_of, space, len(space.groups)), 1.0 - sparsity)
