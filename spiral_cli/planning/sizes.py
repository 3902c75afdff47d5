"""Estimates of how many bytes weights take once their zeros are coded away."""

from __future__ import annotations

import gzip
import math
from functools import cache

import numpy as np

FLOAT32 = 4  # bytes
SAMPLE = 1 << 16  # weights; gzip looks back 32 kB, so more would compress alike


def packed_bytes(weights: int, kept: int, values: int = 8 * FLOAT32) -> int:
    """Return the bytes of a layer's mask coded to its entropy and of its kept weights in ``values`` bits each.

    A mask with a fraction d of ones has weights · H(d) bits, H being the binary entropy (Shannon
    1948). Where weights share values, these stand beside them as float32.
    """
    density = kept / weights if weights else 1.0
    entropy = -sum(p * math.log2(p) for p in (density, 1.0 - density) if p > 0)
    shared = FLOAT32 * min(2**values, kept) if values < 8 * FLOAT32 else 0
    return math.ceil((weights * entropy + values * kept) / 8) + shared


def gzip_bytes(weights: int, density: float) -> int:
    """Return about how many bytes gzip makes of float32 weights of which a fraction ``density`` is not zero."""
    return round(weights * gzip_bytes_a_weight(round(density, 4)))


@cache
def gzip_bytes_a_weight(density: float) -> float:
    """Return what gzip at its highest level takes for a weight, measured on normally distributed ones."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(SAMPLE, np.float32)
    values[rng.random(SAMPLE) >= density] = 0.0  # not by a product: -0.0 has other bytes than 0.0
    return len(gzip.compress(values.tobytes(), 9)) / SAMPLE
