"""Outputs that are no numbers, and the refusal of them. Arrays in, nothing out."""

from __future__ import annotations

import numpy as np

from spiral_cli.errors import DivergedError


def finite(outputs: np.ndarray) -> np.ndarray:
    """Say of each example (n,) whether all its outputs (n, …) are finite numbers."""
    return np.isfinite(outputs).reshape(len(outputs), -1).all(axis=-1)


def refuse_broken(model: str, outputs: np.ndarray, of: str = "examples") -> None:
    """Check that a model gives numbers.

    Args:
        model: its name.
        outputs: (n, …) of it.
        of: what these n are.

    Raises:
        DivergedError: some are NaN or infinite.
    """
    if broken := int(np.count_nonzero(~finite(outputs))):
        raise DivergedError(
            f"model '{model}' gives NaN or infinity for {broken} of {len(outputs)} {of}: its training diverged (lower "
            "the learning rate), or the data hold NaN or are not in the range the recipe says"
        )
