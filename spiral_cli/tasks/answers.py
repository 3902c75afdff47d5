"""How a classifier decides, example by example, and where two of them differ. Arrays in, plain data out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spiral_cli.tasks.classification import Said


def paired(true: np.ndarray, teacher: Said, student: Said, weight: np.ndarray) -> dict[str, int] | None:
    """Count the examples that one of the two alone decides rightly.

    Returns:
        ``examples``, ``only_teacher`` and ``only_student``; None where accuracy is no such count:
        with several labels an example, or examples of unequal weight.
    """
    if true.ndim > 1 or np.ptp(weight) > 0:
        return None
    ours, theirs = student.decided == true, teacher.decided == true
    return {
        "examples": len(true),
        "only_teacher": int(np.sum(theirs & ~ours)),
        "only_student": int(np.sum(ours & ~theirs)),
    }


def recalls(true: np.ndarray, teacher: Said, student: Said, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return ``name``, ``examples``, and the ``teacher`` and ``student`` recall of every class that occurs.

    With several labels an example these are the recalls of each label.
    """
    several = true.ndim > 1
    rows = []
    for index, name in enumerate(names):
        here = true[:, index] == 1 if several else true == index
        if not here.any():
            continue
        found = {
            who: float(np.mean(said.decided[here, index] == 1 if several else said.decided[here] == index))
            for who, said in (("teacher", teacher), ("student", student))
        }
        rows.append({"name": name, "examples": int(here.sum()), **found})
    return rows


def disagreements(teacher: Said, student: Said, most: int) -> np.ndarray:
    """Return up to ``most`` rows (k,) that the two decide differently, those both are surest of first."""
    ours, theirs = student.decided, teacher.decided
    differ = np.flatnonzero((ours != theirs).reshape(len(ours), -1).any(axis=-1))
    sure = (teacher.confidence + student.confidence)[differ]
    return differ[np.argsort(-sure, kind="stable")[:most]]


def said_of(model: Said, rows: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the ``answer`` and its ``confidence`` of a model for the examples ``rows`` (k,)."""
    here = Said(model.head, model.logits[rows])
    return [
        {"answer": named(decided, names), "confidence": float(sure)}
        for decided, sure in zip(here.decided, here.confidence, strict=True)
    ]


def named(decided: Any, names: Sequence[str]) -> str:
    """Return one decision, a class index or 0/1 (labels,), by name."""
    if np.ndim(decided) == 0:
        return names[int(decided)]
    return ", ".join(name for name, one in zip(names, decided, strict=True) if one) or "none"
