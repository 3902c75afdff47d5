"""The names under which one mapping of arrays holds the parts of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spiral_cli.data.raw import Arrays, Raw
from spiral_cli.errors import MissingError

ENDINGS = {
    "train": ("_train", ""),
    "validation": ("_validation", "_valid", "_val"),
    "test": ("_test",),
}


def raw_from_keys(arrays: Mapping[str, Any], source: str) -> Raw:
    """Sort ``x_train, y_train, w_train, x_validation, …`` (or ``x, y, w`` for train alone) into parts.

    ``classes`` may hold the class names.

    Raises:
        MissingError: there is no x, or an x without its y; ``source`` names where from.
    """
    found = {part: part_from_keys(arrays, endings, source) for part, endings in ENDINGS.items()}
    parts = {part: part_arrays for part, part_arrays in found.items() if part_arrays is not None}
    if not parts:
        held = ", ".join(sorted(map(str, arrays))) or "nothing"
        raise MissingError(
            f"{source} holds {held}; needed are x_train and y_train (with x_validation, y_validation, "
            "x_test, y_test, w_train where there are), or x and y"
        )
    return Raw.of(parts, np.asarray(arrays["classes"]).tolist() if "classes" in arrays else None)


def part_from_keys(arrays: Mapping[str, Any], endings: tuple[str, ...], source: str) -> Arrays | None:
    """Return the part under the first of ``endings`` that has an x, or None."""
    for ending in endings:
        if f"x{ending}" not in arrays:
            continue
        if f"y{ending}" not in arrays:
            raise MissingError(f"{source} holds x{ending} but no y{ending}; every part needs both")
        weight = np.asarray(arrays[f"w{ending}"]) if f"w{ending}" in arrays else None
        return Arrays(np.asarray(arrays[f"x{ending}"]), np.asarray(arrays[f"y{ending}"]), weight)
    return None
