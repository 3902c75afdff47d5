"""Whether the zeros of pruned weights are still zeros in a file, however it arranges the weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

# A recurrent kernel may be stored as one tensor a gate, or with that of the other direction.
SPLIT_OR_JOINED = (1, 1 / 2, 1 / 3, 1 / 4, 2)


def zeros_kept(pruned: Iterable[np.ndarray], stored: Iterable[np.ndarray]) -> bool | None:
    """Say whether a file's constants have the zeros of the weights they were made from.

    A file transposes and reshapes a weight and may scale its channels (batch normalisation goes
    into convolutions), which neither makes nor loses zeros; rounding makes some. So the n tensors
    of one size with the most zeros must have at least those of the n weights of that size.

    Args:
        pruned: all weights that may be pruned.
        stored: the file's constants, as floats.

    Returns:
        True or False; None where no tensors have the sizes that tell them as those of a weight.
    """
    there = zeros_by_size(array for array in stored if array.ndim > 1)
    wanted = sorted(zeros_by_size(pruned).items(), key=lambda item: len(there[item[0]]) < len(item[1]))
    results = [at_least(size, zeros, there) for size, zeros in wanted]  # those of equal size take theirs first
    return False if False in results else None if None in results else True


def at_least(size: int, zeros: list[int], there: dict[int, list[int]]) -> bool | None:
    """Compare the zeros of the weights of one size with those of their tensors, which are taken from ``there``."""
    for factor in SPLIT_OR_JOINED:
        there_size, count = round(size * factor), round(len(zeros) / factor)
        found = there.get(there_size, [])
        if count and there_size * count == size * len(zeros) and len(found) >= count:
            there[there_size] = found[count:]
            if factor == 1:
                return all(has >= must for has, must in zip(found, zeros, strict=False))
            return sum(found[:count]) >= sum(zeros)
    return None


def zeros_by_size(arrays: Iterable[np.ndarray]) -> defaultdict[int, list[int]]:
    """Return the numbers of zeros, most first, of the arrays of each size."""
    counts: defaultdict[int, list[int]] = defaultdict(list)
    for array in arrays:
        counts[array.size].append(array.size - int(np.count_nonzero(array)))
    for found in counts.values():
        found.sort(reverse=True)
    return counts
