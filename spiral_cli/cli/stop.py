"""Ctrl-C and SIGTERM: an end at once while nothing is at stake, a request to stop while work is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\033[?25h\n"


class Stop:
    """The state of the signals. ``asked`` is what `Control` looks at between chunks."""

    def __init__(self) -> None:
        self.asked = False
        self._working = False

    def install(self) -> None:
        """Take over Ctrl-C and SIGTERM."""
        for number in SIGNALS:
            signal.signal(number, self._heard)

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Within the block a first signal is a request; the work stops where it can go on later."""
        self._working = True
        try:
            yield
        finally:
            self._working = False
            if self.asked:  # the end is near: a second signal must not change how it is told
                for number in SIGNALS:
                    signal.signal(number, signal.SIG_IGN)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._working and not self.asked:
            self.asked = True
            return
        # No KeyboardInterrupt: imports that swallow it, and Python's own end by it, would change the exit code.
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), SHOW_CURSOR)
        os._exit(INTERRUPTED)


stop = Stop()
