"""Norms of all weights that leave with a group."""

from __future__ import annotations

import numpy as np

from spiral_cli.channels.graph import Channels
from spiral_cli.channels.scoring import Weights, group_sums
from spiral_cli.registry import group_criteria


@group_criteria.register("l2")
def l2(channels: Channels, weights: Weights) -> np.ndarray:
    """√Σw² over all weights of a group, relative to the mean of its space (Fang et al. 2023)."""
    return np.sqrt(group_sums(channels, [None if w is None else np.square(w, dtype=np.float64) for w in weights]))


@group_criteria.register("l1")
def l1(channels: Channels, weights: Weights) -> np.ndarray:
    """Σ|w| over all weights of a group, relative to the mean of its space (Li et al. 2017)."""
    return group_sums(channels, [None if w is None else np.abs(w, dtype=np.float64) for w in weights])
