"""The files a recipe names: which they are, and whether they are still the same. No TensorFlow."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from spiral_cli.recipe import Recipe
from spiral_cli.recipe.schema import IMAGENET
from spiral_cli.run import checksum

MODELS = ("teacher.path", "teacher.weights", "student.path")
DATA = ("data.path", "data.train", "data.validation", "data.test")


def paths(recipe: Recipe) -> dict[str, Path]:
    """Return the files and folders that a recipe names, by dotted key."""
    named = {}
    for key in (*DATA, *MODELS):
        section, _, name = key.partition(".")
        value = getattr(getattr(recipe, section), name)
        if isinstance(value, str) and ((section, name), value) != IMAGENET:
            named[key] = Path(value)
    return named


def module_names(recipe: Recipe) -> list[str]:
    """Return the modules that may define the classes of a recipe's models: plugins and builders."""
    builders = (recipe.teacher.builder, recipe.student.builder)
    return [*recipe.plugins, *(one.partition(":")[0] for one in builders if one)]


def model_sums(recipe: Recipe) -> dict[str, str | None]:
    """Return the checksum of each model file that a recipe names, None where there is none."""
    named = paths(recipe)
    return {key: checksum(named[key]) if named[key].is_file() else None for key in MODELS if key in named}


def changed(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> list[str]:
    """Return the keys whose files are others than before; one that is gone says nothing."""
    return [key for key, found in now.items() if found is not None and before.get(key, found) not in (found, None)]


def data_stamp(recipe: Recipe) -> dict[str, list[int]]:
    """Return number, bytes and latest change of the data files by key: quick, for telling that nothing moved."""
    named = paths(recipe)
    return {key: stamp(named[key]) for key in DATA if key in named}


def stamp(path: Path) -> list[int]:
    """Return [files, bytes, nanoseconds of the latest change] of a file, or of all in a folder or pattern."""
    named = [path] if path.exists() else [Path(one) for one in glob.glob(str(path))]
    facts = [entry.stat() for entry in (files(path) if path.is_dir() else named) if entry.exists()]
    return [len(facts), sum(one.st_size for one in facts), max((one.st_mtime_ns for one in facts), default=0)]


def files(folder: Path) -> Iterator[Path]:
    """Yield the files below ``folder``."""
    for root, _, names in os.walk(folder):
        yield from (Path(root, name) for name in names)
