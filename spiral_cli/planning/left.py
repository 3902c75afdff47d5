"""What each round of a recipe leaves of a student: counted with spiral's own masks, nothing is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiral_cli.flops import Call, Shape, calls
from spiral_cli.planning.sizes import FLOAT32, gzip_bytes, packed_bytes
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.prunable import Prunable, find_prunable
from spiral_cli.pruning.recipe_masks import recipe_masks
from spiral_cli.pruning.schedules import sparsities
from spiral_cli.pruning.scoring import needs
from spiral_cli.recipe.prune import Prune


@dataclass(frozen=True)
class Left:
    """A student after one round.

    Attributes:
        round: counted from 1; 0 is the dense student.
        sparsity: fraction of zeros among the prunable weights.
        kept: prunable weights that are not zero.
        nonzero: weights of the whole model that are not zero, if no other weight happens to be.
        parameters: all weights of the model.
        flops: of a dense runtime at batch 1.
        nonzero_flops: of a runtime that skips every zero weight.
        bytes: of the weights as float32.
        gzip_bytes: estimate of the same after gzip.
        packed_bytes: estimate of a packed file: masks coded to their entropy, and the kept weights.
    """

    round: int
    sparsity: float
    kept: int
    nonzero: int
    parameters: int
    flops: int
    nonzero_flops: int
    bytes: int
    gzip_bytes: int
    packed_bytes: int

    @property
    def density(self) -> float:
        """Fraction of the prunable weights that is not zero."""
        return 1.0 - self.sparsity


def course_of_masks(
    prune: Prune, model: Any, prunable: Sequence[Prunable], values: int, shapes: Sequence[Shape] | None = None
) -> list[Left]:
    """Return the dense student and what each round leaves of it, if none is rolled back.

    Args:
        prune: the recipe's, of single weights or of groups of them.
        model: the student, built; its weights decide how a global ranking spreads over layers.
        prunable: what of it may be pruned.
        values: bits in which a packed file holds a kept weight.
        shapes: of the inputs for one example, where the model leaves lengths open.

    Raises:
        UsageError: as `recipe_masks`.
    """
    counted = calls(model, shapes)
    stages = [whole(prunable), *masks_of_rounds(prune, prunable)]
    total = sum(mask.size for mask in stages[0].values())
    return [left(number, model, prunable, masks, counted, total, values) for number, masks in enumerate(stages)]


def course_of_models(
    prune: Prune, models: Sequence[Any], values: int, shapes: Sequence[Shape] | None = None
) -> list[Left]:
    """Return the same of students that lose channels; ``models`` are the dense one and that after each round."""
    found = [find_prunable(model, prune.targets, prune.ignore)[0] for model in models]
    total = sum(math.prod(one.variable.shape) for one in found[0])
    return [
        left(number, model, prunable, whole(prunable), calls(model, shapes), total, values)
        for number, (model, prunable) in enumerate(zip(models, found, strict=True))
    ]


def whole(prunable: Sequence[Prunable]) -> dict[str, np.ndarray]:
    """Return masks that keep everything."""
    return {one.name: np.ones(one.variable.shape, bool) for one in prunable}


def masks_of_rounds(prune: Prune, prunable: Sequence[Prunable]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the masks after each round, of the weights as they are.

    A criterion that looks at gradients or activations is replaced by magnitude: how many weights
    stay is the same, up to the shapes of blocks.
    """
    if needs(prune.criterion):
        prune = prune.model_copy(update={"criterion": "magnitude"})
    axes = {one.name: one.input_axes for one in prunable}
    masks = whole(prunable)
    for sparsity in sparsities(prune.schedule):
        weights = {one.name: one.variable.numpy() * masks[one.name] for one in prunable}
        masks = recipe_masks(prune, weights, 1.0 - sparsity, evidence=Evidence(seed=0), input_axes=axes, within=masks)
        yield masks


def left(
    number: int,
    model: Any,
    prunable: Sequence[Prunable],
    masks: Mapping[str, np.ndarray],
    counted: Sequence[Call],
    total: int,
    values: int,
) -> Left:
    """Return what round ``number`` leaves.

    Args:
        number: of the round.
        model: the student.
        prunable: what of it masks may cover.
        masks: by name, True = kept.
        counted: the calls of the model.
        total: prunable weights of the dense student.
        values: bits in which a packed file holds a kept weight.
    """
    kept = {id(one.variable): int(np.count_nonzero(masks[one.name])) for one in prunable}
    layers = [(mask.size, int(np.count_nonzero(mask))) for mask in masks.values()]
    stay = sum(kept.values())
    parameters = sum(math.prod(weight.shape) for weight in model.weights)
    others = parameters - sum(size for size, _ in layers)
    kernels = [(variable, uses) for call in counted for variable, uses in call.cost.kernels]
    return Left(
        round=number,
        sparsity=1.0 - stay / total,
        kept=stay,
        nonzero=stay + others,
        parameters=parameters,
        flops=sum(call.cost.total for call in counted),
        nonzero_flops=sum(2 * kept.get(id(variable), math.prod(variable.shape)) * uses for variable, uses in kernels)
        + sum(call.cost.other for call in counted),
        bytes=FLOAT32 * parameters,
        gzip_bytes=sum(gzip_bytes(size, n / size) for size, n in layers) + gzip_bytes(others, 1.0),
        packed_bytes=sum(packed_bytes(size, n, values) for size, n in layers) + FLOAT32 * others,
    )
