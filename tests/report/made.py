"""Runs on disk as `spiral compress` leaves them, made by hand: no training, no TensorFlow."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from spiral_cli.recipe import load_recipe
from spiral_cli.recipe.digest import dump
from spiral_cli.report.build import build_report
from spiral_cli.run import Ledger, RunFolder, write_json, write_text

RECIPE = "name: made\ndata: {format: digits}\nteacher: {model: mlp, epochs: 3}\nguard: {max_drop: 0.02}\n"
VERSIONS = {"python": "3.11.7", "spiral": "0.1.0"}
ARTIFACT = {
    "kind": "litert",
    "path": "exports/litert.tflite",
    "bytes": 40_000,
    "gzip_bytes": 9_000,
    "status": "ok",
    "reason": None,
    "metrics": {"test": {"accuracy": 0.95, "loss": 0.2}},
    "agreement": 1.0,
    "max_abs_diff": 1e-6,
    "latency_ms": 0.5,
    "drop": 0.0,
    "zeros_kept": True,
    "runtime": "LiteRT 2.3",
    "threads": 2,
    "teacher_bytes": 80_000,
    "teacher_latency_ms": 1.0,
}
FAILED = {
    **dict.fromkeys(ARTIFACT),
    "kind": "litert_int8",
    "status": "failed",
    "reason": "it gives NaN for 3 of 1,000 examples",
}
CURVE = [
    {"losses": {"loss": 1.0 / epoch, "task_loss": 0.5 / epoch, "distillation_loss": 1.5 / epoch}, "metrics": {}}
    for epoch in (1, 2, 3)
]
TEACHER_CURVE = [
    {"losses": {"loss": 2.0 / epoch, "task_loss": 2.0 / epoch}, "metrics": {"loss": 2.1 / epoch, "accuracy": 0.9}}
    for epoch in (1, 2, 3)
]


def row(number: int, density: float, accuracy: float, accepted: bool = True, attempt: int = 1) -> dict[str, Any]:
    """Return a try of a student of 1,000 weights; the teacher has 0.96."""
    return {
        "round": number,
        "attempt": attempt,
        "target_density": density,
        "sparsity": 1 - density,
        "density": density,
        "nonzero": round(1000 * density),
        "parameters": 1000,
        "losses": {"loss": 0.1, "task_loss": 0.1, "distillation_loss": 0.1},
        "metrics": {"validation": {"accuracy": accuracy, "loss": 0.2}},
        "drop": 0.96 - accuracy,
        "accepted": accepted,
        "epochs": 3,
        "seconds": 1.5,
    }


ROWS = [row(1, 0.5, 0.958), row(2, 0.1, 0.92, accepted=False), row(2, 0.22, 0.951, attempt=2)]


def selected(of: dict[str, Any], test: float = 0.95) -> dict[str, Any]:
    """Return the report's entry of the try ``of``, with paired counts that fit 10,000 examples of either part."""
    return {
        **{key: of[key] for key in ("round", "attempt", "sparsity", "density", "nonzero", "parameters")},
        "within_budget": of["accepted"],
        "path": "student.keras",
        "metrics": {**of["metrics"], "test": {"accuracy": test, "loss": 0.21}},
        "paired": {
            "validation": {"examples": 10_000, "only_teacher": 150, "only_student": 60},
            "test": {"examples": 10_000, "only_teacher": 160, "only_student": 60},
        },
    }


def report(folder: Path, text: str = RECIPE, **changes: Any) -> dict[str, Any]:
    """Return the report of a run that went well, with other arguments of `build_report` where given."""
    file = folder / "made.yaml"
    file.write_text(text, "utf-8")
    facts = {
        "recipe": load_recipe(file).model_dump(mode="json"),
        "teacher": {
            "parameters": 1000,
            "metrics": {part: {"accuracy": 0.96, "loss": 0.15} for part in ("validation", "test")},
            "seconds": 4.0,
        },
        "student": {"seconds": 0.0, "skipped": [{"name": "d/bias", "layer": "d", "reason": "a bias"}]},
        "rows": ROWS,
        "selected": selected(ROWS[-1]),
        "artifacts": [ARTIFACT],
        "status": "ok",
        "versions": VERSIONS,
        "data": {"train": 50_000, "validation": 10_000, "test": 10_000},
    }
    return build_report(**{**facts, **changes})


def details(names: tuple[str, ...] = ("cat", "dog", "bird")) -> dict[str, Any]:
    """Return what `details.json` holds, with these names of classes."""
    classes = [
        {"name": name, "examples": 100 + index, "teacher": 0.9, "student": 0.9 - 0.02 * (index - 1)}
        for index, name in enumerate(names)
    ]
    layers = [
        {"name": name, "shape": [10, 40], "weights": 400, "nonzero": left, "sparsity": 1 - left / 400, "of": 400}
        for name, left in (("first/kernel", 100), ("last/kernel", 200))
    ]
    said = {"teacher": {"answer": names[0], "confidence": 0.9}, "student": {"answer": names[1], "confidence": 0.6}}
    sample = {"shown": {"kind": "image", "source": picture()}, "truth": names[0], **said}
    return {"layers": layers, "classes": classes, "samples": [sample]}


def picture() -> str:
    """Return the address of a small red picture."""
    held = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()


def write_run(folder: Path, said: dict[str, Any] | None, told: dict[str, Any] | None, text: str = RECIPE) -> RunFolder:
    """Write the files of a run: its recipe, a ledger with three tries, and report and details where there are some."""
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.yaml").write_text(text, "utf-8")
    write_text(run.recipe, dump(load_recipe(folder / "made.yaml"), folder))
    ledger = Ledger(run)
    ledger.append("teacher", metrics={"accuracy": 0.96, "loss": 0.15}, seconds=4.0, curve=TEACHER_CURVE)
    ledger.append("dense", metrics={"accuracy": 0.96, "loss": 0.15}, seconds=0.0, curve=[])
    for one in ROWS:
        ledger.append("round", row=one, curve=CURVE)
    if said is not None:
        write_json(run.report, said)
    if told is not None:
        write_json(run.details, told)
    return run
