"""The control arm."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from spiral_cli.pruning.evidence import Arrays, Evidence
from spiral_cli.registry import criteria


@criteria.register("random")
def random(weights: Arrays, evidence: Evidence) -> dict[str, np.ndarray]:
    """Uniform numbers from the seed: what pruning without a criterion gives, for comparison."""
    return {
        name: np.random.default_rng([evidence.seed, crc32(name.encode())]).random(weight.shape)
        for name, weight in weights.items()
    }
