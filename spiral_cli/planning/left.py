"""What each round of a recipe leaves of a student: counted with spiral's own masks, nothing is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiral_cli import registry
from spiral_cli.flops import Call, calls
from spiral_cli.planning.sizes import FLOAT32, gzip_bytes, packed_bytes
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.pruning.recipe_masks import recipe_masks
from spiral_cli.pruning.schedules import sparsities
from spiral_cli.recipe.schema import Prune


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
        packed_bytes: estimate of entropy-coded masks with the kept weights as float32.
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


def course(prune: Prune, model: Any, prunable: Sequence[Prunable]) -> list[Left]:
    """Return the dense student and what each round leaves of it, if none is rolled back.

    Args:
        prune: the recipe's.
        model: the student, built; its weights decide how a global ranking spreads over layers.
        prunable: what of it may be pruned.

    Raises:
        UsageError: as `recipe_masks`.
    """
    counted = calls(model)
    dense = {one.name: np.ones(one.variable.shape, bool) for one in prunable}
    stages = [dense, *masks_of_rounds(prune, prunable)]
    return [left(number, model, prunable, masks, counted) for number, masks in enumerate(stages)]


def masks_of_rounds(prune: Prune, prunable: Sequence[Prunable]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the masks after each round, of the weights as they are.

    A criterion that looks at gradients or activations is replaced by magnitude: how many weights
    stay is the same, up to the shapes of blocks.
    """
    if registry.criteria.part(prune.criterion).facts.get("needs"):
        prune = prune.model_copy(update={"criterion": "magnitude"})
    axes = {one.name: one.input_axes for one in prunable}
    masks = {one.name: np.ones(one.variable.shape, bool) for one in prunable}
    for sparsity in sparsities(prune.schedule):
        weights = {one.name: one.variable.numpy() * masks[one.name] for one in prunable}
        masks = recipe_masks(prune, weights, 1.0 - sparsity, evidence=Evidence(seed=0), input_axes=axes, within=masks)
        yield masks


def left(
    number: int, model: Any, prunable: Sequence[Prunable], masks: dict[str, np.ndarray], counted: Sequence[Call]
) -> Left:
    """Return what the masks of round ``number`` leave of a model whose calls are ``counted``."""
    kept = {id(one.variable): int(np.count_nonzero(masks[one.name])) for one in prunable}
    layers = [(mask.size, int(np.count_nonzero(mask))) for mask in masks.values()]
    total, stay = sum(size for size, _ in layers), sum(kept.values())
    parameters = sum(math.prod(weight.shape) for weight in model.weights)
    others = parameters - total
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
        packed_bytes=sum(packed_bytes(size, n) for size, n in layers) + FLOAT32 * others,
    )
