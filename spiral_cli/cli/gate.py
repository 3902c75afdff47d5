"""`spiral evaluate` as a gate: which demands a measured student misses, and by how much."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spiral_cli.console.texts import number
from spiral_cli.errors import UsageError, did_you_mean
from spiral_cli.recipe.metrics import lower_is_better


def parse_bounds(option: str, demands: Sequence[str], metrics: Collection[str]) -> dict[str, float]:
    """Return the bound of each metric from ``["accuracy=0.97", …]``.

    Args:
        option: ``--min`` of metrics that are better when higher, ``--max`` of the others.
        demands: each ``metric=number``.
        metrics: the names a task measures.

    Raises:
        UsageError: one is malformed, doubled, names no metric, or one that the option is not for.
    """
    bounds: dict[str, float] = {}
    for demand in demands:
        name, _, text = demand.partition("=")
        if name not in metrics:
            near = did_you_mean(name, list(metrics))
            raise UsageError(
                f"{option} {demand}: received '{name}'; allowed: METRIC=NUMBER with {', '.join(metrics)}{near}"
            )
        if lower_is_better(name) != (option == "--max"):
            better, other = ("lower", "--max") if lower_is_better(name) else ("higher", "--min")
            raise UsageError(f"{option} {demand}: {name} is better when {better}; ask for {other} {demand}")
        if name in bounds:
            raise UsageError(f"{option} {demand}: {name} is asked for twice")
        try:
            bounds[name] = float(text)
        except ValueError:
            bounds[name] = math.nan
        if math.isnan(bounds[name]):
            example = 0.2 if option == "--max" else 0.97
            raise UsageError(f"{option} {demand}: received '{text}'; allowed: a number, such as {name}={example}")
    return bounds


def missed(comparison: Mapping[str, Any], bounds: Mapping[str, float], max_drop: float | None) -> list[str]:
    """Return a sentence for each demand the student misses on test; empty means the gate is passed.

    Args:
        comparison: of `spiral_cli.compare.compare`.
        bounds: the least value of metrics that are better when higher, the largest of the others.
        max_drop: the largest allowed drop of the monitored metric, or None.

    Raises:
        UsageError: there is no teacher to compare with, or the model does not have a metric.
    """
    measured, sentences = comparison["student"]["metrics"]["test"], []
    for name, wanted in bounds.items():
        option, word = ("--max", "above") if lower_is_better(name) else ("--min", "below")
        if name not in measured:
            raise UsageError(f"{option} {name}: this model has {', '.join(measured)}")
        beyond = measured[name] - wanted if option == "--max" else wanted - measured[name]
        if beyond > 0:
            sentences.append(
                f"test {name} is {number(measured[name])}, {number(beyond)} {word} the {wanted:g} of {option}"
            )
    if max_drop is not None:
        lost = comparison["drop"]
        if lost is None:
            raise UsageError("--max-drop needs the teacher of a run; this model has none to be compared with")
        if lost > max_drop + 1e-9:
            over = f"{number(lost - max_drop)} more than the {max_drop:g} of --max-drop"
            sentences.append(f"test {comparison['monitor']} drops by {number(lost)}, {over}")
    return sentences
