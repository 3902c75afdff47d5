"""Class folders of any kind of file: which files there are of each class."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path

from spiral_cli.data.image_files import class_folders
from spiral_cli.errors import MissingError


def class_files(
    folder: Path, below: Callable[[Path], list[Path]], endings: Sequence[str], no_class: Container[str] = ()
) -> dict[str, list[Path]]:
    """Return the files below each class folder of ``folder``, as `class_images` does of images.

    Args:
        folder: holds a folder for each class.
        below: finds the files in and below a folder.
        endings: what their names end in, for messages.
        no_class: names of folders that are none.

    Raises:
        MissingError: there is no class folder with files, or one without.
    """
    folders = [one for one in class_folders(folder) if one.name not in no_class] if folder.is_dir() else []
    files, read = {one.name: below(one) for one in folders}, " or ".join(endings)
    if not any(files.values()):
        raise MissingError(f"{folder} holds no folder with files ending in {read}; there must be one for each class")
    for name, many in files.items():
        if not many:
            said = f"{folder / name} holds no file ending in {read}"
            raise MissingError(f"class '{name}' is empty: {said}; add some or remove the folder")
    return files
