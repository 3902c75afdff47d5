"""What a criterion may ask of the training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spiral_cli.errors import UsageError

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evidence:
    """Collected by `training.evidence` where a criterion declares that it ``needs`` it; else None.

    Attributes:
        gradients: mean of |dL/dw| over batches, in the shape of the weight.
        squared_gradients: mean of (dL/dw)² over batches, in the shape of the weight.
        input_norms: root mean square of each input feature, broadcastable to the weight.
        seed: for criteria that draw.
    """

    gradients: Arrays | None = None
    squared_gradients: Arrays | None = None
    input_norms: Arrays | None = None
    seed: int = 0

    def need(self, name: str) -> Arrays:
        """Return one kind of evidence.

        Raises:
            UsageError: it was not collected; the criterion must declare it under ``needs``.
        """
        found = getattr(self, name)
        if found is None:
            raise UsageError(
                f"the criterion reads evidence.{name}, which was not collected; "
                f"declare it: @criteria.register(..., needs=('{name}',))"
            )
        return found
