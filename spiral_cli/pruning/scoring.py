"""Asking a criterion, and checking what it answers: it may be a plugin, written in an evening."""

from __future__ import annotations

import numpy as np

from spiral_cli.errors import SpiralError
from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.registry import criteria


def needs(name: str) -> tuple[str, ...]:
    """Return what a criterion, of weights or of groups, asks of the training data."""
    return tuple(criteria.part(name).facts.get("needs", ())) if name in criteria.names() else ()


def score(name: str, weights: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
    """Return the scores that the criterion ``name`` gives to ``weights``, one for each weight.

    The arrays are the caller's, to be overwritten: built-in criteria give new ones, others are copied.

    Raises:
        SpiralError: it fails, leaves out a layer, or answers in another shape.
    """
    own = criteria.part(name).module.startswith("spiral_cli.")
    try:
        scores = criteria.get(name)(weights, evidence)
    except Exception as error:
        if own or isinstance(error, SpiralError | MemoryError):
            raise
        raise SpiralError(f"prune.criterion: '{name}' failed with {type(error).__name__}: {error}") from error
    if not isinstance(scores, dict):
        raise SpiralError(f"prune.criterion: '{name}' gave {type(scores).__name__}; needed: a dict of layer to scores")
    missing = [layer for layer in weights if layer not in scores]
    if missing:
        raise SpiralError(f"prune.criterion: '{name}' gave no scores for {', '.join(missing)}; every layer needs them")
    found = {layer: np.asarray(scores[layer]) if own else np.array(scores[layer]) for layer in weights}
    for layer, array in found.items():
        if array.shape != weights[layer].shape or array.dtype.kind not in "biuf":
            raise SpiralError(
                f"prune.criterion: '{name}' gave {array.dtype} scores of shape {array.shape} for '{layer}'; "
                f"needed: one real number a weight, {weights[layer].shape}"
            )
    return found
