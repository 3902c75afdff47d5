"""First-order sensitivity."""

from __future__ import annotations

import numpy as np

from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.registry import criteria


@criteria.register("taylor", needs=("gradients",))
def taylor(weights: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
    """|w·g|, the loss's first-order change without the weight, averaged over batches (Molchanov et al. 2017)."""
    gradients = evidence.need("gradients")
    return {name: np.abs(weight) * gradients[name] for name, weight in weights.items()}
