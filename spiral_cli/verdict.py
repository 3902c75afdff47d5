"""What becomes of a try: measured, accepted or not, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.errors import DivergedError
from spiral_cli.evaluate import measure_size
from spiral_cli.guard import Attempt, Row, drop, monitor_mode, within_budget
from spiral_cli.pruning.packing import pack
from spiral_cli.student import Workbench
from spiral_cli.training.loop import Stage, Trained
from spiral_cli.training.resume import Masks
from spiral_cli.training.saving import save_model


def judge(
    bench: Workbench, attempt: Attempt, stage: Stage, trained: Trained, **facts: Mapping[str, Any] | float
) -> Row:
    """Measure the student as it now is and return its row of the report, with further ``facts`` of it."""
    guard = bench.recipe.guard
    try:
        metrics = bench.evaluator.metrics(bench.task.dataset.validation)
    except DivergedError as error:
        raise DivergedError(f"{stage.title}, after its last epoch: {error}") from error
    lost = drop(bench.teacher.metrics[guard.monitor], metrics[guard.monitor], monitor_mode(guard.monitor, guard.mode))
    size = measure_size(bench.model, bench.prunable, bench.whole.prunable)
    return {
        "round": attempt.round,
        "attempt": attempt.attempt,
        "target_density": attempt.density,
        "sparsity": size.sparsity,
        "density": size.density,
        "nonzero": size.nonzero,
        "parameters": size.parameters,
        "losses": dict(trained.losses),
        "metrics": {"validation": metrics},
        "drop": lost,
        "accepted": within_budget(lost, guard.max_drop),
        "epochs": stage.epochs,
        "seconds": trained.seconds,
        **facts,
    }


def decision(row: Row, masks: Masks) -> str:
    """Return what all who train together must have come to."""
    digest = hashlib.blake2b(digest_size=16)
    for name, bits in sorted(pack(masks).items()):
        digest.update(name.encode() + np.ascontiguousarray(bits).tobytes())
    return json.dumps([row["target_density"], row["accepted"], digest.hexdigest()])


def store(bench: Workbench, row: Row, rows: Sequence[Row], masks: Masks) -> tuple[Path, ...]:
    """Keep an accepted student; keep a failed one aside while none was accepted and it is the best so far."""
    if row["accepted"]:
        return bench.keep(row["round"], masks)
    best = min((other["drop"] for other in rows), default=np.inf)
    if not any(other["accepted"] for other in rows) and row["drop"] < best:
        file = bench.run.round(row["round"]).failed(row["attempt"])
        save_model(bench.model, file)
        return (file,)
    return ()
