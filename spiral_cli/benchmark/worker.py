"""One contender's process: opens its file and times it when asked to. Started by `spiral_cli.benchmark.contender`.

Requests and answers are lines of JSON. The resident memory that the process has before its runtime is imported,
by itself or by a plugin, is taken off its peak.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.errors import SpiralError, UsageError
from spiral_cli.registry import load_plugins
from spiral_cli.runtimes.session import Input, Session, open_model
from spiral_cli.timing import seconds

LEAST_WARM_UP = (5, 0.2)  # calls, seconds


class Bench:
    """A file that is open, its inputs by batch, and the memory of the process before.

    Args:
        path: the file.
        threads: to compute with.
        open_length: what stands for a length that the file leaves open.
        baseline: the resident memory before anything of the file's was imported, in bytes.
    """

    def __init__(self, path: Path, threads: int, open_length: int, baseline: int) -> None:
        self.baseline, self.open_length = baseline, open_length
        self.session: Session = open_model(path, threads)
        if not self.session.inputs:
            raise UsageError(f"{path} does not say what inputs it takes, so it cannot be fed; export it first")
        self._arrays: dict[int, tuple[np.ndarray, ...]] = {}

    def about(self) -> dict[str, Any]:
        """Return what the file is opened by and what it is fed."""
        shapes = [filled(one, self.open_length) for one in self.session.inputs]
        return {"runtime": self.session.runtime, "threads": self.session.threads, "input_shapes": shapes}

    def warm_up(self, batch: int) -> dict[str, Any]:
        """Run a batch until the runtime has settled; return the seconds of its last call."""
        compute = self._ready(batch)
        calls, spent, last = 0, 0.0, 0.0
        while calls < LEAST_WARM_UP[0] or spent < LEAST_WARM_UP[1]:
            last = seconds(compute)
            calls, spent = calls + 1, spent + last
        return {"seconds": last}

    def burst(self, batch: int, calls: int) -> dict[str, Any]:
        """Return the seconds of so many calls in a row, after some whose caches the others had emptied."""
        compute = self._ready(batch)
        for _ in range(max(1, calls // 10)):
            compute()
        return {"seconds": [seconds(compute) for _ in range(calls)]}

    def memory(self) -> dict[str, Any]:
        """Return the peak of resident memory so far, above what the process had before the runtime, in bytes."""
        return {"memory_bytes": peak_memory() - self.baseline}

    def weights(self) -> dict[str, Any]:
        """Return how many weights the file holds and how many of them are not zero, where it can be read."""
        if self.session.weights is None:
            return {"parameters": None, "nonzero": None}
        weights = self.session.weights()
        nonzero = sum(int(np.count_nonzero(weight)) for weight in weights)
        return {"parameters": sum(weight.size for weight in weights), "nonzero": nonzero}

    def flops(self) -> dict[str, Any]:
        """Return the operations of one example, where the file tells them: a Keras model, packed or not."""
        if self.session.flops is None:
            return {"flops": None}
        return {"flops": self.session.flops([tuple(filled(one, self.open_length)) for one in self.session.inputs])}

    def _ready(self, batch: int) -> Callable[[], object]:
        if batch not in self._arrays:
            self._arrays[batch] = tuple(drawn(one, batch, self.open_length) for one in self.session.inputs)
        return self.session.ready(self._arrays[batch])


def filled(one: Input, open_length: int) -> list[int]:
    """Return an input's shape without the batch, open lengths filled."""
    return [open_length if length is None else length for length in one.shape]


def drawn(one: Input, batch: int, open_length: int) -> np.ndarray:
    """Return seeded values from 0 to 1 for an input; zeros where it takes integers, which any vocabulary has."""
    shape = (batch, *filled(one, open_length))
    if np.dtype(one.dtype).kind != "f":
        return np.zeros(shape, one.dtype)
    return np.random.default_rng(0).random(shape, np.float32).astype(one.dtype)


def peak_memory() -> int:
    """Return the largest resident memory this process ever had, in bytes.

    Not by `getrusage`, where the system says more: its figure is inherited from who started the process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def answer(bench: Bench, request: Sequence[Any]) -> Mapping[str, Any]:
    """Do what a request ``[what, *arguments]`` asks."""
    what, *arguments = request
    method: Callable[..., Mapping[str, Any]] = getattr(bench, what)
    return method(*arguments)


def main() -> None:
    """Open the file of the first request and answer the others until the pipe closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a runtime prints is no answer
    bench: Bench | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if bench is None:
                baseline = peak_memory()
                load_plugins(request["modules"], Path(request["folder"]))
                bench = Bench(Path(request["path"]), request["threads"], request["open_length"], baseline)
                said: Mapping[str, Any] = bench.about()
            else:
                said = answer(bench, request)
        except Exception as error:  # whatever a runtime raises: the contender is told of with the reason
            reason = str(error) if isinstance(error, SpiralError) else f"{type(error).__name__}: {error}"
            said = {"error": reason.strip().partition("\n")[0]}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
