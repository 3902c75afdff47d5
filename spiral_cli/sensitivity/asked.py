"""What `spiral sensitivity` refuses before anything is loaded. No TensorFlow."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.errors import UsageError
from spiral_cli.recipe import Recipe


def refuse_channels(recipe: Recipe) -> None:
    """Check that single layers can be pruned by themselves.

    Raises:
        UsageError: the recipe prunes channels, which leave several layers at once.
    """
    if recipe.prune.granularity == "channel":
        raise UsageError(
            "sensitivity: channels leave several layers at once, so no layer has a tolerance of its own; "
            "measure another granularity (--set prune.granularity=unstructured), or leave it to prune.allocation"
        )


def refuse_existing(path: Path) -> None:
    """Keep a person's file from being overwritten.

    Raises:
        UsageError: something lies there already.
    """
    if path.exists():
        raise UsageError(f"--write {path} exists and is not overwritten; give another path")
