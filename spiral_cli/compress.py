"""The whole job in order: teacher, rounds, choice, export, report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spiral_cli import registry
from spiral_cli.data.preprocessing import to_json
from spiral_cli.data.raw import PARTS
from spiral_cli.data.stream import Stream
from spiral_cli.details import differences, layers
from spiral_cli.evaluate import Evaluator, measure_size
from spiral_cli.events import Listener, Notice
from spiral_cli.export.stage import export_student, shipped, sweep
from spiral_cli.fitting import refuse_unknown_monitor, rehearse
from spiral_cli.guard import Row
from spiral_cli.models.load import load_model
from spiral_cli.prepare import finished_report, open_run, other_teacher, refuse_run
from spiral_cli.recipe import Recipe
from spiral_cli.report.build import build_report, rounds_csv
from spiral_cli.report.page import write_page
from spiral_cli.rounds import run_rounds
from spiral_cli.run import Ledger, RunFolder, atomic_path, write_json, write_text
from spiral_cli.select import select
from spiral_cli.sources import data_stamp
from spiral_cli.student import Workbench, set_up
from spiral_cli.tasks.task import Task
from spiral_cli.teacher import TrainedTeacher, refuse_file, refuse_other_data, train_or_load_teacher
from spiral_cli.together import Place, joined
from spiral_cli.training.control import Control, TimeIsUp
from spiral_cli.versions import versions


def compress(
    recipe: Recipe,
    run: RunFolder,
    *,
    listen: Listener,
    control: Control,
    fresh: bool = False,
    teacher_from: Path | None = None,
) -> dict[str, Any]:
    """Run a recipe from teacher to chosen student, or go on where it stopped; return the report.

    Of several workers only the one that leads returns a report, the others an empty dict.

    Raises:
        SpiralError: as each stage; what is finished stays in the run folder.
    """
    with joined(recipe, run, listen, control) as place:
        run, listen, control = place.run, place.listen, place.control
        if place.team.size > 1:  # one process alone has looked before TensorFlow was there
            done = finished_report(recipe, run) if place.team.leads and not fresh else None
            if control.together.most(done is not None):
                return done or {}
        task = begin(recipe, place, fresh=fresh, teacher_from=teacher_from)
        with place.team.scope():
            teacher = train_or_load_teacher(recipe, task, run, listen=listen, control=control)
            bench = set_up(recipe, task, teacher, run, listen=listen, control=control)
            try:
                rows, in_time = run_rounds(bench, listen=listen, control=control), True
            except TimeIsUp:
                rows, in_time = bench.stored_rows(listen), False
                listen(Notice("the time given by --max-minutes is up; ending with what was accepted so far", "warning"))
        report = finish(bench, rows, in_time, listen, control) if place.team.leads else {}
        place.end()
        return report


def train_teacher(
    recipe: Recipe, run: RunFolder, *, listen: Listener, control: Control, fresh: bool = False
) -> dict[str, Any]:
    """Train and store the teacher of a run, or find it there; return its record, as `compress` its report.

    Raises:
        SpiralError: as `train_or_load_teacher`.
    """
    with joined(recipe, run, listen, control) as place:
        task = begin(recipe, place, fresh=fresh)
        with place.team.scope():
            teacher = train_or_load_teacher(recipe, task, place.run, listen=place.listen, control=place.control)
        place.end()
        if not place.team.leads:
            return {}
        return {
            "path": str(run.teacher),
            "parameters": teacher.model.count_params(),
            "metrics": {"validation": dict(teacher.metrics)},
            "seconds": teacher.seconds,
        }


def begin(recipe: Recipe, place: Place, *, fresh: bool = False, teacher_from: Path | None = None) -> Task:
    """Return the recipe's task, its data loaded, and open the run folder.

    The folder comes last: whatever is wrong with the recipe, data or models loses nothing in it.
    Who follows begins with an empty one and is sent what the leader's holds.

    Raises:
        SpiralError: as `refuse_run`, `build_task` and `rehearse`.
    """
    run = place.run
    if not place.team.leads:
        fresh, teacher_from = False, None
    refuse_run(recipe, run, fresh=fresh, teacher_from=teacher_from)
    task = build_task(recipe)
    notes = [*task.dataset.notes]
    teacher = None if fresh else Ledger(run).find("teacher")
    if teacher is None:
        notes += rehearse(recipe, task)
        refuse_file(recipe, task, thorough=run.ledger.exists())
        if teacher_from is not None:
            refuse_other_data(task, other_teacher(recipe, RunFolder(teacher_from)), teacher_from)
    else:
        refuse_unknown_monitor(recipe, teacher["metrics"])
    open_run(recipe, run, fresh=fresh, teacher_from=teacher_from)
    place.follow()
    place.agree(recipe, task.dataset.fingerprint)
    tell_what_is_streamed(task, place.listen)
    for note in notes:
        place.listen(Notice(f"data: {note}"))
    return task


def tell_what_is_streamed(task: Task, listen: Listener) -> None:
    """Say that images stay on disk, where they do, and why."""
    parts = (task.dataset.train, task.dataset.validation, task.dataset.test)
    streams = [part.x for part in parts if isinstance(part.x, Stream)]
    if streams:
        size, budget = sum(stream.nbytes for stream in streams) / 1e9, task.recipe.data.memory_gb
        why = "data.stream is true" if task.recipe.data.stream is True else f"data.memory_gb is {budget:g}"
        listen(Notice(f"{size:.3g} GB of images stay on disk and are read in every epoch ({why})"))


def build_task(recipe: Recipe) -> Task:
    """Return the recipe's task with its data loaded."""
    return registry.tasks.get(recipe.task)(recipe)


