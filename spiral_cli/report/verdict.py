"""What came of a run in one sentence, and what was asked for in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spiral_cli.console.texts import counted, number, percent
from spiral_cli.guard import drop, monitor_mode
from spiral_cli.recipe.augment import name_and_value
from spiral_cli.report.read import UNFINISHED

# Where a round begins, if it does not go on from the last.
START = {"rewind": " from the dense student's weights", "fresh": " from fresh weights"}


def verdict(report: Mapping[str, Any]) -> str:
    """Return the outcome of a run as one sentence.

    Args:
        report: as `report.json`, or as `read.unfinished`.
    """
    chosen, rows = report["selected"], report["rounds"]
    if report["status"] == UNFINISHED:
        return f"This run has not ended: {counted(len(rows), 'try', 'tries')} of its rounds so far."
    if chosen is None:
        return "No round was finished, so there is no student yet."
    budget = f"max_drop {report['max_drop']:g}"
    early = "The time was up early; " if report["status"] == "time_limit" else ""
    if chosen["within_budget"]:
        opening = f"{early}the student keeps" if early else "The student keeps"
        return f"{opening} {achieved(report)}; on validation it stayed within {budget}."
    opening = f"{early}no" if early else "No"
    return f"{opening} student stayed within {budget} of its teacher: the nearest keeps {achieved(report)}."


def achieved(report: Mapping[str, Any]) -> str:
    """Return what the chosen student keeps of prunable weights, which density counts, and of its metric on test."""
    chosen, monitor = report["selected"], report["monitor"]
    teacher, student = (one["metrics"]["test"][monitor] for one in (report["teacher"], chosen))
    lost = drop(teacher, student, monitor_mode(monitor, report["recipe"]["guard"]["mode"]))
    compared = "the same as its teacher" if lost == 0 else f"{number(abs(lost))} {'worse' if lost > 0 else 'better'}"
    than = "" if lost == 0 else " than its teacher"
    name = monitor.replace("_", " ")
    kept = f"{percent(chosen['density'])} of the prunable weights"
    return f"{kept} and a test {name} of {number(student)}, {compared}{than}"


def augmented(data: Mapping[str, Any]) -> str:
    """Return how training images are augmented, where they are."""
    entries = [name_and_value(entry) for entry in data.get("augment", [])]
    said = [name if value is None else f"{name} {value:g}" for name, value in entries]
    return f", seen in {data['views']} views by {', '.join(said)}" if said else ""


def trained(teacher: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return how a teacher was trained, if at all."""
    if not teacher["epochs"]:
        return "as it is"
    plain = ", on the images as they are" if data.get("augment") and not teacher.get("augment", True) else ""
    return f"{counted(teacher['epochs'], 'epoch')}{plain}"


def expanded(times: int) -> str:
    """Return how kernels are trained, where not as they are."""
    return f", kernels expanded {times} times" if times > 1 else ""


def asked(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return the choices of a recipe that a person looks for first, in words."""
    data, teacher, student, prune = (recipe[key] for key in ("data", "teacher", "student", "prune"))
    distill, train, guard = (recipe[key] for key in ("distill", "train", "guard"))
    export = recipe["export"]
    kinds = export if isinstance(export, list) else export["to"]
    features = f", and {counted(len(distill['features']), 'layer')}" if distill["features"] else ""
    return {
        "Task": recipe["task"].replace("_", " "),
        "Data": f"{data.get('format') or data.get('builder') or '-'}{augmented(data)}",
        "Teacher": f"{source(teacher)}, {trained(teacher, data)}",
        "Student": "a copy of the teacher" if source(student) == "same" else source(student),
        "Prune": f"{prune['criterion']}, {granularity(prune['granularity'])}, {allocation(prune['allocation'])}",
        "Schedule": f"{schedule(prune['schedule'])}{budget(prune.get('budget'))}",
        "Distil": f"{distill['loss']} on outputs{features}, temperature {distill['temperature']:g}, "
        f"alpha {distill['alpha']:g}, from the {distill['teacher']} teacher",
        "Train": f"{counted(train['epochs'], 'epoch')} a round{START.get(prune['weights'], '')}, {train['optimizer']}, "
        f"learning rate {train['learning_rate']:g}, batches of {train['batch_size']}{expanded(train.get('expand', 1))}",
        "Budget": f"{guard['monitor']} within {guard['max_drop']:g} of the teacher, "
        f"{counted(guard['patience'], 'failed try', 'failed tries')} in a row end it",
        "Select": recipe["select"],
        "Export": ", ".join(kinds) or "nothing",
    }


def source(model: Mapping[str, Any]) -> str:
    """Return where a model comes from."""
    return str(next((model[key] for key in ("path", "builder", "application", "model") if model.get(key)), "-"))


def granularity(settings: str | Mapping[str, Any]) -> str:
    """Return a granularity as a person says it."""
    match settings:
        case {"n": n, "m": m}:
            return f"{n} of {m}"
        case {"block": block}:
            return f"blocks of {' × '.join(map(str, block))}"
    return str(settings)


def allocation(settings: str | Mapping[str, Any]) -> str:
    """Return an allocation as a person says it."""
    return f"{settings} allocation" if isinstance(settings, str) else "sparsities by layer"


def budget(settings: Mapping[str, float | None] | None) -> str:
    """Return what a budget of channels leaves in the end."""
    return "".join(f", which leaves {percent(left)} of the {what}" for what, left in (settings or {}).items() if left)


def schedule(settings: Mapping[str, Any] | list[float]) -> str:
    """Return a schedule as a person says it."""
    if isinstance(settings, list):
        return f"to sparsities {', '.join(f'{one:g}' for one in settings)}"
    rounds = counted(settings["rounds"], "round")
    return f"{settings['kind']}, to sparsity {settings['final_sparsity']:g} in {rounds}"
