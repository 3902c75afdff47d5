"""Class folders of any kind of file: which files there are of each class."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path

from spiral_cli.errors import MissingError


def class_folders(folder: Path) -> list[Path]:
    """Return the visible folders in ``folder``, sorted by name."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))


def hidden(path: Path) -> bool:
    """Say whether a relative path is a tool's own: `.ipynb_checkpoints`, macOS' ``._1.png`` and the like."""
    return any(part.startswith((".", "__")) for part in path.parts)


def class_files(
    folder: Path, below: Callable[[Path], list[Path]], endings: Sequence[str], no_class: Container[str] = ()
) -> dict[str, list[Path]]:
    """Return the files below each class folder of ``folder``, sorted by the names of the folders.

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
        found = f"; found {', '.join(files) or 'no folder'}"
        raise MissingError(f"{folder} must hold a folder for each class with files ending in {read}{found}")
    for name, many in files.items():
        if not many:
            said = f"{folder / name} holds no file ending in {read}"
            raise MissingError(f"class '{name}' is empty: {said}; add some or remove the folder")
    return files
