"""Symbols through a coder: evenly distributed ones, and those whose frequencies are learned on the way."""

from __future__ import annotations

import math

import constriction
import numpy as np

from spiral_cli.packed.coder import Coder

models = constriction.stream.model
FEW = 16  # symbols; of a larger alphabet most are not expected to occur


def code_even(coder: Coder, size: int, count: int, values: np.ndarray | None) -> np.ndarray:
    """Code ``count`` symbols of range(size), each as likely as the others: log2(size) bits each.

    Args:
        size: 1 to 2^24.
        values: (count,) when encoding.
    """
    if size == 1 or count == 0:
        return np.zeros(count, np.int32)
    return coder.code(models.Uniform(size), count, values)


def code_choice(coder: Coder, size: int, value: int | None) -> int:
    """Code one of range(size), each as likely as the others."""
    return int(code_even(coder, size, 1, None if value is None else np.array([value]))[0])


def code_learned(coder: Coder, size: int, count: int, values: np.ndarray | None) -> np.ndarray:
    """Code ``count`` symbols of range(size), whose frequencies are learned from those before.

    No table is written. Blocks grow to twice what has been seen; each is coded with the counts of all before
    it, which costs about half of log2(count) bits for every symbol that occurs, as much as the estimator of
    Krichevsky and Trofimov (1981), which updates after each.

    Args:
        size: of the alphabet.
        values: (count,) when encoding.

    Raises:
        ValueError: the alphabet is empty, as no encoder writes it.
    """
    if size == 1 or count == 0:
        return np.zeros(count, np.int32)
    if size == 0:
        raise ValueError(f"it says {count} numbers out of none")
    seen = np.full(size, prior(size))
    coded = np.empty(count, np.int32)
    start = 0
    while start < count:
        block = slice(start, min(count, max(1, 2 * start)))
        model = models.Categorical(seen, perfect=False)
        coded[block] = coder.code(model, block.stop - start, None if values is None else values[block])
        seen += np.bincount(coded[block], minlength=size)
        start = block.stop
    return coded


def prior(size: int) -> float:
    """Return how often each symbol of an alphabet counts as seen before the first."""
    return min(0.5, 0.5 * FEW / size)


def learned_bits(counts: np.ndarray) -> float:
    """Return about what `code_learned` takes for symbols of range(len(counts)) that occur ``counts`` times."""
    if (size := len(counts)) < 2:
        return 0.0
    start = prior(size)
    some = counts[counts > 0].tolist()
    nats = math.lgamma(sum(some) + size * start) - math.lgamma(size * start)
    nats -= sum(math.lgamma(count + start) for count in some) - len(some) * math.lgamma(start)
    return nats / math.log(2)
