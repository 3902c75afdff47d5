"""What an exporter gives, and how every exported file is proved: loaded again, run, compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spiral_cli.data.pipeline import Inputs
from spiral_cli.evaluate import Evaluator, bytes_on_disk
from spiral_cli.run import RunFolder

LATENCY_RUNS = 50


@dataclass(frozen=True)
class Chosen:
    """The chosen student and where its files go."""

    model: keras.Model
    evaluator: Evaluator
    run: RunFolder


@dataclass(frozen=True)
class Exported:
    """A written file and a way to run it in its own runtime.

    Attributes:
        path: the file.
        logits: stored inputs (n, …) to logits (n, outputs), computed from the file alone.
    """

    path: Path
    logits: Callable[[Inputs], np.ndarray]


def prove(kind: str, exported: Exported, chosen: Chosen) -> dict[str, Any]:
    """Run an exported file on the test part and return its entry in the report.

    ``agreement`` is the fraction of test examples decided like the student in memory,
    ``max_abs_diff`` the largest difference of a logit, ``latency_ms`` the median of single
    examples after warming up.
    """
    task, head = chosen.evaluator.task, chosen.evaluator.head
    test = task.dataset.test
    ours, theirs = chosen.evaluator.logits(test.x), exported.logits(test.x)
    raw, packed = bytes_on_disk(exported.path)
    decide = (lambda z: z.argmax(-1)) if head.exclusive else (lambda z: z > 0)
    return {
        "kind": kind,
        "path": chosen.run.relative(exported.path),
        "bytes": raw,
        "gzip_bytes": packed,
        "status": "ok",
        "reason": None,
        "metrics": {"test": head.metrics(theirs, task.labels(test, head), test.weight)},
        "agreement": float(np.mean(decide(ours) == decide(theirs))),
        "max_abs_diff": float(np.max(np.abs(ours - theirs))),
        "latency_ms": latency(exported.logits, test.x[:1]),
    }


def latency(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    """Return the median milliseconds of ``run`` on ``x``."""
    for _ in range(3):
        run(x)
    times = []
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        run(x)
        times.append(time.perf_counter() - started)
    return 1000.0 * float(np.median(times))


def failed(kind: str, reason: str) -> dict[str, Any]:
    """Return the report's entry of an export that did not work, with the reason."""
    empty = ("path", "bytes", "gzip_bytes", "metrics", "agreement", "max_abs_diff", "latency_ms")
    return {"kind": kind, "status": "failed", "reason": reason, **dict.fromkeys(empty)}
