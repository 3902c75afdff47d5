"""The recipe: one YAML file, read, completed and checked before anything heavy is imported."""

from __future__ import annotations

from spiral_cli.recipe.load import load_recipe
from spiral_cli.recipe.schema import Recipe

__all__ = ["Recipe", "load_recipe"]
