"""The sets `keras.datasets` downloads once and keeps in Keras' own cache."""

from __future__ import annotations

import importlib
import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from spiral_cli.data.raw import Arrays, Raw
from spiral_cli.errors import MissingError

SILENCE = 10.0  # seconds a server may say nothing


@contextmanager
def impatient(seconds: float) -> Iterator[None]:
    """Let no socket opened inside wait longer than ``seconds``: Keras' downloads set no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def keras_set(name: str, classes: tuple[str, ...] | None = None) -> Raw:
    """Return train and test of ``keras.datasets.<name>``.

    Raises:
        MissingError: it is neither in the cache nor to be downloaded.
    """
    (x, y), (x_test, y_test) = downloaded(name, "load_data")
    return Raw(Arrays(x, y), test=Arrays(x_test, y_test), classes=classes)


def downloaded(name: str, function: str) -> Any:
    """Return what a function of ``keras.datasets.<name>`` gives.

    Raises:
        MissingError: it is neither in the cache nor to be downloaded.
    """
    module = importlib.import_module(f"keras.datasets.{name}")
    try:
        with impatient(SILENCE), redirect_stdout(io.StringIO()):  # Keras draws a progress bar on stdout
            return getattr(module, function)()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise MissingError(
            f"data.format: {name} is not in Keras' cache and cannot be downloaded ({error}); connect to the "
            "network once, copy the files into ~/.keras/datasets, or use a format that reads a path"
        ) from error
