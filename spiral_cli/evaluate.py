"""Measuring a model: metrics on a split, weights that are not zero, bytes on disk."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from spiral_cli.data import Split
from spiral_cli.data.pipeline import Inputs
from spiral_cli.data.preprocessing import few
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.run import files_in
from spiral_cli.tasks.finite import refuse_broken
from spiral_cli.tasks.head import Head, Said
from spiral_cli.tasks.task import Task
from spiral_cli.training.predict import Predictor, logits_of

AT_ONCE = 512  # examples that a model is asked about in one call, fewer where they or its outputs are large


class Evaluator:
    """A model with its compiled inference, traced once and used for every measurement.

    Args:
        task: gives data, labels and metrics.
        model: the model; its variables may change between measurements.
        head: how to read its output.
    """

    def __init__(self, task: Task, model: keras.Model, head: Head) -> None:
        self.task, self.model, self.head = task, model, head
        self._predict = Predictor(logits_of(model, head), task.preprocessing, few(task.output_shape, AT_ONCE))
        self._speak = task.speaker(model, head)

    def logits(self, x: Inputs) -> np.ndarray:
        """Return logits (n, outputs) for stored inputs (n, …)."""
        return self._predict(x)[0]

    def blocks(self, x: Inputs) -> Iterator[np.ndarray]:
        """Yield the same piece by piece."""
        return (block for (block,) in self._predict.batches(x))

    def said(self, split: Split) -> Said:
        """Return what the model says of ``split``.

        Raises:
            DivergedError: the model gives NaN or infinity.
        """
        if self._speak is not None:
            return self._speak(split.x)
        return self.head.say(self._finite_logits, split.x)

    def metrics(self, split: Split) -> dict[str, float]:
        """Return the task's metrics on ``split``; raises as `said`."""
        return self.head.metrics(self.said(split), self.task.truth(split, self.head), split.weight)

    def _finite_logits(self, x: Inputs, cut: np.ndarray | None = None) -> np.ndarray:
        logits = self.logits(x)  # not cut: that would be another trace
        refuse_broken(self.model.name, logits)
        return logits


@dataclass(frozen=True)
class Size:
    """How many weights a model has and how many of them are not zero.

    ``parameters`` and ``nonzero`` count all weights of the model, ``prunable`` and ``kept`` those
    that may be pruned.
    """

    parameters: int
    nonzero: int
    prunable: int
    kept: int

    @property
    def density(self) -> float:
        """Fraction of the prunable weights that is not zero."""
        return self.kept / self.prunable if self.prunable else 1.0

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable weights that is zero."""
        return 1.0 - self.density


def measure_size(model: keras.Model, prunable: Sequence[Prunable], whole: int | None = None) -> Size:
    """Count the weights of ``model``.

    Args:
        model: what is counted.
        prunable: its weights that may be pruned.
        whole: how many these were before channels left, which count as zero; by default none did.
    """
    weights = [weight.numpy() for weight in model.weights]
    pruned = [one.variable.numpy() for one in prunable]
    return Size(
        parameters=sum(weight.size for weight in weights),
        nonzero=sum(int(np.count_nonzero(weight)) for weight in weights),
        prunable=sum(weight.size for weight in pruned) if whole is None else whole,
        kept=sum(int(np.count_nonzero(weight)) for weight in pruned),
    )


def layer_sizes(prunable: Sequence[Prunable]) -> list[dict[str, object]]:
    """Return name, shape, weights, nonzero and sparsity of every prunable variable."""
    rows = []
    for one in prunable:
        weight = one.variable.numpy()
        nonzero = int(np.count_nonzero(weight))
        rows.append(
            {
                "name": one.name,
                "shape": list(weight.shape),
                "weights": weight.size,
                "nonzero": nonzero,
                "sparsity": 1.0 - nonzero / weight.size,
            }
        )
    return rows


def bytes_on_disk(path: Path) -> tuple[int, int]:
    """Return the bytes of a file, or of a folder's files in a row, raw and after gzip at its highest level."""
    files = files_in(path)
    with tempfile.TemporaryFile() as packed:
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as sink:
            for file in files:
                with file.open("rb") as source:
                    shutil.copyfileobj(source, sink)
        return sum(file.stat().st_size for file in files), packed.tell()
