"""Trains small models on so many logical CPUs and stores what comes of it; run by `test_replicated.py`.

TensorFlow splits its CPU before anything else, so that this is a process of its own.
"""

from __future__ import annotations

import sys

import keras
import numpy as np
import tensorflow as tf
from small_models import LOGITS, PREPROCESSING, WEIGHT, N, X, Y, half_masks, small_model

from spiral_cli.data.stream import Stream
from spiral_cli.distillation.features import pair_layers
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.distillation.places import Sample
from spiral_cli.pruning.pressure import l1
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.recipe.schema import Feature
from spiral_cli.tasks.classification import Head
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.build import on_each, program_class
from spiral_cli.training.evidence import Collector
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import Program
from spiral_cli.training.targets import energies, online_features
from spiral_cli.training.team import Team, form_team

BATCH = 12
CASES: dict[str, dict] = {
    "plain": {},
    "XLA": {"jit": True, "normalised": False},
    "halves": {"normalised": False},
    "16 bits": {"precision": "mixed_float16"},
    "online features": {"features": True},
    "fed": {"stream": True},
    "expanded": {"expand": 3},
    "odd batch": {"batch": 7, "normalised": False},
}


def make(case: dict) -> Program:
    """Return the program of a case, made in the strategy's scope."""
    student = small_model(normalised=case.get("normalised", True))
    teacher = small_model(width=5, seed=9)
    pairs = [Feature(teacher="hidden", student="hidden", weight=0.5)] if case.get("features") else []
    hints = pair_layers(pairs, teacher, student, Sample(X[:1], PREPROCESSING, padded=False))
    x = Stream(lambda row: X[row], np.arange(N), (6, 6, 1), "") if case.get("stream") else tf.constant(X)
    precision = case.get("precision", "float32")
    program = program_class()(
        student, TrainingData(x, tf.constant(Y), tf.constant(WEIGHT), PREPROCESSING),
        Objective(Head(True, False), kl, 0.5, 2.0, hints), make_optimizer("adamw", 0.01, precision),
        prunable=find_prunable(student)[0], pressure=on_each(l1), average=True,
        online=online_features(teacher, hints) if hints else None, jit=case.get("jit", False), seed=4,
        precision=precision, expand=case.get("expand", 1),
    )  # fmt: skip
    program.set_targets({"logits": LOGITS, **(energies(teacher, hints, X, PREPROCESSING) if hints else {})})
    masks = half_masks(student)
    program.cut(masks)
    program.hold(masks)
    return program


def train(program: Program, batch: int) -> dict[str, np.ndarray]:
    """Train three epochs with a state stored and brought back between; return all there is to compare."""
    sums = []
    for epoch in range(3):
        rows, valid = epoch_rows(N, batch, (0, 1), epoch)
        steps = len(rows)
        fed = program.feed(rows)
        for part in (slice(0, 2), slice(2, steps)):
            settings = np.full((3, steps), [[1e-2], [1e-3], [0.1]], np.float32)[:, part]
            sums.append(program.run(rows[part], valid[part], *settings, fed))
        program.restore(program.state())
    gradients = Collector(program, ("gradients", "input_norms"), 0)(rows)
    program.take_average()
    program.recalibrate(rows[:-1])
    found = {**program.state(), "sums": np.array(sums)}
    return found | {f"gradient/{name}": value for name, value in gradients.gradients.items()}


def skipped_together(team: Team) -> dict[str, np.ndarray]:
    """Let the gradients of one replica overflow in float16: none takes the step, and all halve the factor."""
    with team.strategy.scope():
        program = make({"precision": "mixed_float16", "normalised": False})
    program.optimizer.dynamic_scale.assign(2.0**120)
    before = program.state()
    rows, valid = epoch_rows(N, BATCH, (0, 1), 0)
    # Only the last example of the batch has a weight, so only the last replica has gradients.
    alone = np.zeros_like(valid[:1])
    alone[0, -1] = 1
    settings = np.full((3, 1), [[1e-2], [0.0], [0.0]], np.float32)
    program.run(rows[:1], alone, *settings)
    after = program.state()
    same = [np.array_equal(before[name], after[name]) for name in before if name.startswith("model/")]
    return {"trained": np.array(not all(same)), "scale": np.array(program.optimizer.dynamic_scale.numpy() / 2.0**120)}


def own_numbers(team: Team) -> np.ndarray:
    """Return what dropout left on each replica, (replicas, 64)."""
    from spiral_cli.training.replicated import own_randomness

    with team.strategy.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dropout(0.5)])
    with own_randomness(model):
        step = tf.function(lambda: team.strategy.run(lambda: model(tf.ones((1, 64)), training=True)))
        return np.concatenate([one.numpy() for one in team.strategy.experimental_local_results(step())])


def main() -> None:
    """Store each case's arrays in a folder."""
    replicas, folder = int(sys.argv[1]), sys.argv[2]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    team = form_team("mirrored", "cpu", 0)
    assert team.replicas == replicas and (team.index, team.size, team.leads) == (0, 1, True)
    for name, case in CASES.items():
        with team.strategy.scope():  # as in a run
            found = train(make(case), case.get("batch", BATCH))
        np.savez(f"{folder}/{name}.npz", **found)
    np.savez(f"{folder}/alone.npz", numbers=own_numbers(team), **skipped_together(team))


if __name__ == "__main__":
    main()
