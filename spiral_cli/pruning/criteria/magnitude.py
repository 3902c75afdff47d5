"""Keep what is large."""

from __future__ import annotations

import numpy as np

from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.registry import criteria


@criteria.register("magnitude")
def magnitude(weights: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
    """|w|: small weights matter least (Han et al. 2015)."""
    return {name: np.abs(weight) for name, weight in weights.items()}
