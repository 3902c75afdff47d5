"""What is worked out once, though it is asked for in each of a thousand draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Once(Generic[T]):
    """Keeps what was last worked out for labels, as long as it is asked about the same array."""

    def __init__(self) -> None:
        self._known: tuple[np.ndarray, Any] | None = None

    def __call__(self, y: np.ndarray, work: Callable[[np.ndarray], T]) -> T:
        """Return ``work(y)``, which depends on nothing else that changes."""
        if self._known is None or self._known[0] is not y:
            self._known = (y, work(y))
        return self._known[1]
