"""Defaults that depend on the task: what the guard watches, how much of it may be lost, how texts are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spiral_cli.recipe.metrics import a_point


def of_task(values: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's values with the task's defaults under what is said.

    What has a form that is not allowed is left as it is, for its error.

    Args:
        values: by section, unchecked.
        facts: what the task's registration says of it.
    """
    filled = dict(values)
    guard, data, export = values.get("guard", {}), values.get("data"), values.get("export", {})
    if isinstance(guard, dict) and (metrics := facts.get("metrics")):
        monitor = guard.get("monitor", metrics[0])
        filled["guard"] = {"monitor": monitor, "max_drop": a_point(monitor), **guard}
        if isinstance(export, list) and all(isinstance(one, str) for one in export) and len({*export}) == len(export):
            export = {"to": export}
        if isinstance(export, dict):
            filled["export"] = {"max_drop": a_point(monitor), **export}
    if isinstance(data, dict) and isinstance(tokens := data.get("tokens", {}), dict) and "lower" in facts:
        filled["data"] = {**data, "tokens": {"lower": facts["lower"], **tokens}}
    return filled
