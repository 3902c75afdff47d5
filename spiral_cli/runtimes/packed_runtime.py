"""``.spiral`` files: unpacked, and run by Keras."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.packed.container import read_packed
from spiral_cli.packed.model_file import unpack_model
from spiral_cli.registry import runtimes
from spiral_cli.runtimes.keras_runtime import session
from spiral_cli.runtimes.session import Session
from spiral_cli.runtimes.tensorflow_threads import use_threads


@runtimes.register("packed", opens=".spiral", classes=True)
def open_packed(path: Path, threads: int) -> Session:
    """A packed file, unpacked into memory and run by Keras on TensorFlow."""
    used = use_threads(threads)
    return session(unpack_model(read_packed(path), str(path)), used)
