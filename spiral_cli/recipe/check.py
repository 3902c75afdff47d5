"""Every mistake of a recipe's values at once, those behind other mistakes too.

Pydantic asks a section's rules only when all its keys are right. So what was found wrong is taken
out and the rest is looked at again, until nothing new comes up.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from spiral_cli.recipe.messages import Finding, Location, findings
from spiral_cli.recipe.schema import Recipe

PASSES = 4
# What stands in for a section without which the others cannot be looked at, whatever the task.
STAND_INS: dict[str, dict[str, Any]] = {"data": {"builder": "stand:in"}, "teacher": {"builder": "stand:in"}}


def check(values: Mapping[str, Any]) -> tuple[Recipe | None, list[Finding]]:
    """Return the recipe, or None and every finding; consequences of other findings are left out."""
    found: list[Finding] = []
    removed: set[Location] = set()
    rest: dict[str, Any] = copy.deepcopy(dict(values))
    for number in range(PASSES):
        try:
            recipe = Recipe.model_validate(rest)
            return (None if found else recipe), found
        except ValidationError as error:
            here = list(findings(error))
        found += [one for one in here if one not in found and not (number and follows(one, removed))]
        for one in here:
            way = take_out(rest, one.keys)
            if way is None and one.keys:
                rest.pop(str(one.keys[0]), None)
                way = one.keys[:1]
            removed.add(way or ())
        for name, section in STAND_INS.items():
            rest.setdefault(name, dict(section))
    return None, found


def follows(finding: Finding, removed: set[Location]) -> bool:
    """Say whether a finding is there only because something wrong was taken out before."""
    asked = {f"add {'.'.join(map(str, keys))}" for keys in removed}
    return any(keys[: len(finding.keys)] == finding.keys for keys in removed) or any(
        finding.message.endswith(one) for one in asked
    )


def take_out(values: dict[str, Any], keys: Location) -> Location | None:
    """Remove the value at ``keys``, or the list it is in; return its way, or None if it is not there."""
    node: Any = values
    parents: list[dict] = []
    for key in keys:
        if not isinstance(node, dict) or key not in node:
            break
        parents.append(node)
        node = node[key]
    if not parents or (len(parents) < len(keys) and not isinstance(node, list)):
        return None
    del parents[-1][keys[len(parents) - 1]]
    return keys[: len(parents)]
