"""What is said at the end: of a report, a teacher, a comparison. Text out, nothing printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spiral_cli.console.align import aligned
from spiral_cli.console.texts import drop_text, named, number, size


def report_text(report: Mapping[str, Any], root: Path) -> str:
    """Return the chosen student, its test metric, its size and where it lies.

    Args:
        report: as `report.json`.
        root: the run folder.
    """
    chosen, monitor = report["selected"], report["monitor"]
    if chosen is None:
        return "no round was finished, so there is no student yet"
    student, teacher = (part["metrics"]["test"][monitor] for part in (chosen, report["teacher"]))
    lines = [
        [
            "chosen",
            f"round {chosen['round']} at sparsity {number(chosen['sparsity'])} (density {number(chosen['density'])})",
        ],
        [
            "weights",
            f"{chosen['nonzero']:,} of {chosen['parameters']:,} are left; "
            f"the teacher has {report['teacher']['parameters']:,}",
        ],
        ["test", f"{monitor} {number(student)}; the teacher's is {number(teacher)}"],
        ["student", str(root / chosen["path"])],
        *export_lines(report["artifacts"], monitor, root),
        ["report", str(root / "report.html")],
        *(["warning", caution["short"]] for caution in report.get("warnings", ())),
    ]
    return aligned(lines)


def exports_text(artifacts: Sequence[Mapping[str, Any]], monitor: str, root: Path) -> str:
    """Return what `spiral export` ends with; arguments as of `report_text`."""
    return aligned(export_lines(artifacts, monitor, root))


def export_lines(artifacts: Sequence[Mapping[str, Any]], monitor: str, root: Path) -> list[list[str]]:
    """Return a line for each exported file."""
    return [[f"export to {one['kind']}", artifact_text(one, monitor, root)] for one in artifacts]


def artifact_text(artifact: Mapping[str, Any], monitor: str, root: Path) -> str:
    """Return where an exported file lies, how large, good and fast it is, or why it is not shipped."""
    if artifact["status"] != "ok":
        return f"failed, not shipped: {artifact['reason']}"
    facts = [
        f"{size(artifact['bytes'])}, gzip {size(artifact['gzip_bytes'])}",
        f"{monitor} {number(artifact['metrics']['test'][monitor])}",
        f"{artifact['latency_ms']:.3g} ms{beside(artifact['teacher_latency_ms'])}",
        *(["zeros of the student are lost"] if artifact["zeros_kept"] is False else []),
    ]
    return f"{root / artifact['path']} ({'; '.join(facts)})"


def beside(milliseconds: float | None) -> str:
    """Return the teacher's latency, where it was measured."""
    return "" if milliseconds is None else f", the teacher's {milliseconds:.3g} ms"


def teacher_text(record: Mapping[str, Any]) -> str:
    """Return what `spiral train-teacher` ends with."""
    return aligned(
        [
            ["teacher", f"{record['path']} ({record['parameters']:,} parameters)"],
            ["validation", named(record["metrics"]["validation"])],
        ]
    )


def comparison_text(comparison: Mapping[str, Any]) -> str:
    """Return teacher and student side by side, then the sparsity of each layer."""
    models = {who: comparison[who] for who in ("teacher", "student") if comparison[who] is not None}
    facts = {
        "parameters": lambda model: f"{model['parameters']:,}",
        "not zero": lambda model: f"{model['nonzero']:,}",
        "sparsity": lambda model: number(model["sparsity"]),
        "density": lambda model: number(model["density"]),
        "bytes": lambda model: f"{model['bytes']:,}",
        "bytes after gzip": lambda model: f"{model['gzip_bytes']:,}",
    }
    lines = [["", *models]]
    for name in comparison["student"]["metrics"]["test"]:
        values = [number(model["metrics"]["test"].get(name)) for model in models.values()]
        lines.append([f"test {name.replace('_', ' ')}", *values])
    lines += [[fact, *(show(model) for model in models.values())] for fact, show in facts.items()]
    layers = [["layer", "shape", "weights", "not zero", "sparsity"]]
    for one in comparison["student"]["layers"]:
        shape = "x".join(map(str, one["shape"]))
        layers.append([one["name"], shape, f"{one['weights']:,}", f"{one['nonzero']:,}", number(one["sparsity"])])
    parts = [aligned(lines, frozenset({1, 2})), aligned(layers, frozenset({2, 3, 4}))]
    if comparison["drop"] is not None:
        parts.insert(1, f"drop of test {comparison['monitor']}: {drop_text(comparison['drop'])}")
    if comparison["other_data"]:
        parts.insert(0, "note: these are not the data of the run: something of them is new, gone or changed")
    return "\n\n".join(parts)
