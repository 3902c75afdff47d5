"""A comparison of runs in words: labelled lines with a text for each run, for a terminal and for a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spiral_cli.console.texts import drop_text, duration, number, size
from spiral_cli.report.beside import named

Lines = list[tuple[str, list[str]]]


def lines(comparison: Mapping[str, Any]) -> Lines:
    """Return the comparison as labelled lines of texts, one a run."""
    rows = comparison["runs"]
    monitors = sorted({row["monitor"] for row in rows})
    metric = monitors[0].replace("_", " ") if len(monitors) == 1 else "metric"
    found = [
        ("status", [row["status"].replace("_", " ") for row in rows]),
        ("seed", [str(row["seed"]) for row in rows]),
        (f"test {metric}", [number(row["student"]) for row in rows]),
        ("the teacher's", [number(row["teacher"]) for row in rows]),
        ("drop", [drop_text(row["drop"]) if row["drop"] is not None else "-" for row in rows]),
        ("density", [number(row["density"]) for row in rows]),
        *((key, [counts(row[key]) for row in rows]) for key in ("parameters", "nonzero")),
        *(line for kind in kinds(rows) for line in file_lines(kind, rows)),
        ("time", [duration(row["seconds"]) for row in rows]),
    ]
    return found + [(key, [shown(value) for value in values]) for key, values in comparison["differences"].items()]


def counts(value: int | None) -> str:
    """Return a count of weights."""
    return "-" if value is None else f"{value:,}"


def kinds(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the kinds of files that any run has, in order."""
    return list(dict.fromkeys(one["kind"] for row in rows for one in row["artifacts"]))


def file_lines(kind: str, rows: Sequence[Mapping[str, Any]]) -> Lines:
    """Return size and latency of one kind of file in every run."""
    files = [next((one for one in row["artifacts"] if one["kind"] == kind), None) for row in rows]

    def cell(one: Mapping[str, Any] | None, show: Callable[[Any], str]) -> str:
        return "-" if one is None else show(one) if one["status"] == "ok" else "failed"

    return [
        (f"{kind} size", [cell(one, lambda file: size(file["bytes"])) for one in files]),
        (f"{kind} gzip", [cell(one, lambda file: size(file["gzip_bytes"])) for one in files]),
        (f"{kind} ms", [cell(one, lambda file: f"{file['latency_ms']:.3g}") for one in files]),
    ]


def group_lines(comparison: Mapping[str, Any]) -> tuple[list[str], Lines]:
    """Return the names of the groups with several seeds, and labelled lines of mean ± standard deviation."""
    groups = [group for group in comparison["groups"] if len(group["runs"]) > 1]
    texts = {
        "teacher": number,
        "student": number,
        "drop": drop_text,
        "density": number,
        "parameters": lambda value: f"{value:,.0f}",
        "seconds": lambda value: f"{value:.1f}",
    }

    def cell(found: Mapping[str, Any] | None, show: Callable[[Any], str]) -> str:
        if found is None:
            return "-"
        return (
            show(found["mean"]) if found["std"] is None else f"{show(found['mean'])} ± {show(found['std']).lstrip('+')}"
        )

    seeds = ("seeds", [", ".join(map(str, group["seeds"])) for group in groups])
    return [named(group) for group in groups], [
        seeds,
        *((key, [cell(group[key], show) for group in groups]) for key, show in texts.items()),
    ]


def shown(value: Any) -> str:
    """Return a setting as a recipe has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
