"""Opening a run folder: new, resumed, finished, or refused because another recipe made it. No TensorFlow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spiral_cli.errors import MissingError, RunMismatchError, UsageError
from spiral_cli.recipe import Recipe, load_recipe
from spiral_cli.recipe.digest import STUDENT_KEYS, TEACHER_KEYS, differences, dump, student_digest, teacher_digest
from spiral_cli.run import Ledger, RunFolder, atomic_path, disk_errors, write_text
from spiral_cli.sources import changed, data_stamp, model_sums, paths


def finished_report(recipe: Recipe, run: RunFolder) -> dict[str, Any] | None:
    """Return the report of a run that has ended, of exactly this recipe and the files it names, or None."""
    ledger = Ledger(run)
    record, opened = ledger.find("finished"), ledger.find("opened")
    if record is None or opened is None or stored_recipe(run) != recipe or ledger.damaged(record):
        return None
    if record["data"] != data_stamp(recipe) or changed(opened["models"], model_sums(recipe)):
        return None  # going on, the run itself looks closer, and says what changed
    return json.loads(run.report.read_text("utf-8"))


def refuse_unfinished(run: RunFolder) -> None:
    """Refuse a folder without a finished run whose files are all as it left them.

    Raises:
        MissingError: with what to do.
    """
    ledger = Ledger(run)
    record = ledger.find("finished")
    if record is None or not run.student.is_file():
        raise MissingError(f"there is no finished run in {run.root}; run spiral compress there first, to its end")
    if damaged := ledger.damaged(record):
        raise MissingError(
            f"{run.root / damaged[0]} is damaged or missing; the same spiral compress as before makes it again"
        )


def refuse_run(recipe: Recipe, run: RunFolder, *, fresh: bool, teacher_from: Path | None) -> None:
    """Refuse a run folder that cannot be used for ``recipe``, before anything in it is changed.

    Args:
        recipe: what is to be run.
        run: the folder, maybe with finished stages in it.
        fresh: they are going to be forgotten.
        teacher_from: another run's folder whose teacher is used where this run has none.

    Raises:
        RunMismatchError: finished stages in it were made by another recipe, or from other files.
        MissingError: ``teacher_from`` has no such teacher.
        UsageError: a person's own files are in the way, or ``fresh`` would remove the teacher to take.
    """
    refuse_own_files(recipe, run)
    if not fresh:
        refuse_other(recipe, run)
    elif teacher_from is not None and teacher_from.resolve() == run.root.resolve():
        raise UsageError(
            f"--teacher-from {teacher_from} is the run folder that --fresh empties; leave --fresh out to keep its "
            "teacher, or give another --run"
        )
    if teacher_from is not None:
        other_teacher(recipe, RunFolder(teacher_from))


def open_run(recipe: Recipe, run: RunFolder, *, fresh: bool, teacher_from: Path | None) -> None:
    """Make the run folder, which `refuse_run` has looked at, ready; the caller holds its lock."""
    with disk_errors(run.root):
        if fresh:
            run.clear()
        else:
            forget_unfinished(recipe, run)
    ledger = Ledger(run)
    ledger.drop(lambda record: record["event"] == "opened")
    ledger.append("opened", models=model_sums(recipe))
    write_text(run.recipe, dump(recipe, run.root))
    if teacher_from is not None and ledger.find("teacher") is None:
        take_teacher(recipe, run, RunFolder(teacher_from))


def refuse_own_files(recipe: Recipe, run: RunFolder) -> None:
    """Keep a person's own files from being overwritten by those of a run.

    Raises:
        UsageError: no run wrote what lies there, or the recipe names a file that is the run's own.
    """
    taken = [path for path in run.owned() if path.exists()]
    if taken and not run.ledger.exists():
        raise UsageError(
            f"{taken[0]} was not written by a run, and a run in {run.root} would replace it; give another --run"
        )
    names = {path.resolve() for path in run.owned()}
    for key, path in paths(recipe).items():
        if names & {path.resolve(), *path.resolve().parents}:
            raise UsageError(f"{key}: {path} belongs to the run in {run.root}; move it, or give another --run")


def refuse_other(recipe: Recipe, run: RunFolder) -> None:
    """Compare the stages a run has finished with what ``recipe`` and its files would make of them.

    Raises:
        RunMismatchError: with the keys that differ.
    """
    ledger = Ledger(run)
    records = {event: ledger.find(event) for event in ("teacher", "dense")}
    digests = {"teacher": teacher_digest(recipe), "dense": student_digest(recipe)}
    if any(record is not None and record["digest"] != digests[event] for event, record in records.items()):
        # All that differs for what is there, not only for the first stage that does not fit.
        keys = STUDENT_KEYS if records["dense"] is not None else TEACHER_KEYS
        raise RunMismatchError(
            f"{run.root} was made by another recipe:\n  "
            + "\n  ".join(differences_from(run, recipe, keys))
            + "\ngive --run another folder (with --teacher-from to reuse a teacher), or start over with --fresh"
        )
    for key in changed((ledger.find("opened") or {}).get("models", {}), model_sums(recipe)):
        if records["dense" if key.startswith("student") else "teacher"] is not None:
            raise RunMismatchError(
                f"{key}: {paths(recipe)[key]} changed since {run.root} was made; "
                "start over with --fresh, or give --run another folder"
            )


def differences_from(run: RunFolder, recipe: Recipe, keys: Sequence[str]) -> list[str]:
    """Return the lines of `differences` between a run's recipe and ``recipe``."""
    before = stored_recipe(run)
    if before is None:
        return [f"(its {run.recipe.name} is missing or damaged)"]
    return differences(before, recipe, keys)


