"""Which groups leave: steps within each space, ranked over all, taken until little enough is left."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from spiral_cli.channels.graph import Channels, Space, stays
from spiral_cli.pruning.patterns import matches, refuse_unmatched, spellings

Left = Callable[[np.ndarray], float]
"""What part of the whole is left with some groups kept, (groups,) of bool: 1 with all."""


Sizes = Mapping[tuple[tuple[str, ...], int], int]
"""Groups of each space before any pruning, by the layers that make it and its width."""


@dataclass(frozen=True)
class Limits:
    """What every layer keeps.

    Attributes:
        round_to: the number of channels left is a multiple of it, where the layer has as many.
        least: channels that every layer keeps, at least 1.
    """

    round_to: int = 1
    least: int = 1


@dataclass(frozen=True)
class Step:
    """Groups of one space that leave at once, and their mean score."""

    groups: np.ndarray
    score: float


def steps_of(space: Space, scores: np.ndarray, limits: Limits) -> list[Step]:
    """Return in which portions a space loses its groups, the least important first.

    After each of them the space has a multiple of ``round_to`` channels and no fewer than ``least``.
    """
    order = space.groups[np.argsort(scores[space.groups], kind="stable")]
    unit = limits.round_to // np.gcd(limits.round_to, space.width)  # groups that are a multiple of round_to channels
    floor = max(-(-limits.least // space.width), 1)
    floor = max(unit, -(-floor // unit) * unit)
    portions, taken = [], 0
    left = (len(order) - 1) // unit * unit if len(order) > floor else 0
    while floor <= left < len(order):
        portion = order[taken : len(order) - left]
        portions.append(Step(portion, float(scores[portion].mean())))
        taken, left = len(order) - left, left - unit
    return portions


def ranked(channels: Channels, scores: np.ndarray, limits: Limits, allocation: str, sizes: Sizes) -> list[Step]:
    """Return all portions in the order they leave.

    Args:
        channels, scores, limits: the groups, how much each matters, and what stays.
        allocation: ``global`` compares scores of all spaces; ``uniform`` leaves the same part of each.
        sizes: groups of each space before any pruning.
    """
    found: list[tuple[float, Step]] = []
    for space in channels.spaces:
        rest = len(space.groups)
        for step in steps_of(space, scores, limits):
            rest -= len(step.groups)
            found.append((step.score if allocation == "global" else -rest / size_in(sizes, space), step))
    return [step for _, step in sorted(found, key=lambda one: one[0])]


def choose(steps: Sequence[Step], kept: np.ndarray, left: Left, target: float) -> np.ndarray:
    """Return which groups stay, (groups,) of bool: as few portions leave as bring ``left`` to ``target``.

    Args:
        steps: portions in the order they leave.
        kept: what stays so far; those of the steps are among it.
        left: falls with every portion.
        target: what part may be left, 0 to 1. Where all portions are too few, all leave.
    """

    def after(count: int) -> np.ndarray:
        rest = kept.copy()
        for step in steps[:count]:
            rest[step.groups] = False
        return rest

    low, high = 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        if left(after(middle)) <= target + 1e-9:
            high = middle
        else:
            low = middle + 1
    return after(low)


def channels_of(channels: Channels, kept: np.ndarray) -> float:
    """Return how many channels that may leave are there with some groups kept, of all layers."""
    return float(channels.weight[kept].sum())


def parameters_of(channels: Channels, kept: np.ndarray) -> float:
    """Return how many weights the model has with some groups kept; states of random generators are none."""
    sizes = (size_of(axes, shape, kept) for axes, shape in zip(channels.axes, channels.shapes, strict=True))
    return float(sum(size for size, counts in zip(sizes, channels.weights, strict=True) if counts))


def products_of(channels: Channels, kept: np.ndarray) -> float:
    """Return the multiply-adds of an example with weights, and of attention, with some groups kept."""
    weights = zip(channels.axes, channels.shapes, channels.uses, strict=True)
    found = sum(uses * size_of(axes, shape, kept) for axes, shape, uses in weights if uses)
    return found + sum(amount * np.count_nonzero(stays(labels, kept)) for labels, amount in channels.products)


def size_of(axes: Sequence[np.ndarray | None], shape: Sequence[int], kept: np.ndarray) -> int:
    """Return how many weights of one variable stay."""
    sides = zip(axes, shape, strict=True)
    return math.prod(size if labels is None else int(np.count_nonzero(stays(labels, kept))) for labels, size in sides)


def chosen(
    channels: Channels,
    scores: np.ndarray,
    target: float,
    *,
    left: Left,
    limits: Limits,
    allocation: str | Mapping[str, float],
    final: float,
    sizes: Sizes,
) -> np.ndarray:
    """Return which groups stay, (groups,) of bool.

    Args:
        channels: the groups.
        scores: how much each matters, higher is kept.
        target: what part may be left in this round.
        left: measures it.
        limits: what every layer keeps.
        allocation: ``global``, ``uniform``, or final sparsities by layer pattern.
        final: what part is left after the last round.
        sizes: groups of each space before any pruning.
    """
    every = np.ones(channels.count, bool)
    if isinstance(allocation, str):
        return choose(ranked(channels, scores, limits, allocation, sizes), every, left, target)
    finals = per_space(channels, allocation)
    progress = math.log(target) / math.log(final)  # as `pruning.allocation.per_layer`
    for place, space in enumerate(channels.spaces):
        here = (1.0 - finals[place]) ** progress if place in finals else target
        every = choose(steps_of(space, scores, limits), every, partial(part_of, space, size_in(sizes, space)), here)
    return every


def size_in(sizes: Sizes, space: Space) -> int:
    """Return the groups of a space before any pruning; those it has where it was none then.

    What is divided into parts may lose places of every part in one round, and whole parts in a
    later one, as soon as these are more: then its layers make other spaces.
    """
    return sizes.get((space.layers, space.width), len(space.groups))


def sizes_of(channels: Channels) -> Sizes:
    """Return the groups of each space."""
    return {(space.layers, space.width): len(space.groups) for space in channels.spaces}


def part_of(space: Space, size: int, kept: np.ndarray) -> float:
    """Return what part of a space's ``size`` groups is kept."""
    return float(np.count_nonzero(kept[space.groups]) / size)


def per_space(channels: Channels, finals: Mapping[str, float]) -> dict[int, float]:
    """Return the final sparsity that a recipe gives a space, by its place, for those it names.

    A space is named by any of the layers that make it; the first pattern that matches counts.

    Raises:
        UsageError: a pattern matches no space.
    """
    layers = [space.layers for space in channels.spaces]
    refuse_unmatched(finals, [name for several in layers for name in several], "prune.allocation")
    found: dict[int, float] = {}
    for place, several in enumerate(layers):
        names = {spelling for name in several for spelling in spellings(name)}
        value = next((final for pattern, final in finals.items() if matches(pattern, names)), None)
        if value is not None:
            found[place] = value
    return found
