"""The recipe's JSON Schema, by which editors complete and check recipes while they are written."""

from __future__ import annotations

from typing import Any

from spiral_cli.recipe.schema import Recipe


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a recipe, with the names of all registered parts."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(),
        "title": "spiral recipe",
    }
