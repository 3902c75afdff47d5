"""Which files `spiral benchmark` measures: those it is given, or those of a run with the teacher's counterparts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli import registry
from spiral_cli.benchmark.contender import Entry
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.export.apart import Apart
from spiral_cli.recipe import Recipe
from spiral_cli.run import RunFolder


def is_run(path: Path) -> bool:
    """Say whether a path is a run folder."""
    return RunFolder(path).recipe.is_file()


def refuse_targets(paths: Sequence[Path]) -> None:
    """Check that what is to be measured is there, and either files or one run.

    Raises:
        MissingError: something is not there.
        UsageError: a file is named twice, or a run together with other things.
    """
    for path in paths:
        if not path.exists():
            raise MissingError(f"there is no {path}; name a run folder, or files of models")
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError("a file is named twice; its second figures would be no other contender's")
    if len(paths) > 1 and any(map(is_run, paths)):
        raise UsageError("a run is measured with all its files, by itself; name one run, or files of models")


def entries_of_files(paths: Sequence[Path]) -> list[Entry]:
    """Return an entry a file, named as short as tells them apart."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    return [Entry(name, path) for name, path in zip(names, paths, strict=True)]


@dataclass(frozen=True)
class Exported:
    """A shipped file of a run: its kind, and that of the teacher's file it is measured beside."""

    kind: str
    beside: str
    path: Path


def exported(run: RunFolder) -> list[Exported]:
    """Return the exported files that lie in a run, but for the student's own ``.keras`` file."""
    parts = registry.exporters.parts()
    found = ((kind, part.facts["beside"], run.root / part.facts["file"]) for kind, part in parts.items())
    return [Exported(kind, beside, path) for kind, beside, path in found if path != run.student and path.exists()]


def entries_of_run(run: RunFolder, counterparts: Counterparts) -> Iterator[Entry]:
    """Yield teacher and student, then every exported file after the teacher's counterpart in its runtime.

    Raises:
        MissingError: there is no student.
    """
    for path in (run.teacher, run.student):
        if not path.is_file():
            raise MissingError(f"{run.root} has no {path.name}; run spiral compress first, or name files of models")
    yield Entry("teacher", run.teacher)
    yield Entry("student", run.student, beside="teacher")
    named = {"keras": "teacher"}
    for one in exported(run):
        if one.beside not in named and (made := counterparts(one.beside)) is not None:
            named[one.beside] = f"teacher as {one.beside}"
            yield Entry(named[one.beside], made, source=run.teacher)
        yield Entry(one.kind, one.path, source=run.student, beside=named.get(one.beside))


class Counterparts:
    """Makes the teacher's file of a kind, in float32, in another process; the files go with it.

    Attributes:
        failed: why a kind could not be made.

    Args:
        recipe: of the run.
        teacher: the teacher's ``.keras`` file.
        example: a few inputs of it, in its order.
    """

    def __init__(self, recipe: Recipe, teacher: Path, example: tuple[np.ndarray, ...]) -> None:
        self._apart, self._stack, self.file = Apart(recipe, example), ExitStack(), teacher
        self.failed: dict[str, str] = {}

    def __enter__(self) -> Counterparts:
        self._stack.enter_context(self._apart)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def __call__(self, kind: str) -> Path | None:
        """Return the teacher's file as ``kind``, or None where it cannot be made."""
        path = self._apart.folder / Path(registry.exporters.part(kind).facts["file"]).name
        try:
            registry.exporters.get(kind)(self, path)
        except Exception as error:  # of any converter: the student's file is measured without it
            self.failed[kind] = str(error)
            return None
        return path

    def convert(self, function: Any, path: Path, **options: Any) -> None:
        """Call a converter in the other process, as `export.artifact.Chosen.convert` does for an exporter."""
        self._apart(function, self.file, path, **options)
