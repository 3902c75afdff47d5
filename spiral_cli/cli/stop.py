"""Ctrl-C and SIGTERM: an end at once while nothing is at stake, a request to stop while work is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
SHOW_CURSOR = "\033[?25h"


class Stop:
    """The state of the signals. ``asked`` is what `Control` looks at between chunks."""

    def __init__(self) -> None:
        self.asked = False
        self._working = False

    def install(self) -> None:
        """Take over Ctrl-C and SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._heard)

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Within the block a first signal is a request; the work stops where it can go on later."""
        self._working = True
        try:
            yield
        finally:
            self._working = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), SHOW_CURSOR.encode())
            os._exit(INTERRUPTED)
        self.asked = True
        if not self._working:
            raise KeyboardInterrupt


stop = Stop()
