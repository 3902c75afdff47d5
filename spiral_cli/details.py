"""How the chosen student differs from its teacher, example by example: what a page shows and a figure hides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spiral_cli.data import Split
from spiral_cli.evaluate import Evaluator, layer_sizes
from spiral_cli.guard import drop, monitor_mode
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.registry import tasks
from spiral_cli.tasks.head import Head, Said
from spiral_cli.tasks.task import Task

SAMPLES = 12
DRAWS = 1000  # of examples, for an interval


def differences(task: Task, teacher: Evaluator, student: Evaluator) -> dict[str, Any]:
    """Let both models decide validation and test part and compare what they say.

    Returns:
        By part ``paired`` (see `Task.paired`) and ``bootstrap`` (see `bootstrap`); ``classes``,
        in ``class_metric``, and ``samples`` of the test part.
    """
    validation, test = task.dataset.validation, task.dataset.test
    taught, learnt = teacher.said(test), student.said(test)
    parts = {
        "validation": (validation, teacher.said(validation), student.said(validation)),
        "test": (test, taught, learnt),
    }
    return {
        "paired": {part: task.paired(*said) for part, said in parts.items()},
        "bootstrap": {part: bootstrap(task, student.head, *said) for part, said in parts.items()},
        "classes": task.classes(test, taught, learnt),
        "class_metric": tasks.part(task.recipe.task).facts.get("class_metric", "recall"),
        "samples": task.samples(test, taught, learnt, SAMPLES),
    }


def bootstrap(task: Task, head: Head, split: Split, teacher: Said, student: Said) -> dict[str, float]:
    """Draw the examples of a part again and again and measure how the guard's metric drops (Efron 1979).

    Both models are measured on the same draws, so that what is hard for both does not widen the interval.

    Returns:
        ``low`` and ``high``, the 95 % interval of the drop, and ``error``, its standard error.
    """
    guard, y = task.recipe.guard, task.truth(split, head)
    mode, rng = monitor_mode(guard.monitor, guard.mode), np.random.default_rng(0)
    drops = np.empty(DRAWS)
    for draw in range(DRAWS):
        weight = split.weight * rng.multinomial(len(y), np.full(len(y), 1.0 / len(y)))
        theirs, ours = (head.metrics(said, y, weight, guard.monitor)[guard.monitor] for said in (teacher, student))
        drops[draw] = drop(theirs, ours, mode)
    low, high = np.percentile(drops, (2.5, 97.5))
    return {"low": float(low), "high": float(high), "error": float(drops.std(ddof=1))}


def layers(student: Sequence[Prunable], dense: Sequence[Prunable]) -> list[dict[str, Any]]:
    """Return name, shape, weights, nonzero and sparsity of the chosen student's prunable variables.

    ``of`` counts the weights of the same variable before any pruning, removed ones among them.
    """
    before = {one.name: one.variable.numpy().size for one in dense}
    return [{**one, "of": before.get(str(one["name"]), one["weights"])} for one in layer_sizes(student)]
