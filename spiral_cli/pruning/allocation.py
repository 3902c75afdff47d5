"""How many weights each layer keeps.

An allocation takes marked scores by layer (see `ranking`: -inf must go, +inf must stay), the
density of the whole, and the weights themselves where the caller gives them. It returns a count a
layer. Counts sum to round(density · weights) as far as every layer keeps what it must, at least
one weight, and no more than it may.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from spiral_cli.pruning.criteria.lamp import lamp_scores
from spiral_cli.pruning.lamp_order import LampOrder, highest_score
from spiral_cli.pruning.patterns import matches, refuse_unmatched, spellings
from spiral_cli.pruning.ranking import Scores, cut_off, possible, required, target
from spiral_cli.pruning.schedules import sparsities
from spiral_cli.recipe.prune import Prune
from spiral_cli.registry import allocations

Allocation = Callable[[Scores, float, Scores | None], dict[str, int]]


class RankedCounts(dict[str, int]):
    """How many weights each layer keeps, where one ranking of all scores made the counts.

    Attributes:
        bound: the lowest score that is kept: whoever picks need not look for it layer by layer.
    """

    def __init__(self, counts: Mapping[str, int], bound: Any) -> None:
        super().__init__(counts)
        self.bound = bound


@allocations.register("uniform")
def uniform(scores: Scores, density: float, weights: Scores | None = None) -> dict[str, int]:
    """The same density in every layer."""
    return split({name: float(array.size) for name, array in scores.items()}, scores, density)


@allocations.register("global")
def globally(scores: Scores, density: float, weights: Scores | None = None) -> dict[str, int]:
    """All weights of all layers are ranked together; a layer keeps what wins."""
    keep = _within_bounds(scores, density)
    flats = {name: array.ravel() for name, array in scores.items()}
    best = {name: int(flat.argmax()) for name, flat in flats.items() if required(flat)}  # stays: no layer dies
    spare = keep - len(best)
    if spare == 0:
        return {name: int(name in best) for name in scores}
    others = [part for name, at in best.items() for part in (flats[name][:at], flats[name][at + 1 :])]
    bound = cut_off(others, spare)

    def count(name: str, compare: np.ufunc) -> int:
        return max(int(np.count_nonzero(compare(flats[name], bound))), int(name in best))

    return RankedCounts(_down_to_bound(scores, keep, count), bound)


@allocations.register("erk")
def erk(scores: Scores, density: float, weights: Scores | None = None) -> dict[str, int]:
    """Erdős–Rényi kernel: a layer keeps in proportion to the sum of its sides, so small ones stay dense.

    Its density is proportional to Σ sides / Π sides (Mocanu et al. 2018, Evci et al. 2020), at
    most 1; what a full layer cannot take goes to the others.
    """
    return split({name: float(sum(array.shape)) for name, array in scores.items()}, scores, density)


@allocations.register("lamp")
def lamp(scores: Scores, density: float, weights: Scores | None = None) -> dict[str, int]:
    """Counts from the global ranking of the weights' LAMP scores; inside a layer the criterion ranks.

    (Lee et al. 2021.) Without ``weights`` the criterion's scores take their place.
    """
    sizes = scores if weights is None else weights
    if any(array.max(initial=-np.inf) == np.inf for array in scores.values()):  # marked places need their own scores
        return dict(globally({name: _lamp_marked(scores[name], sizes[name]) for name in scores}, density))
    keep = _within_bounds(scores, density)
    orders = {name: LampOrder(_alive(scores[name], sizes[name])) for name in scores}

    def count(name: str, compare: np.ufunc, bound: float) -> int:
        return max(orders[name].count(compare, bound), min(1, orders[name].size))

    bound = highest_score(lambda score: sum(count(name, np.greater_equal, score) for name in scores) >= keep)
    return _down_to_bound(scores, keep, partial(count, bound=bound))


def per_layer(finals: Mapping[str, float], final_sparsity: float) -> Allocation:
    """Return the allocation of a recipe's ``{pattern: final sparsity}``.

    While the whole is at density d on its way to D, a named layer with final density f keeps
    f^(log d / log D): it falls in step and ends at f. Layers without a number keep d, so the whole
    only keeps d where the numbers agree with it. The first pattern that matches counts.

    Args:
        finals: final sparsity, 0 to below 1, by layer pattern.
        final_sparsity: of the whole schedule, above 0 and below 1.

    Raises (when called):
        UsageError: a pattern matches no layer.
    """

    def allocate(scores: Scores, density: float, weights: Scores | None = None) -> dict[str, int]:
        refuse_unmatched(finals, list(scores), "prune.allocation")
        step = math.log(density) / math.log1p(-final_sparsity)
        counts = {}
        for name, array in scores.items():
            final = _named(finals, name)
            here = density if final is None else (1.0 - final) ** step
            counts[name] = min(max(round(here * array.size), required(array)), possible(array))
        return counts

    return allocate


def from_recipe(prune: Prune) -> Allocation:
    """Return the allocation that ``prune.allocation`` names, or that its numbers make."""
    if isinstance(prune.allocation, str):
        return allocations.get(prune.allocation)
    return per_layer(prune.allocation, sparsities(prune.schedule)[-1])


def _named(finals: Mapping[str, float], name: str) -> float | None:
    """Return the number of the first pattern that matches the layer, or None."""
    return next((value for pattern, value in finals.items() if matches(pattern, spellings(name))), None)


def split(shares: Mapping[str, float], scores: Scores, density: float) -> dict[str, int]:
    """Share out round(density · weights) in proportion to ``shares``, by largest remainder.

    Layers at a bound (what they must and may keep) stay there and the others share the rest in
    proportion: layer l gets a · shares[l] between its bounds, with one a for all.

    Args:
        shares: positive numbers by layer.
        scores: marked scores, which bound each layer.
        density: of the whole.
    """
    names = sorted(shares)
    share = np.array([shares[name] for name in names])
    least = np.array([required(scores[name]) for name in names])
    most = np.array([possible(scores[name]) for name in names])
    keep = _within_bounds(scores, density)
    # The sum is piecewise linear in a, with its corners where a layer leaves or reaches a bound.
    corners = np.sort(np.concatenate([least / share, most / share]))
    sums = np.clip(corners[:, None] * share, least, most).sum(axis=1)
    exact = np.clip(np.interp(keep, sums, corners) * share, least, most)
    counts = np.floor(exact + 1e-9).astype(int)
    remainder = np.round(exact - counts, 9)
    counts[np.argsort(-remainder, kind="stable")[: keep - counts.sum()]] += 1
    return dict(zip(names, counts.tolist(), strict=True))


def _within_bounds(scores: Scores, density: float) -> int:
    """Return how many weights to keep in all, no fewer than must stay and no more than may."""
    least = sum(required(array) for array in scores.values())
    most = sum(possible(array) for array in scores.values())
    return min(max(target(scores, density), least), most)


def _down_to_bound(names: Iterable[str], keep: int, count: Callable[[str, np.ufunc], int]) -> dict[str, int]:
    """Return counts that sum to ``keep``: all above a bound, and of those on it the layers first by name.

    Args:
        names: of the layers.
        keep: how many weights to keep in all.
        count: how many of a layer's scores are ``np.greater`` or ``np.greater_equal`` than the bound.
    """
    counts = {name: count(name, np.greater) for name in names}
    left = keep - sum(counts.values())
    for name in sorted(counts):
        if left == 0:
            break
        tied = min(left, count(name, np.greater_equal) - counts[name])
        counts[name] += tied
        left -= tied
    return counts


def _alive(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return |w|, from the highest down, of the weights that may be kept; 0 stands for what is no number."""
    alive = scores.ravel() > -np.inf
    with np.errstate(invalid="ignore"):
        magnitudes = np.abs(weights.ravel()) * alive  # faster than to copy out or to assign by mask
    if not np.isfinite(magnitudes.max(initial=0.0)):
        magnitudes[~np.isfinite(magnitudes)] = 0.0
    magnitudes.sort()
    return magnitudes[::-1][: np.count_nonzero(alive)]


def _lamp_marked(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return LAMP scores of ``weights`` that keep the marks of ``scores``."""
    values = np.where(np.isfinite(weights) & (scores > -np.inf), weights, 0.0)
    return np.where(np.isfinite(scores), lamp_scores(values), scores)
