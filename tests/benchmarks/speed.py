"""Seconds of one epoch: plain `keras.Model.fit`, Keras' own Distiller, and spiral's loop.

    python tests/benchmarks/speed.py                       # lenet300 and lenet5, Fashion-MNIST, batch 128
    python tests/benchmarks/speed.py --models lenet5 --epochs 9

Each contender runs in a process of its own with its own usual settings (spiral with deterministic
operations, masks, distillation and pressure on; the others with none of these). The processes take
turns, an epoch each, so that a busy machine slows all alike. Printed are medians and ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BATCH = 128
CONTENDERS = ("fit", "distiller", "spiral")
SPARSITY = 0.9


def load(examples: int | None):
    """Return Fashion-MNIST's training images (n, 28, 28, 1) uint8 and labels (n,) int64."""
    from spiral_cli.data.load import load_dataset
    from spiral_cli.recipe.schema import Data

    train = load_dataset(Data(format="fashion_mnist", validation=0.1, subset=examples), seed=0).train
    return train.x, train.y


def build(name: str):
    """Return a fresh built-in model."""
    from spiral_cli.registry import models

    return models.get(name)((28, 28, 1), 10)


def fit_epoch(name: str, x, y):
    """Return a function that runs one epoch of plain ``fit``: the student alone, nothing else on."""
    import keras

    model = build(name)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss)
    inputs = (x / 255.0).astype("float32")
    return lambda: model.fit(inputs, y, batch_size=BATCH, verbose=0)


def distiller_epoch(name: str, x, y):
    """Return a function that runs one epoch of `keras.distillation.Distiller`."""
    import keras

    distiller = keras.distillation.Distiller(
        teacher=build(name),
        student=build(name),
        distillation_losses=keras.distillation.LogitsDistillation(temperature=4.0),
        student_loss_weight=0.1,
    )
    distiller.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = (x / 255.0).astype("float32")
    return lambda: distiller.fit(inputs, y, batch_size=BATCH, verbose=0)


def spiral_epoch(name: str, x, y):
    """Return a function that runs one epoch of spiral's loop: masks, distillation and pressure on."""
    import numpy as np
    import tensorflow as tf

    from spiral_cli import registry
    from spiral_cli.data.preprocessing import Preprocessing
    from spiral_cli.pruning.granularity import Unstructured
    from spiral_cli.pruning.masks import make_masks
    from spiral_cli.pruning.prunable import find_prunable
    from spiral_cli.tasks.classification import Head
    from spiral_cli.training.arrays import TrainingData
    from spiral_cli.training.device import use_device
    from spiral_cli.training.jit import choose_jit
    from spiral_cli.training.objective import Objective
    from spiral_cli.training.optimizers import make_optimizer
    from spiral_cli.training.plan import epoch_rows
    from spiral_cli.training.program import CHUNK_STEPS, Program

    use_device("cpu", 0)
    model = build(name)
    prunable = find_prunable(model)[0]
    preprocessing = Preprocessing((28, 28, 1), tuple("0123456789"), "0-1", 1 / 255, 0.0)
    data = TrainingData(tf.constant(x), tf.constant(y.astype(np.int32)), tf.ones(len(x)), preprocessing)
    objective = Objective(Head(exclusive=True, probabilities=False), registry.losses.get("kl"), 0.9, 4.0)
    program = Program(
        model,
        data,
        objective,
        make_optimizer("adam", 0.0),
        prunable=prunable,
        pressure=registry.pressures.get("l1"),
        average=True,
        jit=choose_jit("auto", model),
    )
    program.set_targets({"logits": np.random.default_rng(0).normal(size=(len(x), 10)).astype(np.float32)})
    scores = {key: np.abs(weight) for key, weight in program.weights().items()}
    masks = make_masks(scores, 1 - SPARSITY, allocation=registry.allocations.get("global"), granularity=Unstructured())
    program.cut(masks)
    program.hold(masks)
    count = iter(range(10**6))

    def epoch() -> None:
        rows, valid = epoch_rows(len(x), BATCH, (0, 1), next(count))
        for start in range(0, len(rows), CHUNK_STEPS):
            part = slice(start, start + CHUNK_STEPS)
            steps = len(rows[part])
            program.run(rows[part], valid[part], np.full(steps, 1e-3, "f4"), *np.full((2, steps), 1e-4, "f4"))

    return epoch


def work(contender: str, model: str, examples: int | None) -> None:
    """Run one epoch for every line on standard input; answer with its seconds."""
    x, y = load(examples)
    epoch = {"fit": fit_epoch, "distiller": distiller_epoch, "spiral": spiral_epoch}[contender](model, x, y)
    for _ in sys.stdin:
        started = time.perf_counter()
        epoch()
        print(time.perf_counter() - started, flush=True)


def race(model: str, epochs: int, examples: int | None) -> dict[str, list[float]]:
    """Let the contenders take turns; return their seconds an epoch, without a first one for warming up."""
    command = [sys.executable, __file__, "--model", model, *(["--examples", str(examples)] if examples else [])]
    processes = {
        one: subprocess.Popen([*command, "--worker", one], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for one in CONTENDERS
    }
    seconds: dict[str, list[float]] = {one: [] for one in CONTENDERS}
    for _ in range(epochs + 1):
        for one, process in processes.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            seconds[one].append(float(process.stdout.readline()))
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return {one: times[1:] for one, times in seconds.items()}


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["lenet300", "lenet5"])
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--examples", type=int, help="train on this many examples only")
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.model, options.examples)
        return
    for model in options.models:
        seconds = race(model, options.epochs, options.examples)
        medians = {one: statistics.median(times) for one, times in seconds.items()}
        ratios = {
            other: statistics.median(a / b for a, b in zip(seconds["spiral"], seconds[other], strict=True))
            for other in ("fit", "distiller")
        }
        print(f"{model}: " + ", ".join(f"{one} {value:.2f} s" for one, value in medians.items()))
        told = ", ".join(f"spiral / {other} {ratio:.2f}" for other, ratio in ratios.items())
        print(f"  {told} (medians of {options.epochs})")


if __name__ == "__main__":
    main()
