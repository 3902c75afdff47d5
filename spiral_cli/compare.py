"""`spiral evaluate`: teacher and student measured again, side by side, from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spiral_cli.compress import build_task
from spiral_cli.data.preprocessing import from_json
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.evaluate import Evaluator, bytes_on_disk, layer_sizes, measure_size
from spiral_cli.fitting import is_copy, refuse_unknown_monitor
from spiral_cli.guard import drop, monitor_mode
from spiral_cli.models.load import load_model
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.recipe import Recipe
from spiral_cli.run import Ledger, RunFolder
from spiral_cli.tasks.task import Task
from spiral_cli.training.device import use_device


def compare(recipe: Recipe, student: Path, teacher: Path | None) -> dict[str, Any]:
    """Measure a student, and its teacher where there is one, on the recipe's test part.

    Returns:
        ``{"monitor", "student": {...}, "teacher": {...} | None, "drop": x | None, "other_data"}`` where each model
        has ``path``, ``metrics`` by split, ``parameters``, ``nonzero``, ``sparsity``, ``density``,
        ``bytes``, ``gzip_bytes`` and ``layers``. ``drop`` is on test, positive is worse. ``other_data``
        says whether the run of the teacher was with other data than these.

    Raises:
        MissingError: a file or the data are missing.
    """
    use_device("auto" if recipe.device == "tpu" else recipe.device, recipe.seed)  # one device is enough to measure
    task = build_task(recipe)
    refuse_other_preprocessing(task, RunFolder(student.parent).preprocessing)
    output = recipe.teacher.output
    whole = whole_student(recipe, student, teacher)
    ours = measure(recipe, task, student, output if is_copy(recipe) else "auto", whole)
    theirs = measure(recipe, task, teacher, output) if teacher is not None else None
    refuse_unknown_monitor(recipe, ours["metrics"]["test"])
    guard, lost = recipe.guard, None
    if theirs is not None:
        mode = monitor_mode(guard.monitor, guard.mode)
        lost = drop(theirs["metrics"]["test"][guard.monitor], ours["metrics"]["test"][guard.monitor], mode)
    known = None if teacher is None else Ledger(RunFolder(teacher.parent)).find("teacher")
    other = known is not None and known["data"] != task.dataset.fingerprint()
    return {"monitor": guard.monitor, "student": ours, "teacher": theirs, "drop": lost, "other_data": other}


def prunable_size(recipe: Recipe, path: Path) -> int:
    """Return how many weights of a stored model may be pruned."""
    prunable, _ = find_prunable(load_model(path), recipe.prune.targets, recipe.prune.ignore)
    return sum(one.variable.numpy().size for one in prunable)


def refuse_other_preprocessing(task: Task, file: Path) -> None:
    """Check that the recipe feeds a student as it was trained, which `preprocessing.json` beside it says.

    Raises:
        UsageError: size, classes or scale are others.
    """
    if not file.is_file():
        return
    stored = from_json(file.read_text("utf-8")).preprocessing
    if type(stored) is not type(task.preprocessing):
        raise UsageError(f"{file} is of another kind of data than those of task {task.recipe.task}")
    for difference in stored.differences(task.preprocessing):
        raise UsageError(f"{file} says {difference}")


def whole_student(recipe: Recipe, student: Path, teacher: Path | None) -> Path | None:
    """Return the file of the student before any channel left, where some did and it is there."""
    if recipe.prune.granularity != "channel":
        return None
    dense = RunFolder(student.parent).round(0).student
    if dense.is_file():
        return dense
    return teacher if is_copy(recipe) else None


def measure(recipe: Recipe, task: Task, path: Path, output: str, whole: Path | None = None) -> dict[str, Any]:
    """Return what `compare` says of one model.

    Args:
        recipe, task: say how it is tested.
        path: its file.
        output: what the last layer gives.
        whole: file of the model before channels left it; weights that left count as zero.
    """
    if not path.is_file():
        raise MissingError(f"there is no model {path}; run spiral compress first, or name a .keras file")
    model = load_model(path)
    prunable, _ = find_prunable(model, recipe.prune.targets, recipe.prune.ignore)
    evaluator = Evaluator(task, model, task.head(model, output))
    size = measure_size(model, prunable, None if whole is None else prunable_size(recipe, whole))
    raw, packed = bytes_on_disk(path)
    return {
        "path": str(path),
        "metrics": {"test": evaluator.metrics(task.dataset.test)},
        "parameters": size.parameters,
        "nonzero": size.nonzero,
        "sparsity": size.sparsity,
        "density": size.density,
        "bytes": raw,
        "gzip_bytes": packed,
        "layers": layer_sizes(prunable),
    }
