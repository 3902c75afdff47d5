"""Holding back what C++ libraries write to file descriptor 2 while they are imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr


@contextmanager
def held_back_stderr(*, python: bool = True) -> Iterator[None]:
    """Hold back what is written to file descriptor 2; let it out only if the block raises.

    Args:
        python: hold back `sys.stderr` too, not only what bypasses it.
    """
    import tempfile  # late: it is a tenth of the time `spiral --help` has

    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held, open(os.dup(terminal), "w", buffering=1) as aside:
        os.dup2(held.fileno(), 2)
        try:
            with redirect_stderr(sys.stderr if python else aside):
                yield
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
