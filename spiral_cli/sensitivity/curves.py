"""One layer pruned at a time, nothing trained: its metric against its sparsity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spiral_cli.errors import DivergedError
from spiral_cli.evaluate import Evaluator
from spiral_cli.guard import drop, monitor_mode
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.pruning.recipe_masks import recipe_masks
from spiral_cli.student import Workbench
from spiral_cli.training.control import Control
from spiral_cli.training.evidence import gather


@dataclass(frozen=True)
class Point:
    """A layer at one sparsity, all others dense.

    Attributes:
        sparsity: fraction of its weights that is zero.
        metric: the guard's, on validation; None where the model gave NaN or infinity.
        drop: how much worse than the dense student's, positive is worse; None likewise.
    """

    sparsity: float
    metric: float | None
    drop: float | None


@dataclass(frozen=True)
class Curve:
    """What one layer tolerates: points in the order of their sparsity, the dense one first.

    Attributes:
        name: of the weight, as `pruning.prunable` names it; of channels the first layer that makes them.
        weights: how many it has; or how many channels leave with these, of all layers.
    """

    name: str
    weights: int
    points: tuple[Point, ...]


def curves(bench: Workbench, sparsities: Sequence[float], control: Control) -> Iterator[Curve]:
    """Yield the curve of each prunable weight; the student is afterwards what it was, bit for bit.

    Masks are those of the recipe's criterion and granularity, so a sparsity is met as nearly as
    these allow; at 1 the whole layer is zero.

    Args:
        bench: the dense student, with what it learns from set where the criterion looks at gradients.
        sparsities: at which each layer is measured, above 0, at most 1.
        control: says when to stop.

    Raises:
        InterruptedRun: asked to stop.
    """
    evidence = gather(bench.collect, bench.recipe.train.batch_size, (bench.recipe.seed, 6))
    dense = metric_of(bench, bench.evaluator)
    for one in bench.prunable:
        yield Curve(
            one.name, one.variable.numpy().size, tuple(points(bench, one, sparsities, evidence, dense, control))
        )


def points(
    bench: Workbench,
    one: Prunable,
    sparsities: Sequence[float],
    evidence: Evidence,
    dense: float | None,
    control: Control,
) -> Iterator[Point]:
    """Yield the dense point of a layer, then one for each of ``sparsities`` in order; restore its weights."""
    before = one.variable.numpy()
    yield Point(0.0, dense, 0.0)
    try:
        for sparsity in sorted(sparsities):
            control.check()
            kept = mask(bench, one, before, sparsity, evidence)
            one.variable.assign(np.where(kept, before, np.zeros_like(before)))
            metric = metric_of(bench, bench.evaluator)
            yield Point(1.0 - int(np.count_nonzero(kept)) / kept.size, metric, lost(bench, dense, metric))
    finally:
        one.variable.assign(before)


def mask(bench: Workbench, one: Prunable, weights: np.ndarray, sparsity: float, evidence: Evidence) -> np.ndarray:
    """Return which weights of one layer stay at ``sparsity``, in its shape."""
    if sparsity >= 1.0:
        return np.zeros(weights.shape, bool)
    alone = bench.recipe.prune.model_copy(update={"allocation": "uniform"})
    masks = recipe_masks(
        alone, {one.name: weights}, 1.0 - sparsity, evidence=evidence, input_axes={one.name: one.input_axes}
    )
    return masks[one.name]


def metric_of(bench: Workbench, evaluator: Evaluator) -> float | None:
    """Return the guard's metric of a model as it is, on validation; None for NaN or infinity."""
    try:
        return evaluator.metrics(bench.task.dataset.validation)[bench.recipe.guard.monitor]
    except DivergedError:
        return None


def lost(bench: Workbench, dense: float | None, metric: float | None) -> float | None:
    """Return how much worse ``metric`` is than that of the dense student; None where one is not known."""
    guard = bench.recipe.guard
    return None if metric is None or dense is None else drop(dense, metric, monitor_mode(guard.monitor, guard.mode))
