"""`spiral evaluate` as a gate: which demands a measured student misses, and by how much."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spiral_cli.console.texts import number
from spiral_cli.errors import UsageError, did_you_mean


def parse_least(demands: Sequence[str], metrics: Collection[str]) -> dict[str, float]:
    """Return the least value of each metric from ``["accuracy=0.97", …]``.

    Args:
        demands: of ``--min``, each ``metric=number``.
        metrics: the names a task measures.

    Raises:
        UsageError: one is malformed, doubled, or names no metric.
    """
    least: dict[str, float] = {}
    for demand in demands:
        name, _, text = demand.partition("=")
        if name not in metrics:
            near = did_you_mean(name, list(metrics))
            raise UsageError(
                f"--min {demand}: received '{name}'; allowed: METRIC=NUMBER with {', '.join(metrics)}{near}"
            )
        if name.endswith("loss"):
            raise UsageError(f"--min {demand}: {name} is better when lower; ask for another metric, or for --max-drop")
        if name in least:
            raise UsageError(f"--min {demand}: {name} is asked for twice")
        try:
            least[name] = float(text)
        except ValueError:
            least[name] = math.nan
        if math.isnan(least[name]):
            raise UsageError(f"--min {demand}: received '{text}'; allowed: a number, such as {name}=0.97")
    return least


def missed(comparison: Mapping[str, Any], least: Mapping[str, float], max_drop: float | None) -> list[str]:
    """Return a sentence for each demand the student misses on test; empty means the gate is passed.

    Args:
        comparison: of `spiral_cli.compare.compare`.
        least: the least value of metrics.
        max_drop: the largest allowed drop of the monitored metric, or None.

    Raises:
        UsageError: there is no teacher to compare with, or the model does not have a metric.
    """
    measured, sentences = comparison["student"]["metrics"]["test"], []
    for name, wanted in least.items():
        if name not in measured:
            raise UsageError(f"--min {name}: this model has {', '.join(measured)}")
        if measured[name] < wanted:
            short = number(wanted - measured[name])
            sentences.append(f"test {name} is {number(measured[name])}, {short} below the {wanted:g} of --min")
    if max_drop is not None:
        lost = comparison["drop"]
        if lost is None:
            raise UsageError("--max-drop needs the teacher of a run; this model has none to be compared with")
        if lost > max_drop + 1e-9:
            over = f"{number(lost - max_drop)} more than the {max_drop:g} of --max-drop"
            sentences.append(f"test {comparison['monitor']} drops by {number(lost)}, {over}")
    return sentences
