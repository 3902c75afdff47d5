"""What `spiral plan` says. Text out, nothing printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from spiral_cli.console.align import aligned
from spiral_cli.console.grid import NARROW, grid
from spiral_cli.console.texts import count, number, size


def plan_text(plan: Mapping[str, Any]) -> str:
    """Return the table of rounds, memory and time of a plan.

    Args:
        plan: of `spiral_cli.planning.plan`.
    """
    models = [
        [who, f"{plan[who]['parameters']:,} parameters, {count(plan[who]['flops'])}FLOP an example"]
        for who in ("teacher", "student")
    ]
    table = grid(table_rows(plan["rounds"]))
    facts = [["targets", targets_text(plan["targets"])]]
    if plan["seconds"] is not None:
        facts.append(["time", time_text(plan["seconds"])])
    facts += [["~", "an estimate"], *(["note", text] for text in plan["notes"])]
    return "\n".join([aligned(models), table, *(folded(name, text) for name, text in facts)])


def folded(name: str, text: str) -> str:
    """Return a named fact, further lines indented below the first."""
    return fill(text, NARROW, initial_indent=name.ljust(9), subsequent_indent=" " * 9)


def table_rows(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the rounds' texts by column; columns that would say nothing are left out."""
    silent = set()
    if all(row["seconds"] is None for row in rounds):
        silent.add("~time")
    if all(row["nonzero_flops"] == row["flops"] for row in rounds):
        silent.add("zeros skipped")
    return [{name: text for name, text in row_texts(row).items() if name not in silent} for row in rounds]


def row_texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return one round's texts by column."""
    return {
        "round": str(row["round"]) if row["round"] else "dense",
        "sparsity": number(row["sparsity"]),
        "weights left": f"{row['nonzero']:,}",
        "FLOPs": count(row["flops"]),
        "zeros skipped": count(row["nonzero_flops"]),
        "float32 bytes": size(row["bytes"]),
        "~gzip bytes": size(row["gzip_bytes"]),
        "~packed bytes": size(row["packed_bytes"]),
        "~time": "" if row["seconds"] is None else brief(row["seconds"]),
    }


def targets_text(targets: Mapping[str, Any]) -> str:
    """Return where a teacher's outputs are kept and how much they take."""
    if not targets["memory_bytes"] and not targets["disk_bytes"]:
        return "the teacher runs in every step, nothing is cached"
    where = [("memory_bytes", "in memory"), ("disk_bytes", "on disk"), ("feature_bytes", "of features in memory")]
    return ", ".join(f"{size(targets[key])} {text}" for key, text in where if targets[key])


def time_text(seconds: Mapping[str, Any]) -> str:
    """Return how long the run takes, by part."""
    parts = [("teacher", seconds["teacher"]), ("dense student", seconds["dense"]), ("targets", seconds["targets"])]
    parts.append((f"{len(seconds['rounds'])} rounds", sum(seconds["rounds"])))
    told = ", ".join(f"{name} {brief(spent)}" for name, spent in parts if spent)
    return f"~{brief(seconds['total'])} here, if no round is rolled back ({told})"


def brief(seconds: float) -> str:
    """Return a time span in one unit, to the two digits that an estimate has."""
    units = (("s", 1.0, 99.5), ("min", 60.0, 99.5), ("h", 3600.0, float("inf")))
    unit, length = next((unit, length) for unit, length, most in units if seconds < most * length)
    return f"{seconds / length:.1f} {unit}" if seconds < 9.95 * length else f"{seconds / length:.0f} {unit}"
