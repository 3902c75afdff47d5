"""Sentences and their translations in two files, line by line."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.data.raw import NAMES, Arrays, Raw, column, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("parallel_text", needs=("path", "columns"), gives="pairs", columns=("source", "target"))
def parallel_text(settings: Data) -> Raw:
    """Line-aligned files train.en and train.de, val.en and val.de, …; data.columns says {source: en, target: de}."""
    endings = {role: settings.columns.get(role, role).lstrip(".") for role in ("source", "target")}
    stems = part_stems(settings, endings["source"]) | own_stems(settings, endings["source"])
    return Raw.of({part: read_part(stem, endings) for part, stem in stems.items()})


def part_stems(settings: Data, ending: str) -> dict[str, Path]:
    """Return the path of each part without its ending.

    Raises:
        MissingError: there is no train part.
    """
    root = root_path(settings)
    if root is None:
        return {}
    found = {
        part: root / name
        for part, names in NAMES.items()
        for name in reversed(names)
        if (root / f"{name}.{ending}").is_file()
    }
    if "train" not in found:
        raise MissingError(
            f"data.path: {root} holds no train.{ending}; the two files of a part are called train.SOURCE and "
            "train.TARGET, and data.columns says what stands for both: {source: en, target: de}"
        )
    return found


def own_stems(settings: Data, ending: str) -> dict[str, Path]:
    """Return the parts that the recipe names by their source file, without its ending.

    Raises:
        MissingError: it has another ending.
    """
    own = own_paths(settings)
    for part, path in own.items():
        if path.suffix != f".{ending}":
            raise MissingError(f"data.{part}: {path} must end in .{ending}; the target's file lies beside it")
    return {part: path.with_suffix("") for part, path in own.items()}


def read_part(stem: Path, endings: dict[str, str]) -> Arrays:
    """Return the sentences (n,) and their translations (n,) of a part.

    Raises:
        MissingError: a file is missing, or the two have not as many lines.
    """
    files = {role: stem.with_name(f"{stem.name}.{ending}") for role, ending in endings.items()}
    for file in files.values():
        if not file.is_file():
            raise MissingError(f"there is no {file}; a part is two files of as many lines")
    source, target = (lines(read_text(file)) for file in files.values())
    if len(source) != len(target):
        shorter, longer = sorted((len(source), len(target)))
        short = files["source" if len(source) == shorter else "target"]
        raise MissingError(
            f"{files['source']} has {len(source)} lines and {files['target']} {len(target)}; line by line one must be "
            f"the other's translation: {short} ends after line {shorter} of {longer}, or lost lines before"
        )
    return Arrays(column(source), column(target))


def lines(text: str) -> list[str]:
    """Return the lines of a text; Windows' ends are read over, and no other character ends a line."""
    found = [line.removesuffix("\r") for line in text.split("\n")]
    return found[:-1] if found and not found[-1] else found
