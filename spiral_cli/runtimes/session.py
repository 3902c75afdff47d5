"""A model's file, opened by its own runtime: arrays in, arrays out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from spiral_cli.errors import MissingError, SpiralError, UsageError
from spiral_cli.registry import Part, runtimes

FOLDER = "folder"
Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Input:
    """What a file takes: its shape without the batch, None where any length goes, and NumPy's name of its type."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Session:
    """An opened file.

    Attributes:
        runtime: its name and version.
        threads: how many it really computes with.
        run: inputs (batch, …) in the model's order, scaled as the model sees them, to outputs
            (batch, …) in its order, floats also where the file computes in integers.
        weights: what the file holds as constants, as floats; None where that cannot be read.
        inputs: what `run` takes, in the model's order; none where the file does not say.
        prepare: sets inputs and returns what computes with them, where the runtime tells the two apart.
        flops: shapes of inputs without the batch to the operations of one example; None where the file does not tell.
    """

    runtime: str
    threads: int
    run: Callable[[Sequence[np.ndarray]], Arrays]
    weights: Callable[[], list[np.ndarray]] | None = None
    inputs: tuple[Input, ...] = ()
    prepare: Callable[[Sequence[np.ndarray]], Callable[[], object]] | None = None
    flops: Callable[[Sequence[tuple[int, ...]]], int] | None = None

    def ready(self, inputs: Sequence[np.ndarray]) -> Callable[[], object]:
        """Return what computes with ``inputs`` once: what is timed, until other inputs come.

        Of a small network Python would take longer to hand over arrays than the runtime to compute.
        """
        return partial(self.run, inputs) if self.prepare is None else self.prepare(inputs)


def open_model(path: Path, threads: int) -> Session:
    """Open a file, or a SavedModel's folder, in the runtime that its name says.

    Args:
        path: ``*.keras``, ``*.tflite``, ``*.onnx``, …, or a folder.
        threads: to compute with. TensorFlow's are one pool for a process, set by who comes first.

    Raises:
        MissingError: there is nothing, or nothing that the runtime can open.
        UsageError: no runtime opens such files.
    """
    if not path.exists():
        raise MissingError(f"there is no {path}; name a file that exists")
    part = runtime_of(path)
    if part is None:
        allowed = ", ".join({one.facts["opens"]: None for one in runtimes.parts().values()})
        raise UsageError(f"no runtime opens {path}; allowed: {allowed}")
    try:
        return runtimes.get(part.name)(path, threads)
    except SpiralError:
        raise
    except Exception as error:  # each runtime has its own
        raise MissingError(f"{path} cannot be opened by {part.name} ({first_line(error)})") from error


def runtime_of(path: Path) -> Part | None:
    """Return what is known of the runtime that opens a file, or a SavedModel's folder, by its name, or None."""
    kind = FOLDER if path.is_dir() else path.suffix
    return {part.facts["opens"]: part for part in runtimes.parts().values()}.get(kind)


def own_code(path: Path) -> bool:
    """Say whether opening a file may take code of a person's own: its model's classes, or the runtime itself."""
    part = runtime_of(path)
    return part is None or part.facts.get("classes", False) or part not in runtimes.built_in().values()


def first_line(error: Exception) -> str:
    """Return what an error says, short: runtimes add pages of their stack."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of a signature's inputs or outputs in order: ``input_2`` before ``input_10``."""
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])
