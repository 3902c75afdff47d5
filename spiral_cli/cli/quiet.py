"""Importing TensorFlow without its chatter. Its C++ side writes to file descriptor 2 by itself."""

from __future__ import annotations

import importlib
import logging
import warnings

from spiral_cli.chatter import held_back_stderr


def import_tensorflow(verbose: bool) -> None:
    """Import TensorFlow and Keras; let through what they say only if ``verbose``, or if they fail."""
    if verbose:
        importlib.import_module("keras")
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with held_back_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("keras")
        importlib.import_module("tensorflow").config.list_physical_devices()  # the search for GPUs talks too
