"""The contenders of `speed.py`, each run in a process of its own: one epoch a line on standard input.

`serve` answers every line with one of JSON: the seconds of the epoch, or why there are none.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from workloads import BATCH, CLASSES, build, examples, scaled

SPARSITY = 0.9
TAIL = 0.2
# jit_compile and steps_per_execution; the first is what Keras does when asked for nothing.
FITS: dict[str, tuple[str | bool, int]] = {
    "fit": ("auto", 1),
    "fit, XLA": (True, 1),
    "fit, XLA, 32 steps": (True, 32),
    "fit, no XLA": (False, 1),
    "fit, no XLA, 32 steps": (False, 32),
}
Epoch = Callable[[], object]


def fit_epoch(name: str, x: np.ndarray, y: np.ndarray, jit: str | bool, steps: int) -> Epoch:
    """Return one epoch of plain ``fit``: the student alone, nothing else on."""
    import keras

    model = build(name)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, jit_compile=jit, steps_per_execution=steps)
    inputs = scaled(x)
    return lambda: model.fit(inputs, y, batch_size=BATCH, verbose=0)


def distiller_epoch(name: str, x: np.ndarray, y: np.ndarray) -> Epoch:
    """Return one epoch of `keras.distillation.Distiller` with Keras' defaults."""
    import keras

    distiller = keras.distillation.Distiller(
        teacher=build(name),
        student=build(name),
        distillation_losses=keras.distillation.LogitsDistillation(temperature=4.0),
        student_loss_weight=0.1,
    )
    distiller.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs = scaled(x)
    return lambda: distiller.fit(inputs, y, batch_size=BATCH, verbose=0)


def spiral_epoch(name: str, x: np.ndarray, y: np.ndarray) -> Epoch:
    """Return one epoch of spiral's loop: masks, distillation, pressure, deterministic operations, averaging at its end.

    The average runs over the last fifth, as in a round of the default recipe.
    """
    import tensorflow as tf

    from spiral_cli import registry
    from spiral_cli.data.pixels import Pixels
    from spiral_cli.pruning.granularity import Unstructured
    from spiral_cli.pruning.masks import make_masks
    from spiral_cli.pruning.prunable import find_prunable
    from spiral_cli.tasks.classification import Head
    from spiral_cli.training.arrays import TrainingData
    from spiral_cli.training.build import on_each
    from spiral_cli.training.device import use_device
    from spiral_cli.training.jit import choose_jit
    from spiral_cli.training.objective import Objective
    from spiral_cli.training.optimizers import make_optimizer
    from spiral_cli.training.plan import average_gains, epoch_rows
    from spiral_cli.training.program import CHUNK_STEPS, Program

    use_device("cpu", 0)
    model = build(name)
    prunable = find_prunable(model)[0]
    # Token numbers travel as float32, exact below 2^24; the model's integer input casts them back.
    factor = 1 / 255 if x.dtype == np.uint8 else 1.0
    preprocessing = Pixels(x.shape[1:], tuple("0123456789"), "0-1", factor, 0.0)
    data = TrainingData(tf.constant(x), tf.constant(y.astype(np.int32)), tf.ones(len(x)), preprocessing)
    objective = Objective(Head(exclusive=True, probabilities=False), registry.losses.get("kl"), 0.9, 4.0)
    program = Program(
        model,
        data,
        objective,
        make_optimizer("adam", 0.0),
        prunable=prunable,
        pressure=on_each(registry.pressures.get("l1")),
        average=True,
        jit=choose_jit("auto", model),
    )
    program.set_targets({"logits": np.random.default_rng(0).normal(size=(len(x), CLASSES)).astype(np.float32)})
    scores = {key: np.abs(weight) for key, weight in program.weights().items()}
    masks = make_masks(scores, 1 - SPARSITY, allocation=registry.allocations.get("global"), granularity=Unstructured())
    program.cut(masks)
    program.hold(masks)
    count = iter(range(10**6))

    def epoch() -> None:
        rows, valid = epoch_rows(len(x), BATCH, (0, 1), next(count))
        steps = len(rows)
        rates, strengths, gains = np.full(steps, 1e-3, "f4"), np.full(steps, 1e-4, "f4"), average_gains(steps, TAIL)
        tail = int(np.flatnonzero(gains)[0])
        starts = sorted({*range(0, steps, CHUNK_STEPS), tail, steps})
        for part in itertools.starmap(slice, itertools.pairwise(starts)):
            program.run(rows[part], valid[part], rates[part], strengths[part], gains[part])

    return epoch


def serve(make: Callable[[str, np.ndarray, np.ndarray], Epoch]) -> None:
    """Make a contender for ``--model`` and ``--examples``; run an epoch for every line on standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--examples", type=int)
    options, _ = parser.parse_known_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed
    epoch: Epoch | None = None
    for _ in sys.stdin:
        try:
            if epoch is None:
                epoch = make(options.model, *examples(options.model, options.examples))
            started = time.perf_counter()
            epoch()
            answer = {"seconds": time.perf_counter() - started}
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Serve the contender that the first argument names."""
    contender = sys.argv[1]
    if contender in FITS:
        serve(lambda *three: fit_epoch(*three, *FITS[contender]))
    else:
        serve({"distiller": distiller_epoch, "spiral": spiral_epoch}[contender])


if __name__ == "__main__":
    main()
