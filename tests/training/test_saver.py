"""A position is copied at once and written later: what training does meanwhile does not reach the file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.data.pixels import Pixels
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.tasks.classification import Head
from spiral_cli.training import resume
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.checkpoint import previous, read_state
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.program import Program, stored
from spiral_cli.training.resume import Position, Saver, take_up
from spiral_cli.training.writer import Writer

BATCH = 16


def make_program(jit: bool = False) -> Program:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((6, 6, 1)),
            keras.layers.Conv2D(3, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3),
        ]
    )
    rng = np.random.default_rng(0)
    data = TrainingData(
        tf.constant(rng.integers(0, 256, (BATCH, 6, 6, 1)).astype(np.uint8)),
        tf.constant(rng.integers(0, 3, BATCH).astype(np.int32)),
        tf.ones(BATCH),
        Pixels((6, 6, 1), ("a", "b", "c"), "0-1", 1 / 255, 0.0),
    )
    objective = Objective(Head(exclusive=True, probabilities=False), kl, 0.9, 4.0)
    prunable = find_prunable(model)[0]
    program = Program(model, data, objective, make_optimizer("adam", 0.0), prunable=prunable, average=True, jit=jit)
    program.set_targets({"logits": rng.normal(size=(BATCH, 3)).astype(np.float32)})
    return program


def train(program: Program, steps: int = 3) -> None:
    rows = np.tile(np.arange(BATCH, dtype=np.int32), (steps, 1))
    program.run(rows, np.ones(rows.shape, np.float32), *np.full((3, steps), 0.01, np.float32))


def frozen(state) -> dict[str, bytes]:
    return {name: np.asarray(value).tobytes() for name, value in state.items()}


@pytest.mark.parametrize("jit", [False, True])
def test_later_steps_do_not_change_a_copy_of_the_state(jit):
    program = make_program(jit)
    train(program)
    for state in (program.state(), program.state(program.room())):
        before = frozen(state)
        train(program)
        for variable in program.model.trainable_variables:
            variable.value.assign_add(tf.ones(variable.shape))  # in place, where nobody else holds the memory
        assert frozen(state) == before
        after = frozen(program.state())
        assert {name for name in after if after[name] != before[name]} >= {"model/0", "optimizer/2", "average/0"}


def test_a_copy_is_whole_and_exact_whether_its_memory_is_new_or_used():
    program = make_program()
    train(program)
    expected = {name: np.asarray(variable.numpy()) for name, variable in program._variables.items()}
    used = program.state()
    for state in (program.state(), program.state(used)):
        assert frozen(state) == frozen(expected)
        assert {name: value.dtype for name, value in state.items()} == {n: v.dtype for n, v in expected.items()}
        for name, variable in program._variables.items():
            lent = stored(variable).value().__array__()
            assert not np.shares_memory(state[name], lent), name
    assert program.state(used) is used


def held_writes(monkeypatch) -> threading.Event:
    """Let no checkpoint be written before the event that is returned."""
    gate, write = threading.Event(), resume.rotate_state

    def waiting(path, arrays, facts) -> None:
        assert gate.wait(60)
        write(path, arrays, facts)

    monkeypatch.setattr(resume, "rotate_state", waiting)
    return gate


def test_the_file_holds_the_position_that_was_saved_though_training_went_on(tmp_path, monkeypatch):
    gate, program, path = held_writes(monkeypatch), make_program(), tmp_path / "a.spiral"
    masks = {name: weight > 0 for name, weight in program.weights().items()}
    program.hold(masks)
    train(program)
    position = Position(epoch=1, sums=[1.0, 2.0])
    with Writer() as writer:
        saver = Saver(program, path, writer)
        saver.save(position, masks)
        expected = frozen(program.state())
        position.epoch, position.sums[0] = 7, 7.0
        program.hold({name: np.ones_like(mask) for name, mask in masks.items()})
        train(program)
        assert not path.exists()
        gate.set()
    found, found_masks, refused = take_up(program, path, {})
    assert (found, refused) == (Position(epoch=1, sums=[1.0, 2.0]), [])
    assert frozen(program.state()) == expected
    for name, mask in masks.items():
        np.testing.assert_array_equal(found_masks[name], mask)
        np.testing.assert_array_equal(program.held()[name], mask)


def test_two_positions_in_a_row_are_both_kept_whole(tmp_path):
    program, path, states = make_program(), tmp_path / "a.spiral", []
    with Writer() as writer:
        saver = Saver(program, path, writer)
        for epoch in range(3):
            train(program)
            states.append(frozen(program.state()))
            saver.save(Position(epoch), {})
    for file, epoch in ((path, 2), (previous(path), 1)):
        arrays, facts = read_state(file)
        assert facts["epoch"] == epoch
        assert frozen({name[6:]: value for name, value in arrays.items() if name.startswith("state/")}) == states[epoch]


def test_a_write_that_failed_is_told_at_the_next_position_or_at_the_end(tmp_path):
    program, nowhere = make_program(), tmp_path / "file" / "a.spiral"
    nowhere.parent.write_text("no folder")
    with pytest.raises(Exception, match="cannot write"), Writer() as writer:
        saver = Saver(program, nowhere, writer)
        saver.save(Position(), {})
        with pytest.raises(Exception, match="cannot write"):
            saver.save(Position(), {})
        saver.save(Position(), {})


@pytest.mark.slow
def test_training_waits_at_most_three_tenths_of_a_second_for_25_million_parameters(tmp_path):
    root = Path(__file__).parents[2]
    command = [sys.executable, "tests/benchmarks/checkpoints.py", "--folder", str(tmp_path)]
    here = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
