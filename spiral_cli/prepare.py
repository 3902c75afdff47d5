"""Opening a run folder: new, resumed, finished, or refused because another recipe made it. No TensorFlow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from spiral_cli.errors import MissingError, RunMismatchError, UsageError
from spiral_cli.recipe import Recipe, load_recipe
from spiral_cli.recipe.digest import STUDENT_KEYS, TEACHER_KEYS, differences, dump, student_digest, teacher_digest
from spiral_cli.run import Ledger, RunFolder, atomic_path, disk_errors, write_text


def finished_report(recipe: Recipe, run: RunFolder) -> dict[str, Any] | None:
    """Return the report of a run of exactly this recipe that has ended, or None."""
    ledger = Ledger(run)
    record = ledger.find("finished")
    if record is None or not run.recipe.is_file() or dump(recipe) != run.recipe.read_text("utf-8"):
        return None
    if ledger.damaged(record):
        return None
    return json.loads(run.report.read_text("utf-8"))


def open_run(recipe: Recipe, run: RunFolder, *, fresh: bool = False, teacher_from: Path | None = None) -> None:
    """Make the run folder ready for ``recipe``; the caller holds its lock.

    Args:
        recipe: what is to be run.
        run: the folder, maybe with finished stages in it.
        fresh: forget everything in it first.
        teacher_from: another run's folder whose teacher is used where this run has none.

    Raises:
        RunMismatchError: finished stages in it were made by another recipe.
        MissingError: ``teacher_from`` has no such teacher.
    """
    refuse_own_file(run)
    with disk_errors(run.root):
        if fresh:
            run.clear()
        else:
            refuse_other(recipe, run)
            forget_unfinished(recipe, run)
    write_text(run.recipe, dump(recipe))
    if teacher_from is not None and Ledger(run).find("teacher") is None:
        take_teacher(recipe, run, RunFolder(teacher_from))


def refuse_own_file(run: RunFolder) -> None:
    """Keep a person's own ``recipe.yaml`` from being overwritten by the run's resolved one.

    Raises:
        UsageError: there is one in the folder that no run wrote.
    """
    if run.ledger.exists() or not run.recipe.is_file():
        return
    try:
        resolved = dump(load_recipe(run.recipe)) == run.recipe.read_text("utf-8")
    except UsageError:
        resolved = False
    if not resolved:
        raise UsageError(f"{run.recipe} is a file of your own, and a run writes its recipe there; give another --run")


def refuse_other(recipe: Recipe, run: RunFolder) -> None:
    """Compare the stages a run has finished with what ``recipe`` would make of them.

    Raises:
        RunMismatchError: with the keys that differ.
    """
    ledger = Ledger(run)
    made = {"teacher": (teacher_digest(recipe), TEACHER_KEYS), "dense": (student_digest(recipe), STUDENT_KEYS)}
    for event, (digest, keys) in made.items():
        record = ledger.find(event)
        if record is not None and record["digest"] != digest:
            lines = differences(load_recipe(run.recipe), recipe, keys) if run.recipe.is_file() else []
            raise RunMismatchError(
                f"{run.root} was made by another recipe:\n  "
                + "\n  ".join(lines or ["(its recipe.yaml is missing)"])
                + "\ngive --run another folder (with --teacher-from to reuse a teacher), or start over with --fresh"
            )


def forget_unfinished(recipe: Recipe, run: RunFolder) -> None:
    """Remove the states of stages that another recipe began and did not finish; they must not be continued."""
    if not run.recipe.is_file():
        return
    before = load_recipe(run.recipe)
    if teacher_digest(before) != teacher_digest(recipe):
        remove_all(run.root, "teacher*.spiral")
    if student_digest(before) != student_digest(recipe):
        remove_all(run.root, "rounds/*/attempt-*.spiral")


def remove_all(folder: Path, pattern: str) -> None:
    """Remove the files below ``folder`` that match a glob."""
    for path in folder.glob(pattern):
        path.unlink()


def take_teacher(recipe: Recipe, run: RunFolder, other: RunFolder) -> None:
    """Copy the teacher of another run, with its ledger record.

    Raises:
        MissingError: there is none, or it is damaged.
        RunMismatchError: another recipe trained it.
    """
    record = Ledger(other).find("teacher")
    if record is None or Ledger(other).damaged(record):
        raise MissingError(
            f"--teacher-from {other.root}: there is no intact teacher; run spiral train-teacher there first"
        )
    if record["digest"] != teacher_digest(recipe):
        lines = differences(load_recipe(other.recipe), recipe, TEACHER_KEYS)
        raise RunMismatchError(
            f"--teacher-from {other.root}: its teacher was made by another recipe:\n  " + "\n  ".join(lines)
        )
    with atomic_path(run.teacher) as temporary:
        shutil.copyfile(other.teacher, temporary)
    facts = {key: value for key, value in record.items() if key not in ("event", "files")}
    Ledger(run).append("teacher", **facts, files=(run.teacher,))
