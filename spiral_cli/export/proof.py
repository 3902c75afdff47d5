"""How every exported file is proved: opened in its own runtime, run on the test part, compared, timed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from spiral_cli.data.pipeline import Inputs, batches
from spiral_cli.data.preprocessing import few, model_inputs
from spiral_cli.errors import ExportError
from spiral_cli.evaluate import bytes_on_disk
from spiral_cli.export.artifact import Chosen
from spiral_cli.export.zeros import zeros_kept
from spiral_cli.guard import drop, monitor_mode, within_budget
from spiral_cli.models.flat import flat
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.runtimes.session import Arrays, Session, first_line, open_model
from spiral_cli.tasks.finite import finite
from spiral_cli.tasks.head import Said
from spiral_cli.timing import seconds
from spiral_cli.training.predict import Predictor

BATCH = 64
THREADS = 1  # what is timed: a phone's or a server's share of a machine, and the same everywhere
MOST_RUNS, LEAST_RUNS, SECONDS = 50, 5, 4.0
FACTS = (  # of an entry in the report, beside kind, status and reason
    *("path", "bytes", "gzip_bytes", "metrics", "agreement", "max_abs_diff", "drop", "zeros_kept"),
    *("runtime", "threads", "latency_ms", "teacher_bytes", "teacher_latency_ms"),
)


class Unfit(ExportError):
    """A file that does not do what the student does; carries what was measured of it."""

    def __init__(self, reason: str, facts: dict[str, Any] | None = None) -> None:
        self.facts = facts or {}
        super().__init__(reason)


@dataclass(frozen=True)
class Proof:
    """Compares files with the student they were made from, on the test part."""

    chosen: Chosen

    def __call__(self, file: Path, teacher: Path | None) -> dict[str, Any]:
        """Return what the report says of a file beside where it lies.

        Args:
            file: what was exported.
            teacher: the teacher's counterpart, or None where there is none.

        Raises:
            Unfit: it does not run, gives NaN or infinity, or loses more than ``export.max_drop``.
        """
        session = open_model(file, THREADS)
        compared = self._compared(session)
        raw, packed = bytes_on_disk(file)
        return {
            "bytes": raw,
            "gzip_bytes": packed,
            **compared,
            "zeros_kept": self._zeros_kept(session),
            "runtime": session.runtime,
            "threads": session.threads,
            **self._timed(session, teacher),
        }

    def _compared(self, session: Session) -> dict[str, Any]:
        """Return how a file does beside the student in memory.

        ``agreement`` is the fraction of test examples decided alike, ``max_abs_diff`` the largest
        difference of an output, ``drop`` how much worse the guard's monitor is.
        """
        evaluator = self.chosen.evaluator
        task, head, test = evaluator.task, evaluator.head, evaluator.task.dataset.test
        outputs = self._run(session, self._compared_rows)
        if broken := int(np.count_nonzero(~np.all([finite(one) for one in outputs], axis=0))):
            raise Unfit(f"it gives NaN or infinity for {broken} of {len(self._compared_rows)} test examples")

        def forward(x: Inputs, cut: np.ndarray | None = None) -> np.ndarray:
            known = x is test.x and len(outputs[0]) == len(x)
            return self._logits(outputs if known else self._run(session, x, cut))

        theirs, truth = head.say(forward, test.x), task.truth(test, head)
        wanted, metrics = (head.metrics(said, truth, test.weight) for said in (self._said, theirs))
        guard = task.recipe.guard
        lost = drop(wanted[guard.monitor], metrics[guard.monitor], monitor_mode(guard.monitor, guard.mode))
        facts = {
            "metrics": {"test": metrics},
            "agreement": head.agreement(self._said, theirs),
            "max_abs_diff": max(float(np.max(np.abs(a - b))) for a, b in zip(self._wanted, outputs, strict=True)),
            "drop": lost,
        }
        if not within_budget(lost, most := self.chosen.settings.max_drop):
            raise Unfit(f"test {guard.monitor} drops by {lost:.4f}, more than export.max_drop {most:g}", facts)
        return facts

    @cached_property
    def _wanted(self) -> Arrays:
        """The student's outputs on these rows."""
        forward, task = flat(self.chosen.model), self.chosen.evaluator.task
        return tuple(Predictor(lambda x: list(forward(*tf.nest.flatten(x))), task.preprocessing)(self._compared_rows))

    @cached_property
    def _compared_rows(self) -> Inputs:
        """The test examples whose outputs are compared number by number: all, or a few where outputs are large."""
        task = self.chosen.evaluator.task
        test = task.dataset.test.x
        most = few(task.output_shape, len(test))
        return test if most == len(test) else test[:most]

    @cached_property
    def _said(self) -> Said:
        """What the student says of the test part."""
        return self.chosen.evaluator.said(self.chosen.evaluator.task.dataset.test)

    def _logits(self, outputs: Arrays) -> np.ndarray:
        return self.chosen.evaluator.head.logits(tf.constant(outputs[0])).numpy()

    def _run(self, session: Session, x: Inputs, cut: np.ndarray | None = None) -> Arrays:
        """Return a file's outputs on stored rows.

        Raises:
            Unfit: it does not run.
        """
        try:
            columns = zip(*self._blocks(session, x, cut), strict=True)
            return tuple(np.concatenate(column) for column in columns)
        except Exception as error:  # each runtime has its own
            raise Unfit(f"{session.runtime} cannot run it ({first_line(error)})") from error

    def _blocks(self, session: Session, x: Inputs, cut: np.ndarray | None) -> Iterator[Arrays]:
        task = self.chosen.evaluator.task
        for block, count in batches(x, few(task.preprocessing.input_shape, BATCH)):
            outputs = session.run(model_inputs(block, task.preprocessing, cut))
            yield tuple(output[:count] for output in outputs)

    def _zeros_kept(self, session: Session) -> bool | None:
        """Say whether the zeros of the student's weights are zeros in a file; None where it does not tell."""
        prune = self.chosen.evaluator.task.recipe.prune
        prunable, _ = find_prunable(self.chosen.model, prune.targets, prune.ignore)
        return zeros_kept([one.variable.numpy() for one in prunable], session.weights()) if session.weights else None

    def _timed(self, session: Session, teacher: Path | None) -> dict[str, Any]:
        """Return the milliseconds of one example, and size and milliseconds of the teacher's counterpart."""
        task, sessions = self.chosen.evaluator.task, [session]
        if teacher is not None:
            sessions.append(open_model(teacher, THREADS))
        milliseconds = latencies(sessions, model_inputs(task.dataset.test.x[:1], task.preprocessing))
        return {
            "latency_ms": milliseconds[0],
            "teacher_bytes": bytes_on_disk(teacher)[0] if teacher is not None else None,
            "teacher_latency_ms": milliseconds[1] if teacher is not None else None,
        }


def latencies(sessions: Sequence[Session], inputs: Arrays) -> list[float]:
    """Return each session's median milliseconds on ``inputs``; they run in turn, so that all meet the same machine."""
    ready = [session.ready(inputs) for session in sessions]
    for compute in ready:
        for _ in range(3):
            compute()
    times: list[list[float]] = []
    began = time.perf_counter()
    while len(times) < LEAST_RUNS or (len(times) < MOST_RUNS and time.perf_counter() - began < SECONDS):
        times.append([seconds(compute) for compute in ready])
    return [1000.0 * float(np.median(column)) for column in zip(*times, strict=True)]


def failed(kind: str, reason: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the report's entry of an export that is not shipped, with the reason and what was measured."""
    return {"kind": kind, "status": "failed", "reason": reason, **dict.fromkeys(FACTS), **facts}
