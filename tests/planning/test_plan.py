"""What `spiral plan` says before training is what a run has left afterwards."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import Y as CLASSES
from small_runs import fitted, run, small, write_data, write_recipe

from spiral_cli.compress import train_teacher
from spiral_cli.console.plan import plan_text
from spiral_cli.errors import InterruptedRun
from spiral_cli.events import Notice, silent
from spiral_cli.flops import total_flops
from spiral_cli.lessons import footprint
from spiral_cli.planning.plan import plan
from spiral_cli.planning.sizes import FLOAT32, gzip_bytes, packed_bytes
from spiral_cli.planning.trial import pace
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.recipe import load_recipe
from spiral_cli.recipe.schema import Distill
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control
from spiral_cli.training.loop import Stage

GRANULARITIES = {
    "single weights": {},
    "two of four": {"granularity": {"n": 2, "m": 4}, "schedule": {"kind": "geometric", "rounds": 2}},
    "channels": {"granularity": "channel", "schedule": [0.5]},
}
SLOW_GRANULARITIES = {
    "numbers of layers": {"allocation": {"hidden": 0.6, "last": 0.3, "conv": 0.1}},
    "a gradient's criterion": {"criterion": "taylor", "allocation": "uniform"},
    "part of the operations": {"granularity": "channel", "budget": {"flops": 0.4}, "schedule": {"rounds": 1}},
}
NAMES = [*GRANULARITIES, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_GRANULARITIES)]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_has_left_what_was_planned(name, tmp_path):
    prune = {**GRANULARITIES, **SLOW_GRANULARITIES}[name]
    write_data(tmp_path)
    fitted(small(), CLASSES, keras_loss()).save(tmp_path / "teacher.keras")
    recipe = write_recipe(
        tmp_path,
        teacher={"path": "teacher.keras"},
        prune=prune,
        train={"epochs": 1},
        guard={"max_drop": 1.0},
        distill={"alpha": 1.0},
    )
    planned = plan(load_recipe(recipe), RunFolder(tmp_path / "run"), control=Control(), trial=False)
    assert not (tmp_path / "run").exists()
    report, folder = run(recipe)
    dense, *rounds = planned["rounds"]
    assert dense["nonzero"] == dense["parameters"] == report["teacher"]["parameters"]
    for ours, row in zip(rounds, report["rounds"], strict=True):
        assert ours["parameters"] == row["parameters"]
        assert ours["sparsity"] == pytest.approx(row["sparsity"], abs=1e-12)
        student = folder.round(row["round"]).student
        assert ours["kept"] == kept_in(student)
        assert ours["nonzero"] - row["nonzero"] == others_at_zero(student)  # of dead units
        assert ours["seconds"] is None
        assert ours["bytes"] == FLOAT32 * row["parameters"]
        assert ours["flops"] == total_flops(keras.models.load_model(student))
        assert ours["gzip_bytes"] < len(gzip.compress(student.read_bytes()))  # which has an architecture, too
    skipped = [one["nonzero_flops"] for one in planned["rounds"]]
    assert skipped == sorted(skipped, reverse=True) and skipped[0] == dense["flops"]
    assert planned["teacher"]["trained"]


def test_a_target_out_of_reach_is_said_as_the_run_says_it(tmp_path):
    write_data(tmp_path)
    recipe = write_recipe(
        tmp_path,
        teacher={"model": "mlp", "epochs": 1},
        prune={"granularity": "channel", "schedule": [0.2, 0.6], "round_to": 512},
        train={"epochs": 1},
        guard={"max_drop": 1.0},
    )
    planned = plan(load_recipe(recipe), RunFolder(tmp_path / "run"), control=Control(), trial=False)
    assert planned["rounds"][-1]["sparsity"] == 0.0
    [note] = [note for note in planned["notes"] if "aims at" in note]
    assert note.startswith("round 2 aims at 0.4 of the channels and leaves 1: prune.round_to")
    told = []
    run(recipe, listen=lambda event: told.append(event.text) if isinstance(event, Notice) else None)
    assert note in told


def kept_in(student: Path) -> int:
    weights = [one.variable.numpy() for one in find_prunable(keras.models.load_model(student))[0]]
    return sum(np.count_nonzero(weight) for weight in weights)


def others_at_zero(student: Path) -> int:
    model = keras.models.load_model(student)
    pruned = {id(one.variable) for one in find_prunable(model)[0]}
    return sum(np.count_nonzero(weight.numpy() == 0) for weight in model.weights if id(weight) not in pruned)


def keras_loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_a_trial_estimates_every_part_and_leaves_nothing_behind(tmp_path):
    write_data(tmp_path)
    recipe = write_recipe(tmp_path, student={"model": "mlp", "epochs": 2}, train={"epochs": 4})
    before = sorted(tmp_path.rglob("*"))
    planned = plan(load_recipe(recipe), RunFolder(tmp_path / "run"), control=Control())
    assert sorted(tmp_path.rglob("*")) == before
    seconds = planned["seconds"]
    assert seconds["teacher"] > 0 and seconds["dense"] > 0 and seconds["targets"] > 0
    assert len(seconds["rounds"]) == 2 and min(seconds["rounds"]) > 0
    assert seconds["total"] == pytest.approx(
        seconds["teacher"] + seconds["dense"] + seconds["targets"] + sum(seconds["rounds"])
    )
    assert planned["rounds"][1]["seconds"] == seconds["rounds"][0]
    text = plan_text(planned)
    assert max(map(len, text.splitlines())) <= 80
    assert f"{planned['rounds'][-1]['nonzero']:,}" in text


def test_a_stop_that_was_asked_for_is_taken_between_measurements(tmp_path):
    write_data(tmp_path)
    with pytest.raises(InterruptedRun):
        plan(load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run"), control=Control(lambda: True))


def test_a_run_s_own_teacher_is_used_and_times_no_training(tmp_path):
    write_data(tmp_path)
    recipe = write_recipe(tmp_path)
    folder = RunFolder(tmp_path / "run")
    assert not plan(load_recipe(recipe), folder, control=Control(), trial=False)["teacher"]["trained"]
    train_teacher(load_recipe(recipe), folder, listen=silent, control=Control())
    planned = plan(load_recipe(recipe), folder, control=Control())
    assert planned["teacher"]["trained"] and planned["seconds"]["teacher"] == 0.0


def test_the_teachers_outputs_take_what_the_footprint_says(tmp_path, monkeypatch):
    from spiral_cli import lessons

    known: dict[int, np.ndarray] = {}
    give = lessons.Lessons.targets

    def targets(self, *asked):
        given = give(self, *asked)
        known.update(self.known)
        return given

    monkeypatch.setattr(lessons.Lessons, "targets", targets)
    write_data(tmp_path)
    recipe = write_recipe(tmp_path, distill={"teacher": "ensemble"}, train={"epochs": 2}, guard={"max_drop": 1.0})
    run(recipe)
    rows, outputs = known[0].shape
    expected = sum(array.nbytes for array in known.values())
    found = footprint(load_recipe(recipe).distill, 2, rows, (outputs,), True)
    assert (found.memory_bytes, found.disk_bytes, found.kept) == (expected, 0, None)


def test_outputs_on_disk_take_half_or_only_the_largest():
    small_memory = Distill(memory_gb=1e-6)
    assert footprint(small_memory, 3, 1000, (10,), True).disk_bytes == 1000 * 10 * 2
    assert footprint(small_memory, 3, 1000, (300,), True).disk_bytes == 1000 * (64 * 4 + 2)
    assert footprint(small_memory, 3, 1000, (300,), False).disk_bytes == 1000 * 300 * 2
    assert footprint(small_memory, 3, 100, (7, 300), True).disk_bytes == 100 * 7 * (64 * 4 + 2)
    assert footprint(Distill(targets="online"), 3, 1000, (300,), True).memory_bytes == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 10**6), st.floats(0.0, 1.0))
def test_packed_never_takes_more_than_the_mask_beside_the_kept_weights(weights, density):
    kept = round(weights * density)
    size = packed_bytes(weights, kept)
    assert FLOAT32 * kept <= size <= FLOAT32 * kept + weights / 8 + 1
    assert packed_bytes(weights, weights) == FLOAT32 * weights


@pytest.mark.parametrize("density", [0.02, 0.2, 1.0])
def test_gzip_is_estimated_from_gzip(density):
    rng = np.random.default_rng(5)
    weights = np.where(rng.random(200_000) < density, rng.normal(size=200_000), 0.0).astype(np.float32)
    real = len(gzip.compress(weights.tobytes(), 9))
    assert gzip_bytes(weights.size, density) == pytest.approx(real, rel=0.05)


def test_a_moment_in_which_the_machine_is_busy_is_not_extrapolated():
    count, batch = 640, 10
    steps = count // batch
    zeros = np.zeros(steps, np.float32)
    stage = Stage("round", "one", (0,), count, 1, batch, zeros, zeros, zeros, 1)
    waits = iter([0.3, 0.3])  # the compiler, then a hiccup
    taken = []

    class Stub:
        def feed(self, rows):
            return None

        def run(self, rows, *plan):
            taken.append(len(rows))
            time.sleep(next(waits, 0.0))

    found = pace(Stub(), stage, 0)
    assert sum(taken) == steps and len(taken) > 5
    assert found.step < 0.05 < 0.2 < found.compile
