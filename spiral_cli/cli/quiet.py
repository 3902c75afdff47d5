"""Importing TensorFlow without its chatter. Its C++ side writes to file descriptor 2 by itself."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow(verbose: bool) -> None:
    """Import TensorFlow and Keras; let through what they say only if ``verbose``, or if they fail."""
    if verbose:
        importlib.import_module("keras")
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with held_back_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("keras")
        importlib.import_module("tensorflow").config.list_physical_devices()  # the search for GPUs talks too


@contextmanager
def held_back_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; let it out only if the block raises."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
