"""How long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that one call of ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
