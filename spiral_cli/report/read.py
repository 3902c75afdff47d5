"""What the files of a run say, finished or not, of this version or an older one. No TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spiral_cli.errors import MissingError
from spiral_cli.recipe import load_recipe
from spiral_cli.report.build import SCHEMA
from spiral_cli.run import Ledger, RunFolder

Record = Mapping[str, Any]
UNFINISHED = "unfinished"
LATER = ("drop", "zeros_kept", "runtime", "threads", "teacher_bytes", "teacher_latency_ms")  # keys that came later


@dataclass(frozen=True)
class Stage:
    """One training: what each of its epochs came to (``losses`` and ``metrics`` by name), and whether it was kept."""

    title: str
    kind: str
    kept: bool
    curve: Sequence[Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Told:
    """Everything a page is made of.

    Attributes:
        name: of the run folder.
        report: as `report.json`; of a run without one what its ledger says, with status ``unfinished``.
        stages: in the order in which they were trained.
        details: as `details.json`; empty where there is none.
        recipe: the text of the resolved recipe, or "".
        missing: sentences on what these files do not tell, and why.
    """

    name: str
    report: Mapping[str, Any]
    stages: tuple[Stage, ...]
    details: Mapping[str, Any]
    recipe: str
    missing: tuple[str, ...]


def read_run(run: RunFolder) -> Told:
    """Read a run folder.

    Raises:
        MissingError: there is no run, or one of its files is damaged.
        UsageError: it has no report, and its recipe cannot be read.
    """
    records = Ledger(run).read()
    if not records and not run.report.is_file():
        raise MissingError(f"{run.root} is no run folder: it has no {run.report.name} and no {run.ledger.name}")
    rows = [record["row"] for record in records if record["event"] == "round"]
    report = stored(run.report)
    if not report or len(report["rounds"]) < len(rows):  # the run went on since
        report = unfinished(run, records, rows)
    report = {**report, "artifacts": [{**dict.fromkeys(LATER), **one} for one in report["artifacts"]]}
    details = {} if report["selected"] is None else stored(run.details)
    stages = tuple(stage_of(record) for record in records if record["event"] in ("teacher", "dense", "round"))
    return Told(
        name=run.root.resolve().name,
        report=report,
        stages=tuple(stage for stage in stages if stage.curve),
        details=details,
        recipe=run.recipe.read_text("utf-8") if run.recipe.is_file() else "",
        missing=tuple(missing(report, stages, details)),
    )


def stored(file: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where there is none.

    Raises:
        MissingError: it is damaged.
    """
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise MissingError(
            f"{file} is damaged ({error}); spiral compress with the run's recipe writes it again"
        ) from error


def unfinished(run: RunFolder, records: Sequence[Record], rows: Sequence[Record]) -> dict[str, Any]:
    """Return what a ledger says of a run that has not ended, in the form of a report."""
    recipe = load_recipe(run.recipe)
    found = {record["event"]: record for record in records}
    seconds = {event: found.get(event, {}).get("seconds", 0.0) for event in ("teacher", "dense")}
    metrics = {"validation": found["teacher"]["metrics"]} if "teacher" in found else {}
    return {
        "schema": SCHEMA,
        "recipe": recipe.model_dump(mode="json"),
        "monitor": recipe.guard.monitor,
        "teacher": {"parameters": None, "metrics": metrics},
        "status": UNFINISHED,
        "max_drop": recipe.guard.max_drop,
        "rounds": list(rows),
        "cost": {
            "teacher_seconds": seconds["teacher"],
            "student_seconds": seconds["dense"] + sum(row["seconds"] for row in rows),
            "rolled_back_seconds": sum(row["seconds"] for row in rows if not row["accepted"]),
        },
        "selected": None,
        "artifacts": [],
        "not_pruned": [],
        "versions": {},
        "seed": recipe.seed,
    }


def stage_of(record: Record) -> Stage:
    """Return the training that a ledger's record is of."""
    curve, kind = record.get("curve", ()), record["event"]
    if kind != "round":
        return Stage({"teacher": "teacher", "dense": "dense student"}[kind], kind, True, curve)
    row = record["row"]
    again = f", try {row['attempt']}" if row["attempt"] > 1 else ""
    return Stage(f"round {row['round']}{again}", kind, row["accepted"], curve)


def missing(report: Mapping[str, Any], stages: Sequence[Stage], details: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each thing that a page would show and these files do not tell."""
    sentences = []
    if report["status"] == UNFINISHED:
        sentences.append("The run has not ended: no test figures and no exports yet. The same command resumes it.")
    elif report["selected"] is None:
        sentences.append("No student was finished, so there are no layers, classes and examples to show.")
    elif not details:
        sentences.append("Layers, classes and examples: the run has no details.json (an older spiral made it).")
    if report["status"] != UNFINISHED and "data" not in report:
        sentences.append("Intervals: the report does not say how many examples each part has (an older one).")
    if any(stage.kind == "round" and not stage.curve for stage in stages):
        sentences.append("Losses by epoch: the ledger holds none for some rounds (an older spiral made them).")
    return sentences
