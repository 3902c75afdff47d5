"""How the chosen student differs from its teacher, example by example: what a page shows and a figure hides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spiral_cli.evaluate import Evaluator, layer_sizes
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.tasks.task import Task

SAMPLES = 12


def differences(task: Task, teacher: Evaluator, student: Evaluator) -> dict[str, Any]:
    """Let both models decide validation and test part and compare what they say.

    Returns:
        ``paired`` by part (see `Task.paired`); ``classes`` and ``samples`` of the test part.
    """
    validation, test = task.dataset.validation, task.dataset.test
    taught, learnt = teacher.said(test), student.said(test)
    return {
        "paired": {
            "validation": task.paired(validation, teacher.said(validation), student.said(validation)),
            "test": task.paired(test, taught, learnt),
        },
        "classes": task.classes(test, taught, learnt),
        "samples": task.samples(test, taught, learnt, SAMPLES),
    }


def layers(student: Sequence[Prunable], dense: Sequence[Prunable]) -> list[dict[str, Any]]:
    """Return name, shape, weights, nonzero and sparsity of the chosen student's prunable variables.

    ``of`` counts the weights of the same variable before any pruning, removed ones among them.
    """
    before = {one.name: one.variable.numpy().size for one in dense}
    return [{**one, "of": before.get(str(one["name"]), one["weights"])} for one in layer_sizes(student)]
