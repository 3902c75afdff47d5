"""`spiral export`: more files of the student that a finished run has chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from spiral_cli import registry
from spiral_cli.evaluate import Evaluator
from spiral_cli.events import Listener
from spiral_cli.export.stage import Entry, export_student, shipped
from spiral_cli.fitting import is_copy
from spiral_cli.models.load import load_model
from spiral_cli.recipe import Recipe
from spiral_cli.run import Ledger, RunFolder, write_json
from spiral_cli.teacher import refuse_other_data
from spiral_cli.training.control import Control
from spiral_cli.training.device import use_device


def export_later(
    recipe: Recipe, run: RunFolder, kinds: Sequence[str], listen: Listener, control: Control
) -> list[Entry]:
    """Export a finished run's student, and put the entries into its report in place of those of the same kinds.

    Args:
        recipe: the run's own.
        run: its folder, which `prepare.refuse_unfinished` has looked at.
        kinds: what to write.
        listen: is told what goes on.
        control: says when to stop.

    Raises:
        InterruptedRun: asked to stop; what is finished stays.
        RunMismatchError: another process works in the run, or the data are others.
    """
    use_device("auto" if recipe.device == "tpu" else recipe.device, recipe.seed)  # one device is enough to measure
    task = registry.tasks.get(recipe.task)(recipe)
    ledger = Ledger(run)
    record = ledger.find("teacher")
    if record is not None:
        refuse_other_data(task, record, run.root)
    student, teacher = load_model(run.student), load_model(run.teacher)
    output = recipe.teacher.output
    ours = Evaluator(task, student, task.head(student, output if is_copy(recipe) else "auto"))
    theirs = Evaluator(task, teacher, task.head(teacher, output))
    with run.claimed():
        entries = export_student(kinds, ours, theirs, run, listen, control)
        record_exports(run, ledger, entries)
    return entries


def record_exports(run: RunFolder, ledger: Ledger, entries: Sequence[Entry]) -> None:
    """Put entries into a finished run's report, and their files among those whose damage is noticed."""
    report = json.loads(run.report.read_text("utf-8"))
    artifacts = [*replaced(report["artifacts"], entries), *entries]
    write_json(run.report, {**report, "artifacts": artifacts})
    finished = dict(ledger.find("finished") or {})
    ledger.drop(lambda one: one["event"] == "finished")
    others = [run.root / name for name in finished.pop("files") if not name.startswith(f"{run.exports.name}/")]
    files = dict.fromkeys((*others, *shipped(run, artifacts)))
    ledger.append(finished.pop("event"), **finished, files=tuple(files))


def replaced(artifacts: Sequence[Mapping[str, Any]], entries: Sequence[Entry]) -> list[Mapping[str, Any]]:
    """Return the artifacts of other kinds than those of ``entries``."""
    kinds = {entry["kind"] for entry in entries}
    return [one for one in artifacts if one["kind"] not in kinds]
