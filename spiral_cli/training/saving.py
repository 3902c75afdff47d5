"""Keras files, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import keras

from spiral_cli.run import atomic_path


def save_model(model: keras.Model, path: Path) -> None:
    """Write ``model`` as a ``.keras`` file that loads without spiral."""
    with atomic_path(path) as temporary:
        model.save(temporary)
