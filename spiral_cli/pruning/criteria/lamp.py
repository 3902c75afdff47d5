"""Layer-adaptive magnitude."""

from __future__ import annotations

import numpy as np

from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.registry import criteria


@criteria.register("lamp")
def lamp(weights: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
    """w² over the sum of w² of the layer's weights not smaller: magnitude that compares across layers (Lee 2021)."""
    return {name: lamp_scores(weight) for name, weight in weights.items()}


def lamp_scores(weight: np.ndarray) -> np.ndarray:
    """Return LAMP scores of one layer, any shape; the largest weight scores 1, zeros score 0.

    With |w| sorted upwards, score_i = w_i² / Σ_{j ≥ i} w_j². Equal weights are sorted so that the
    earlier one scores higher.
    """
    square = np.square(weight.ravel(), dtype=np.float64)
    order = np.argsort(-square, kind="stable")  # downwards
    total = np.cumsum(square[order])
    ranked = np.divide(square[order], total, out=np.zeros_like(total), where=total > 0)
    scores = np.empty_like(ranked)
    scores[order] = ranked
    return scores.reshape(weight.shape)
