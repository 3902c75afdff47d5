"""What is left of a student, measured on the student itself: floating-point operations, or time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from statistics import median

import keras

from spiral_cli.data.preprocessing import model_inputs, one_of
from spiral_cli.errors import ExportError
from spiral_cli.export.apart import Apart
from spiral_cli.export.litert_converter import write_litert
from spiral_cli.export.proof import THREADS, latencies
from spiral_cli.flops import total_flops
from spiral_cli.runtimes.session import open_model
from spiral_cli.student import Workbench
from spiral_cli.training.saving import save_model

Left = Callable[[keras.Model], float]
"""What part of the student before any pruning is left in a model."""

TURNS = 5  # how often both are timed anew; the median ratio counts


@contextmanager
def flops_left(bench: Workbench, dense: keras.Model) -> Iterator[Left]:
    """Yield a measure of floating-point operations."""
    shapes = one_of(bench.task.dataset.validation.x, bench.task.preprocessing)
    whole = max(total_flops(dense, shapes), 1)
    yield lambda model: total_flops(model, shapes) / whole


@contextmanager
def latency_left(bench: Workbench, dense: keras.Model) -> Iterator[Left]:
    """Yield a measure of the time of one example in LiteRT, on one thread, in turn with the dense student.

    A model that LiteRT cannot run is timed in Keras.
    """
    inputs = model_inputs(bench.task.dataset.validation.x[:1], bench.task.preprocessing)
    with Apart(bench.recipe, inputs) as apart:
        made = count()

        def files_of(model: keras.Model) -> dict[str, Path]:
            files = {kind: apart.folder / f"{next(made)}.{kind}" for kind in ("keras", "tflite")}
            save_model(model, files["keras"])
            try:
                apart(write_litert, files["keras"], files["tflite"])
            except ExportError:
                del files["tflite"]
            return files

        whole = files_of(dense)

        def left(model: keras.Model) -> float:
            files = files_of(model)
            kind = "tflite" if "tflite" in files and "tflite" in whole else "keras"
            sessions = [open_model(one[kind], THREADS) for one in (files, whole)]
            pairs = [latencies(sessions, inputs) for _ in range(TURNS)]
            return median(ours / theirs for ours, theirs in pairs)

        yield left


MEASURED: Mapping[str, Callable[[Workbench, keras.Model], AbstractContextManager[Left]]] = {
    "flops": flops_left,
    "latency": latency_left,
}
