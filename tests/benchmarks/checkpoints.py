"""Milliseconds that training waits for a checkpoint of 25 million parameters.

    python tests/benchmarks/checkpoints.py                     # ResNet50, Adam, running average, masks: 410 MB
    python tests/benchmarks/checkpoints.py --times 15 --folder /mnt/disk

After every checkpoint steps go on while it is written; the same steps are then taken with nothing
written beside them. Printed are medians and extremes; the exit code is 1 where the median is above the bar.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from spiral_cli import registry
from spiral_cli.data.pixels import Pixels
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.tasks.classification import Head
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.build import on_each
from spiral_cli.training.device import use_device
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.program import Program
from spiral_cli.training.resume import Position, Saver
from spiral_cli.training.writer import Writer

BAR_MS = 300
BATCH, SIDE, CLASSES = 8, 32, 1000


class TimedWriter(Writer):
    """A writer that notes how long each job took, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def begin(self, job) -> None:
        """Start ``job`` as `Writer.begin` does."""

        def timed() -> None:
            started = time.perf_counter()
            job()
            self.seconds.append(time.perf_counter() - started)

        super().begin(timed)


def build() -> Program:
    """Return the program of a student of 25.6 million parameters, as a round trains it."""
    model = keras.applications.ResNet50(weights=None, input_shape=(SIDE, SIDE, 3), classes=CLASSES)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3)).astype(np.uint8)
    y = rng.integers(0, CLASSES, BATCH).astype(np.int32)
    preprocessing = Pixels((SIDE, SIDE, 3), tuple(map(str, range(CLASSES))), "0-1", 1 / 255, 0.0)
    program = Program(
        model,
        TrainingData(tf.constant(x), tf.constant(y), tf.ones(BATCH), preprocessing),
        Objective(Head(exclusive=True, probabilities=True), registry.losses.get("kl"), 0.9, 4.0),
        make_optimizer("adam", 0.0),
        prunable=find_prunable(model)[0],
        pressure=on_each(registry.pressures.get("l1")),
        average=True,
    )
    program.set_targets({"logits": rng.normal(size=(BATCH, CLASSES)).astype(np.float32)})
    return program


def train(program: Program, steps: int) -> float:
    """Take ``steps`` steps; return their seconds."""
    rows = np.tile(np.arange(BATCH, dtype=np.int32), (steps, 1))
    started = time.perf_counter()
    program.run(rows, np.ones(rows.shape, np.float32), *np.full((3, steps), 1e-4, np.float32))
    return time.perf_counter() - started


def shown(name: str, seconds: list[float]) -> str:
    """Return a line with the median and extremes in milliseconds."""
    median, least, most = (1000 * value for value in (statistics.median(seconds), min(seconds), max(seconds)))
    return f"{name:<34} {median:7.0f} ms  ({least:.0f} to {most:.0f}, {len(seconds)} times)"


def main() -> int:
    """Print the figures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=9, help="checkpoints")
    parser.add_argument("--steps", type=int, default=8, help="steps after each")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder")
    options = parser.parse_args()
    use_device("cpu", 0)
    program = build()
    masks = program.held()
    blocked, beside, alone = [], [], []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, TimedWriter() as writer:
        file = Path(folder) / "attempt-1.spiral"
        saver = Saver(program, file, writer)
        train(program, options.steps)
        for epoch in range(options.times):
            started = time.perf_counter()
            saver.save(Position(epoch), masks)
            blocked.append(time.perf_counter() - started)
            beside.append(train(program, options.steps))
            writer.wait()
            alone.append(train(program, options.steps))
        size = file.stat().st_size
    print(f"{program.model.name}, {program.model.count_params():,} parameters, {size / 1e6:.0f} MB a checkpoint")
    print(f"{shown('training waits for a checkpoint', blocked)}; bar {BAR_MS} ms")
    print(shown("written in the background in", writer.seconds[1:]))
    print(shown(f"{options.steps} steps beside a write", beside))
    print(shown(f"{options.steps} steps alone", alone))
    return int(1000 * statistics.median(blocked) > BAR_MS)


if __name__ == "__main__":
    sys.exit(main())