def finish(bench: Workbench, rows: Sequence[Row], in_time: bool, listen: Listener, control: Control) -> dict[str, Any]:
    """Choose, export, measure on the test part, and write the report."""
    recipe, run, task, teacher = bench.recipe, bench.run, bench.task, bench.teacher
    selected, artifacts = None, []
    row, source = choose(bench, rows)
    if row is not None:
        with atomic_path(run.student) as temporary:
            shutil.copyfile(source, temporary)
        write_text(run.preprocessing, to_json(recipe.task, task.preprocessing, bench.evaluator.head))
        model = load_model(run.student)
        evaluator = Evaluator(task, model, bench.evaluator.head)
        details = look_closely(bench, evaluator)
        write_json(run.details, details)
        selected = {**describe(bench, evaluator, row), "paired": details["paired"], "bootstrap": details["bootstrap"]}
        artifacts = export_student(recipe.export.to, evaluator, teacher.evaluator, run, listen, control)
        sweep(run, artifacts)
    status = "time_limit" if not in_time else "ok" if selected and selected["within_budget"] else "budget_not_met"
    dense = bench.ledger.find("dense")
    report = build_report(
        recipe=recipe.model_dump(mode="json"),
        teacher=describe_teacher(teacher, task),
        student={"seconds": dense["seconds"] if dense else 0.0, "skipped": [asdict(one) for one in bench.skipped]},
        rows=rows,
        selected=selected,
        artifacts=artifacts,
        status=status,
        versions=versions(),
        data={part: len(getattr(task.dataset, part).y) for part in PARTS},
        notes=[*task.dataset.notes, *task.unlearnable(bench.model)],
    )
    write_text(run.rounds_csv, rounds_csv(rows))
    write_json(run.report, report)
    write_page(run)
    if in_time:
        of_student = (run.student, run.preprocessing, run.details) if selected else ()
        made = (run.report, run.rounds_csv, run.page, *of_student)
        made += shipped(run, artifacts)
        bench.ledger.append("finished", status=status, data=data_stamp(recipe), files=made)
    return report


def choose(bench: Workbench, rows: Sequence[Row]) -> tuple[Row | None, Path]:
    """Return the chosen row and its file: an accepted one, else the failed one with the smallest drop."""
    row = select(rows, bench.recipe.select, bench.recipe.guard.max_drop)
    if row is not None:
        return row, bench.run.round(row["round"]).student
    row = min(rows, key=lambda one: one["drop"], default=None)
    return row, bench.run.round(row["round"]).failed(row["attempt"]) if row else bench.run.student


def describe(bench: Workbench, student: Evaluator, row: Row) -> dict[str, Any]:
    """Return the report's ``selected``: read from the stored file, with test metrics."""
    from spiral_cli.pruning.prunable import find_prunable

    prunable, _ = find_prunable(student.model, bench.recipe.prune.targets, bench.recipe.prune.ignore)
    size = measure_size(student.model, prunable, bench.whole.prunable)
    return {
        "round": row["round"],
        "attempt": row["attempt"],
        "within_budget": row["accepted"],
        "path": bench.run.relative(bench.run.student),
        "sparsity": size.sparsity,
        "density": size.density,
        "nonzero": size.nonzero,
        "parameters": size.parameters,
        "metrics": {**row["metrics"], "test": student.metrics(bench.task.dataset.test)},
    }


def look_closely(bench: Workbench, chosen: Evaluator) -> dict[str, Any]:
    """Return what the page shows of the chosen student beside the report: its layers, and where it differs."""
    from spiral_cli.pruning.prunable import find_prunable

    prunable, _ = find_prunable(chosen.model, bench.recipe.prune.targets, bench.recipe.prune.ignore)
    return {
        "layers": layers(prunable, bench.prunable),
        **differences(bench.task, bench.teacher.evaluator, chosen),
    }


def describe_teacher(teacher: TrainedTeacher, task: Task) -> dict[str, Any]:
    """Return the report's ``teacher`` with test metrics, and its training time."""
    test = teacher.evaluator.metrics(task.dataset.test)
    return {
        "parameters": teacher.model.count_params(),
        "metrics": {"validation": dict(teacher.metrics), "test": test},
        "seconds": teacher.seconds,
    }
