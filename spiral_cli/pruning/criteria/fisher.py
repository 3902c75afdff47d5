"""Diagonal second-order sensitivity."""

from __future__ import annotations

import numpy as np

from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.registry import criteria


@criteria.register("fisher", needs=("squared_gradients",))
def fisher(weights: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
    """½ w² · mean g²: the loss's second-order change with a diagonal Fisher Hessian (LeCun 1990, Theis 2018)."""
    squares = evidence.need("squared_gradients")
    return {name: 0.5 * np.square(weight, dtype=np.float64) * squares[name] for name, weight in weights.items()}