def stored_recipe(run: RunFolder) -> Recipe | None:
    """Return the recipe a run was last given, or None where its file is missing or damaged."""
    try:
        return load_recipe(run.recipe)
    except UsageError:
        return None


def forget_unfinished(recipe: Recipe, run: RunFolder) -> None:
    """Remove the states of stages that another recipe, other files, or one unknown, began.

    They must not be continued.
    """
    before = stored_recipe(run)
    other = changed((Ledger(run).find("opened") or {}).get("models", {}), model_sums(recipe))
    if other or before is None or teacher_digest(before) != teacher_digest(recipe):
        remove_all(run.root, "teacher*.spiral")
    if other or before is None or student_digest(before) != student_digest(recipe):
        remove_all(run.root, "rounds/*/attempt-*.spiral")
        remove_all(run.root, "rounds/*/attempt-*.keras")


def remove_all(folder: Path, pattern: str) -> None:
    """Remove the files below ``folder`` that match a glob."""
    for path in folder.glob(pattern):
        path.unlink()


def other_teacher(recipe: Recipe, other: RunFolder) -> dict[str, Any]:
    """Return the ledger's record of another run's teacher.

    Raises:
        MissingError: there is none, or it is damaged.
        RunMismatchError: another recipe or another file made it.
    """
    ledger = Ledger(other)
    record = ledger.find("teacher")
    if record is None or ledger.damaged(record):
        raise MissingError(
            f"--teacher-from {other.root}: there is no intact teacher; run spiral train-teacher there first"
        )
    lines = []
    if record["digest"] != teacher_digest(recipe):
        lines = differences_from(other, recipe, TEACHER_KEYS)
    sums = (ledger.find("opened") or {}).get("models", {})
    lines += [f"{key}: another file" for key in changed(sums, model_sums(recipe)) if not key.startswith("student")]
    if lines:
        raise RunMismatchError(
            f"--teacher-from {other.root}: its teacher was made by another recipe:\n  " + "\n  ".join(lines)
        )
    return record


def take_teacher(recipe: Recipe, run: RunFolder, other: RunFolder) -> None:
    """Copy the teacher of another run, with its ledger record; raises as `other_teacher`."""
    record = other_teacher(recipe, other)
    with atomic_path(run.teacher) as temporary:
        shutil.copyfile(other.teacher, temporary)
    facts = {key: value for key, value in record.items() if key not in ("event", "files")}
    Ledger(run).append("teacher", **facts, files=(run.teacher,))
