"""Weights seen through their inputs."""

from __future__ import annotations

import numpy as np

from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.registry import criteria


@criteria.register("activation", needs=("input_norms",))
def activation(weights: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
    """|w| times the norm of the input it multiplies (Wanda, Sun et al. 2023)."""
    norms = evidence.need("input_norms")
    return {name: np.abs(weight) * norms[name] for name, weight in weights.items()}
