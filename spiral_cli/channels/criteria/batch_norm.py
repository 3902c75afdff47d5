"""The scale of batch normalisation."""

from __future__ import annotations

import numpy as np

from spiral_cli.channels.criteria.norms import l2
from spiral_cli.channels.graph import Channels
from spiral_cli.channels.scoring import Weights, group_sums, relative
from spiral_cli.registry import group_criteria


@group_criteria.register("batch_norm", scales=True)
def batch_norm(channels: Channels, weights: Weights, scales: Weights) -> np.ndarray:
    """|gamma| of batch normalisation, summed over a group (Liu et al. 2017); where there is none, as l2."""
    sizes = group_sums(channels, [None if s is None else np.abs(s, dtype=np.float64) for s in scales])
    seen = group_sums(channels, [None if s is None else np.ones(s.shape) for s in scales]) > 0
    found = relative(channels, l2(channels, weights))
    for space in channels.spaces:
        if seen[space.groups].all():
            found[space.groups] = sizes[space.groups]
    return found
