"""Whole runs that remove channels: what is left, how it was chosen, and that it is a plain, smaller model."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import run, write_data, write_recipe

from spiral_cli.channel_cut import corrected
from spiral_cli.channels.choice import Limits, chosen, sizes_of
from spiral_cli.channels.graph import find_channels
from spiral_cli.channels.removal import remove
from spiral_cli.events import Notice, RoundDone, silent
from spiral_cli.flops import total_flops
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.run import Ledger

NETS = """
import keras
from keras import layers


def net(input_shape, outputs):
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(12, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = y = layers.ReLU()(x)
    y = layers.Conv2D(16, 3, padding="same", activation="relu", name="inner")(y)
    y = layers.Conv2D(12, 3, padding="same", name="outer")(y)
    x = layers.Add()([x, y])
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(24, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(outputs, name="logits")(x))
"""


def compressed(folder: Path, name="run", listen=silent, train=None, guard=None, data=None, **prune):
    """Run a recipe that removes channels of `NETS`."""
    (folder / "nets.py").write_text(NETS)
    recipe = write_recipe(
        folder,
        data=data or {},
        teacher={"builder": "nets:net", "epochs": 5, "learning_rate": 0.005, "batch_size": 32},
        prune={"granularity": "channel", "schedule": {"final_sparsity": 0.6, "rounds": 2}, **prune},
        train={"epochs": 3, "batch_size": 32, **(train or {})},
        guard={"max_drop": 1.0, **(guard or {})},
    )
    return run(recipe, name, listen=listen)


@pytest.fixture(scope="module")
def two_rounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("channels")
    write_data(folder)
    return compressed(folder)


def widths(model: keras.Model) -> dict[str, int]:
    """Return how many channels each layer with a kernel makes."""
    return {layer.name: layer.kernel.shape[-1] for layer in model.layers if hasattr(layer, "kernel")}


def test_channels_leave_and_the_student_is_a_plain_smaller_model(two_rounds):
    report, folder = two_rounds
    teacher, student = (keras.models.load_model(path) for path in (folder.teacher, folder.student))
    before, after = widths(teacher), widths(student)
    assert after["stem"] == after["outer"] < before["stem"]  # they meet in a sum
    assert after["logits"] == before["logits"] == 3
    free = sum(before.values()) - 3
    assert (sum(after.values()) - 3) / free <= 0.4 + 1e-9
    last = report["rounds"][-1]
    assert last["left"]["channels"] == pytest.approx((sum(after.values()) - 3) / free)
    assert last["left"]["parameters"] == pytest.approx(student.count_params() / teacher.count_params())
    assert last["left"]["flops"] == pytest.approx(total_flops(student) / total_flops(teacher))
    # What left counts as zero: density is a part of the weights of the student before any pruning.
    whole = sum(one.variable.numpy().size for one in find_prunable(teacher)[0])
    nonzero = sum(int(np.count_nonzero(one.variable.numpy())) for one in find_prunable(student)[0])
    assert report["selected"]["density"] == pytest.approx(nonzero / whole)
    assert report["selected"]["parameters"] == student.count_params()


def test_later_rounds_begin_with_the_smaller_model(two_rounds):
    _, folder = two_rounds
    first, second = (keras.models.load_model(folder.round(n).student) for n in (1, 2))
    assert all(widths(second)[name] <= width for name, width in widths(first).items())
    assert second.count_params() < first.count_params()
    removals = [one for one in Ledger(folder).read() if one["event"] == "removal"]
    assert [(one["round"], one["attempt"]) for one in removals] == [(1, 1), (2, 1)]
    assert not list(folder.root.glob("rounds/*/attempt-*"))  # what a try needs while it goes on


def test_a_model_of_which_nothing_leaves_is_the_same(two_rounds):
    model = keras.models.load_model(two_rounds[1].teacher)
    channels = find_channels(model)
    same = remove(model, channels, np.ones(channels.count, bool))
    for ours, theirs in zip(same.variables, model.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_fresh_weights_are_those_of_no_teacher_and_the_choice_is_the_same(folder):
    prune, train = {"schedule": {"final_sparsity": 0.5, "rounds": 1}}, {"epochs": 1, "learning_rate": 1e-9}
    _, went_on = compressed(folder, "on", train=train, **prune)
    report, fresh = compressed(folder, "fresh", train=train, weights="fresh", **prune)
    _, again = compressed(folder, "again", train=train, weights="fresh", **prune)
    theirs, ours, same = (keras.models.load_model(run.student) for run in (went_on, fresh, again))
    assert widths(ours) == widths(theirs)  # chosen before the weights were drawn
    teacher = keras.models.load_model(fresh.teacher).get_layer("inner").kernel.numpy()
    kept, drawn, repeated = (model.get_layer("inner").kernel.numpy() for model in (theirs, ours, same))
    assert np.isclose(np.sort(kept.ravel())[:, None], teacher.ravel(), atol=1e-6).any(axis=1).all()
    assert not np.isclose(np.sort(drawn.ravel())[:, None], teacher.ravel(), atol=1e-6).any(axis=1).all()
    np.testing.assert_array_equal(drawn, repeated)
    assert report["rounds"][-1]["metrics"]["validation"]["accuracy"] < 0.7  # of three classes, untrained


def test_a_budget_of_operations_is_met_and_an_ignored_layer_keeps_its_channels(folder):
    report, run = compressed(
        folder, schedule={"rounds": 1}, budget={"flops": 0.4}, train={"epochs": 1}, ignore=["hid*"]
    )
    teacher, student = (keras.models.load_model(path) for path in (run.teacher, run.student))
    found = total_flops(student) / total_flops(teacher)
    assert 0.3 <= found <= 0.4
    assert report["rounds"][0]["left"]["flops"] == pytest.approx(found)
    assert widths(student)["hidden"] == 24
    reasons = {one["name"]: one["reason"] for one in report["not_pruned"]}
    assert "ignored by 'hid*'" in reasons["hidden"]
    assert "output" in reasons["logits"]


@pytest.mark.slow
def test_a_budget_of_time_is_met_in_litert(folder):
    """On images so large that what is computed takes most of the time, as it does not of 8 by 8 pixels."""
    report, _ = compressed(
        folder, schedule={"rounds": 1}, budget={"latency": 0.6}, train={"epochs": 1}, data={"image_size": [64, 64]}
    )
    [row] = report["rounds"]
    assert row["left"]["flops"] < 0.8
    assert 0 < row["left"]["latency"] <= 0.6


def test_a_budget_that_limits_put_out_of_reach_is_said(folder):
    told = []
    report, _ = compressed(
        folder, schedule={"rounds": 1}, budget={"parameters": 0.1}, min_channels=10, train={"epochs": 1},
        listen=lambda event: told.append(event.text) if isinstance(event, Notice) else None,
    )  # fmt: skip
    left = report["rounds"][0]["left"]["parameters"]
    [sentence] = [text for text in told if "round 1 aims at" in text]
    assert sentence.startswith(f"round 1 aims at 0.1 of the parameters and leaves {left:.4g}: prune.round_to")


def test_a_failed_try_is_rolled_back_to_the_larger_model(folder):
    rows = []
    report, run = compressed(
        folder, guard={"max_drop": 0.05, "patience": 1}, schedule=[0.2, 0.97],
        train={"epochs": 1, "learning_rate": 1e-9},
        listen=lambda event: rows.append(event.row) if isinstance(event, RoundDone) else None,
    )  # fmt: skip
    failed = [row for row in rows if not row["accepted"]]
    assert failed, "a student that hardly trains cannot keep its accuracy at 3 % of its channels"
    assert not run.round(failed[-1]["round"]).student.exists()
    assert report["rounds"] == rows


def test_numbers_by_layer_count_from_the_student_before_any_pruning(two_rounds):
    """From the student of round 1 on, which has lost channels already."""
    whole, narrow = (find_channels(keras.models.load_model(two_rounds[1].round(n).student)) for n in (0, 1))
    kept = chosen(
        narrow, np.arange(narrow.count, dtype=float), 0.25,
        left=lambda kept: kept.mean(), limits=Limits(), allocation={"inner": 0.75, "hidden": 0.9}, final=0.25,
        sizes=sizes_of(whole),
    )  # fmt: skip
    found = {space.layers: int(kept[space.groups].sum()) for space in narrow.spaces}
    assert found == {("outer", "stem"): 3, ("inner",): 4, ("hidden",): 2}


@given(power=st.floats(0.5, 2.0), target=st.floats(0.05, 0.95))
def test_a_choice_is_corrected_until_what_is_measured_meets_the_target(power, target):
    """Time follows operations, but not one to one."""
    chosen_for, found = corrected(lambda aim: aim, lambda aim: aim**power, target)
    assert found == chosen_for**power
    assert target * 0.9 <= found <= target


def test_of_a_target_out_of_reach_the_nearest_choice_is_taken():
    """A call takes its time whatever it computes, and the clock is not exact."""
    clock = iter([0.9, 0.75, 0.8, 0.78, 0.77, 0.79])
    _, found = corrected(lambda aim: aim, lambda aim: next(clock), 0.5)
    assert found == 0.75
