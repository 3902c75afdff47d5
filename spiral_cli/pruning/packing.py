"""Masks as bits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def pack(masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return each bool mask as uint8: its rank, its shape as 8 bytes an axis, then eight weights a byte."""
    packed = {}
    for name, mask in masks.items():
        shape = np.array([mask.ndim, *mask.shape], "<u8").view(np.uint8)
        packed[name] = np.concatenate([shape, np.packbits(mask)])
    return packed


def unpack(packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the bool masks that `pack` was given."""
    masks = {}
    for name, data in packed.items():
        rank = int(data[:8].view("<u8")[0])
        start = 8 * (1 + rank)
        shape = tuple(int(size) for size in data[8:start].view("<u8"))
        count = int(np.prod(shape))
        masks[name] = np.unpackbits(data[start:], count=count).view(bool).reshape(shape)
    return masks
