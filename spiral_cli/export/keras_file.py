"""The student as a plain ``.keras`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path

from spiral_cli.export.artifact import Chosen
from spiral_cli.registry import exporters


@exporters.register("keras", file="student.keras", beside="keras")
def keras_file(chosen: Chosen, path: Path) -> None:
    """A compressed ``.keras`` file without training state, which Keras alone loads."""
    chosen.model.save(path)
    deflate(path)


def deflate(path: Path) -> None:
    """Compress the members of a zip file, which Keras only stores; their contents and dates stay."""
    with zipfile.ZipFile(path) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members:
            archive.writestr(member, content, zipfile.ZIP_DEFLATED, compresslevel=9)
