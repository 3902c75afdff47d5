"""`report.json`: a contract for scripts. A pure function of what the run measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from spiral_cli.report.cautions import cautions

SCHEMA = 1
Row = Mapping[str, Any]
CSV_COLUMNS = ("round", "attempt", "sparsity", "density", "nonzero", "drop", "accepted", "epochs", "seconds")


def build_report(
    *,
    recipe: Mapping[str, Any],
    teacher: Mapping[str, Any],
    student: Mapping[str, Any],
    rows: Sequence[Row],
    selected: Mapping[str, Any] | None,
    artifacts: Sequence[Mapping[str, Any]],
    status: str,
    versions: Mapping[str, str],
    data: Mapping[str, int],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the report.

    Args:
        recipe: the resolved recipe as plain data.
        teacher: ``parameters``, ``metrics`` by split, ``seconds``.
        student: ``seconds`` of dense distillation (0 for a copy) and what is not pruned (``skipped``).
        rows: every try of every round.
        selected: the chosen student, or None where no round was finished.
        artifacts: one entry an exported file.
        status: ``ok``, ``budget_not_met`` or ``time_limit``.
        versions: of the software that made it.
        data: how many examples each part has.
        notes: what was found in the data and how it was dealt with.
    """
    guard = recipe["guard"]
    tried = sum(row["seconds"] for row in rows)
    lost = sum(row["seconds"] for row in rows if not row["accepted"])
    report = {
        "schema": SCHEMA,
        "recipe": recipe,
        "data": dict(data),
        "notes": list(notes),
        "monitor": guard["monitor"],
        "teacher": {"parameters": teacher["parameters"], "metrics": teacher["metrics"]},
        "status": status,
        "max_drop": guard["max_drop"],
        "rounds": list(rows),
        "cost": {
            "teacher_seconds": teacher["seconds"],
            "student_seconds": student["seconds"] + tried,
            "rolled_back_seconds": lost,
        },
        "selected": selected,
        "artifacts": list(artifacts),
        "not_pruned": student["skipped"],
        "versions": dict(versions),
        "seed": recipe["seed"],
    }
    return cautioned(report)


def cautioned(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report with the warnings that its figures call for."""
    return {**report, "warnings": [asdict(caution) for caution in cautions(report)]}


def rounds_csv(rows: Sequence[Row]) -> str:
    """Return the rounds as CSV: `CSV_COLUMNS`, then losses and validation metrics by name."""
    losses = sorted({name for row in rows for name in row["losses"]})
    metrics = sorted({name for row in rows for name in row["metrics"]["validation"]})
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*CSV_COLUMNS, *(f"train_{name}" for name in losses), *(f"validation_{name}" for name in metrics)])
    for row in rows:
        table.writerow(
            [*(row[column] for column in CSV_COLUMNS), *(row["losses"].get(name) for name in losses)]
            + [row["metrics"]["validation"].get(name) for name in metrics]
        )
    return text.getvalue()
