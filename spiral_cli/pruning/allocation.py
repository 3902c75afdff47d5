"""How many weights each layer keeps. At least one survives in every layer.

An allocation takes the scores of all layers (the higher is kept, -inf cannot be), the number of
weights to keep in all and how many can be kept in each layer, and returns a count a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from spiral_cli.errors import UsageError
from spiral_cli.pruning.patterns import matches, refuse_unmatched
from spiral_cli.registry import allocations

Scores = Mapping[str, np.ndarray]
Counts = dict[str, int]
Allocation = Callable[[Scores, int, Mapping[str, int]], Counts]


@allocations.register("uniform")
def uniform(scores: Scores, keep: int, alive: Mapping[str, int]) -> Counts:
    """The same density in every layer."""
    return rounded({name: float(array.size) for name, array in scores.items()}, keep, alive)


@allocations.register("global")
def globally(scores: Scores, keep: int, alive: Mapping[str, int]) -> Counts:
    """All weights of all layers are ranked together; a layer keeps what wins."""
    raised = {name: _best_first(array) for name, array in scores.items()}
    everything = np.concatenate([array.ravel() for array in raised.values()])
    keep = min(max(keep, len(scores)), sum(alive.values()))
    threshold = np.partition(everything, everything.size - keep)[everything.size - keep]
    counts = {name: int(np.count_nonzero(array > threshold)) for name, array in raised.items()}
    left = keep - sum(counts.values())
    for name, array in raised.items():  # equal scores: the earlier layer first
        tied = min(left, int(np.count_nonzero(array == threshold)), alive[name] - counts[name])
        counts[name] += tied
        left -= tied
    return counts


@allocations.register("erk")
def erk(scores: Scores, keep: int, alive: Mapping[str, int]) -> Counts:
    """Density by (sum of a kernel's sides) / (their product): small layers stay denser (Evci et al. 2020)."""
    shares = {name: float(sum(array.shape)) for name, array in scores.items()}
    return rounded(shares, keep, alive)


@allocations.register("lamp")
def lamp(scores: Scores, keep: int, alive: Mapping[str, int]) -> Counts:
    """Counts from a global ranking of LAMP-normalised scores; inside a layer the criterion ranks (Lee et al. 2021)."""
    from spiral_cli.pruning.criteria.lamp import lamp_scores

    normalised = {}
    for name, array in scores.items():
        dead = np.isneginf(array)
        normalised[name] = np.where(dead, -np.inf, lamp_scores(np.where(dead, 0.0, array)))
    return globally(normalised, keep, alive)


def per_layer(numbers: Mapping[str, float], final_sparsity: float) -> Allocation:
    """Return the allocation of a recipe's ``{pattern: final sparsity}``.

    While the whole is at density d of its final D, a named layer with final density f keeps
    f^(log d / log D): it falls in step and ends at f. Layers without a number keep d. The first
    pattern that matches counts.

    Raises (when called):
        UsageError: a pattern matches no layer.
    """

    def allocate(scores: Scores, keep: int, alive: Mapping[str, int]) -> Counts:
        refuse_unmatched(numbers, [_names(name) for name in scores], "prune.allocation")
        density = keep / sum(array.size for array in scores.values())
        step = math.log(max(density, 1e-12)) / math.log(1.0 - final_sparsity)
        counts = {}
        for name, array in scores.items():
            number = next((value for pattern, value in numbers.items() if matches(pattern, _names(name))), None)
            here = density if number is None else (1.0 - number) ** step
            counts[name] = min(max(round(here * array.size), 1), alive[name])
        return counts

    return allocate


def rounded(shares: Mapping[str, float], keep: int, alive: Mapping[str, int]) -> Counts:
    """Split ``keep`` in proportion to ``shares``: whole numbers, at least 1 and at most ``alive`` each.

    What a full layer cannot take goes to the others in proportion; the last units go to the
    largest remainders. The counts sum to ``keep`` where the bounds allow.
    """
    keep = min(max(keep, len(shares)), sum(alive.values()))
    fixed: Counts = {}
    while True:  # fix layers at their bounds until the others fit between them
        free = [name for name in shares if name not in fixed]
        scale = (keep - sum(fixed.values())) / max(sum(shares[name] for name in free), 1e-300)
        over = {name: alive[name] for name in free if shares[name] * scale >= alive[name]}
        under = {name: 1 for name in free if shares[name] * scale < 1} if not over else {}
        if not over and not under:
            break
        fixed |= over or under
    counts = fixed | {name: math.floor(shares[name] * scale) for name in free}
    remainders = sorted(free, key=lambda name: math.floor(shares[name] * scale) - shares[name] * scale)
    for name in remainders[: keep - sum(counts.values())]:
        counts[name] += 1
    return {name: counts[name] for name in shares}


def _best_first(array: np.ndarray) -> np.ndarray:
    """Return scores in which the best weight of the layer beats every other layer's."""
    raised = np.array(array, np.float64)
    if raised.size:
        raised.flat[int(raised.argmax())] = np.inf
    return raised


def _names(variable: str) -> tuple[str, ...]:
    """Return the names a pattern may match: the layer, its path, the variable."""
    path = variable.rpartition("/")[0]
    return (path.rpartition("/")[2] or variable, path, variable)
