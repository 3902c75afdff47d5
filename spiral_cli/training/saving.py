"""Keras files, written whole or not at all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

from spiral_cli.run import atomic_path


def save_model(model: keras.Model, path: Path) -> None:
    """Write ``model`` as a ``.keras`` file that loads without spiral."""
    with atomic_path(path) as temporary:
        model.save(temporary)


def save_compressed(model: keras.Model, path: Path) -> None:
    """Write ``model`` as `save_model` does, as small as Keras can read it."""
    with atomic_path(path) as temporary:
        model.save(temporary)
        deflate(temporary)


def deflate(path: Path) -> None:
    """Compress the members of a zip file, which Keras only stores; their contents and dates stay."""
    with zipfile.ZipFile(path) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members:
            archive.writestr(member, content, zipfile.ZIP_DEFLATED, compresslevel=9)
