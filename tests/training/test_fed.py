"""A step that is fed computes what one computes whose examples lie on the device, to the last bit."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.data.augmentation import augmenter
from spiral_cli.data.pipeline import Views, materialised
from spiral_cli.data.pixels import Pixels
from spiral_cli.data.stream import Stream
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.tasks.classification import Head
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.evidence import Collector
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import Program

N, VIEWS, BATCH = 40, 3, 8
PREPROCESSING = Pixels((8, 8, 1), ("a", "b", "c"), "0-1", 1 / 255, 0.0)
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (N, 8, 8, 1)).astype(np.uint8)
Y = RNG.integers(0, 3, N).astype(np.int32)
STREAM = Stream(lambda number: X[number], np.arange(N), (8, 8, 1), "")


def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(12, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )


def views(images) -> Views:
    return Views(images, VIEWS, augmenter([{"translate": 0.2}], images, 0, "0-1"))


def trained(x, targets: dict[str, np.ndarray], jit: bool) -> list[np.ndarray]:
    """Return losses, variables, statistics and evidence after two epochs on ``x``."""
    student = model()
    data = TrainingData(x, tf.constant(Y), tf.ones(N), PREPROCESSING)
    program = Program(
        student, data, Objective(Head(True, False), kl, 0.5, 2.0), make_optimizer("adam", 0.0),
        prunable=find_prunable(student)[0], jit=jit,
    )  # fmt: skip
    program.set_targets(targets)
    count = len(x) // N
    found = []
    for epoch in range(2):
        rows, valid = epoch_rows(N, BATCH, (0,), epoch, count)
        fed = program.feed(rows)
        assert (fed is None) == (tf.is_tensor(x) and not isinstance(targets["logits"], np.memmap))
        for part in (slice(0, 2), slice(2, None)):
            steps = len(rows[part])
            found.append(
                program.run(rows[part], valid[part], np.full(steps, 0.01, "f4"), *np.zeros((2, steps), "f4"), fed)
            )
    program.recalibrate(rows)
    evidence = Collector(program, ("gradients", "input_norms"), 0)(rows)
    gathered = [*evidence.gradients.values(), *evidence.input_norms.values()]
    return [*found, *(variable.numpy() for variable in student.variables), *gathered]


def on_disk(array: np.ndarray, folder) -> np.memmap:
    np.save(folder / "targets.npy", array)
    return np.load(folder / "targets.npy", mmap_mode="r")


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("inputs", ["array", "stream"])
@pytest.mark.parametrize("mapped", [False, True])
def test_fed_and_gathered_are_the_same(jit, augmented, inputs, mapped, tmp_path):
    source = X if inputs == "array" else STREAM
    x = views(source) if augmented else source
    if inputs == "array":
        x = tf.constant(materialised(x))
    rows = N * (VIEWS if augmented else 1)
    logits = np.random.default_rng(1).normal(size=(rows, 3)).astype(np.float32)
    plain = trained(tf.constant(materialised(views(X) if augmented else X)), {"logits": logits}, jit)
    ours = trained(x, {"logits": on_disk(logits, tmp_path) if mapped else logits}, jit)
    for one, other in zip(ours, plain, strict=True):
        if jit:  # XLA compiles the step alone where it is fed, the whole chunk where not
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(one, other)
