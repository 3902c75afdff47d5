"""The recipe that a measurement of layers suggests. No TensorFlow."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spiral_cli.recipe import Recipe
from spiral_cli.recipe.digest import dump
from spiral_cli.run import RunFolder, write_text


def write_suggestion(recipe: Recipe, result: Mapping[str, Any], run: RunFolder, path: Path) -> None:
    """Write the recipe with the suggested sparsities by layer, every default spelled out, under a name of its own.

    Args:
        recipe: what was measured.
        result: of `spiral_cli.sensitivity.run`.
        run: whose teacher the new recipe can use.
        path: where to write; its paths are relative to there.
    """
    allocation = {glob.escape(layer["name"]): layer["suggested"] for layer in result["layers"]}
    prune = recipe.prune.model_copy(update={"allocation": allocation})
    suggested = recipe.model_copy(update={"name": f"{recipe.name}-by-layer", "prune": prune})
    head = (
        f"# spiral compress {path} --teacher-from {run.root}\n"
        f"# prune.allocation as spiral sensitivity suggests it, of what each layer by itself costs of validation "
        f"{result['monitor']}.\n"
    )
    write_text(path, head + dump(suggested, path.parent))
