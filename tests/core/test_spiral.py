"""The whole job in one process, on small pictures: every kind of model, label, shape and policy."""

from __future__ import annotations

import itertools
import json
import re

import keras
import numpy as np
import pytest
from small_runs import X_TEST, Y_TEST, X, Y, assert_sound, fitted, layers, run, small, write_data, write_recipe

from spiral_cli.events import Event, Notice
from spiral_cli.pruning.prunable import find_prunable


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"prune": {"criterion": "lamp", "schedule": [0.5, 0.8]}},
        {"prune": {"criterion": "taylor", "allocation": "erk", "schedule": {"final_sparsity": 0.8, "rounds": 2}}},
        {"prune": {"criterion": "fisher", "allocation": "uniform", "regrow": True, "schedule": [0.4, 0.8]}},
        {
            "prune": {
                "criterion": "activation",
                "weights": "rewind",
                "schedule": {"kind": "cubic", "final_sparsity": 0.8, "rounds": 3},
            }
        },
        {"prune": {"allocation": "lamp", "pressure": {"kind": "hoyer_square"}, "schedule": [0.8]}},
        {"prune": {"granularity": {"block": [4, 2]}, "pressure": {"kind": "group_lasso"}, "schedule": [0.5, 0.8]}},
        {"distill": {"teacher": "ensemble", "loss": "mse"}, "train": {"epochs": 4}},
        {"train": {"optimizer": "sgd", "rate": "one_cycle", "learning_rate": 0.01, "epochs": 6}},
        {"distill": {"teacher": "previous", "features": [{"teacher": "dense_2", "student": "dense_2"}]}},
        {"distill": {"teacher": "best", "alpha": 1.0}, "train": {"optimizer": "adamw", "weight_decay": 0.01}},
        {"student": {"model": "lenet5", "epochs": 4}, "data": {"image_size": [16, 16]}},
        {"data": {"augment": ["flip", {"crop": 1}], "views": 3, "class_weights": "balanced"}},
    ],
    ids=lambda sections: "-".join(sections) or "default",
)
def test_every_way_ends_with_a_sound_student(folder, sections):
    report, where = run(write_recipe(folder, **sections))
    assert_sound(report, where)
    assert report["selected"]["metrics"]["test"]["accuracy"] > 0.8


def test_two_of_four(folder):
    report, where = run(write_recipe(folder, prune={"granularity": {"n": 2, "m": 4}, "schedule": {"rounds": 2}}))
    student = assert_sound(report, where, sparsity=0.5)
    kernel = student.get_layer("dense_1").kernel.numpy()
    assert ((kernel.reshape(16, 4, -1) != 0).sum(axis=1) <= 2).all()


def test_what_a_round_cut_stays_cut_in_the_next(folder):
    report, where = run(write_recipe(folder, prune={"schedule": [0.3, 0.6, 0.8], "regrow": True}))
    assert_sound(report, where)
    students = [keras.models.load_model(where.round(n).student) for n in (1, 2, 3)]
    for before, after in itertools.pairwise(students):
        for one, other in zip(find_prunable(before)[0], find_prunable(after)[0], strict=True):
            assert not other.variable.numpy()[one.variable.numpy() == 0].any()


def test_a_softmax_teacher_of_ones_own_with_one_hot_labels_and_weights(tmp_path):
    hot = np.eye(3)[Y].astype(np.float32)
    write_data(tmp_path, hot, np.eye(3)[Y_TEST].astype(np.float32), w_train=np.linspace(0.5, 1.5, 300))
    fitted(small("softmax"), hot, "categorical_crossentropy").save(tmp_path / "my.keras")
    report, where = run(write_recipe(tmp_path, teacher={"path": "my.keras"}))
    student = assert_sound(report, where)
    assert student(X_TEST[:5] / 255.0).numpy().sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    reasons = {one["name"]: one["reason"] for one in report["not_pruned"]}
    assert any("normalisation" in reason for reason in reasons.values())


@pytest.mark.parametrize("scale", ["0-255", "-1-1"])
def test_other_scales(folder, scale):
    factor, offset = (1.0, 0.0) if scale == "0-255" else (2 / 255, -1.0)
    model = small()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X * factor + offset, Y, epochs=12, batch_size=32, verbose=0)
    model.save(folder / "my.keras")
    report, where = run(
        write_recipe(folder, teacher={"path": "my.keras"}, data={"scale": scale}, guard={"max_drop": 0.3})
    )
    assert_sound(report, where)
    kept = json.loads(where.preprocessing.read_text())
    assert kept["scale"] == scale
    student = keras.models.load_model(where.student)
    decided = student.predict(X_TEST * kept["factor"] + kept["offset"], verbose=0).argmax(-1)
    assert np.mean(decided == Y_TEST) == pytest.approx(report["selected"]["metrics"]["test"]["accuracy"])


def test_a_binary_sigmoid(tmp_path):
    write_data(tmp_path, (Y == 0).astype(np.int64), (Y_TEST == 0).astype(np.int64))
    fitted(small("sigmoid", 1), (Y == 0).astype(np.float32), "binary_crossentropy").save(tmp_path / "my.keras")
    report, where = run(write_recipe(tmp_path, teacher={"path": "my.keras"}))
    assert_sound(report, where)


def test_multi_label(tmp_path):
    labels, test = (np.stack([y == 0, y != 2, y == 1], axis=1).astype(np.float32) for y in (Y, Y_TEST))
    write_data(tmp_path, labels, test)
    fitted(small("sigmoid", 3), labels, "binary_crossentropy").save(tmp_path / "my.keras")
    report, where = run(write_recipe(tmp_path, teacher={"path": "my.keras"}))
    assert_sound(report, where)
    assert "exact_match" in report["selected"]["metrics"]["test"]


def test_a_teacher_may_see_the_images_as_they_are_and_its_students_views_of_them(folder):
    short, views = {"model": "mlp", "epochs": 2, "batch_size": 32}, {"augment": [{"crop": 2}], "views": 3}

    def trained(name: str, data: dict, **teacher) -> list[list[np.ndarray]]:
        recipe = write_recipe(folder, data=data, teacher={**short, **teacher}, guard={"max_drop": 1.0})
        _, files = run(recipe, name)
        return [[w.numpy() for w in keras.models.load_model(file).weights] for file in (files.teacher, files.student)]

    def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    plain, plain_student = trained("plain", {})
    kept, kept_student = trained("kept", views, augment=False)
    assert same(kept, plain) and not same(kept_student, plain_student)
    assert not same(trained("seen", views)[0], plain)


def test_frozen_layers_and_inference_batch_norm_stay_as_they_are(folder):
    model = fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.get_layer("conv").trainable = False
    model.get_layer("norm").trainable = False
    model.save(folder / "my.keras")
    report, where = run(write_recipe(folder, teacher={"path": "my.keras"}))
    student = keras.models.load_model(where.student)
    for name in ("conv", "norm"):
        for ours, theirs in zip(student.get_layer(name).weights, model.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert any("frozen" in one["reason"] for one in report["not_pruned"])


@keras.saving.register_keras_serializable("whole_spiral")
class Tied(keras.Model):
    """A subclassed model whose two steps share one layer."""

    def __init__(self, **options):
        super().__init__(**options)
        # Keras stores attributes that sort after "layers" under names that depend on the process.
        self.flat, self.first = layers.Flatten(name="flat"), layers.Dense(16, activation="relu", name="first")
        self.again, self.last = layers.Dense(16, activation="relu", name="shared"), layers.Dense(3, name="last")

    def call(self, x):
        x = self.first(self.flat(x))
        return self.last(self.again(self.again(x)))


def test_a_subclassed_model_with_a_shared_layer(folder):
    keras.utils.set_random_seed(0)
    fitted(Tied(), Y, keras.losses.SparseCategoricalCrossentropy(from_logits=True)).save(folder / "my.keras")
    report, where = run(write_recipe(folder, teacher={"path": "my.keras"}))
    student = assert_sound(report, where)
    assert len(find_prunable(student)[0]) == 3


def test_a_failed_round_is_rolled_back_and_the_budget_is_said_to_be_missed(folder):
    recipe = write_recipe(
        folder,
        prune={"schedule": [0.995, 0.999]},
        guard={"monitor": "loss", "max_drop": 0.0, "patience": 3},
        train={"epochs": 1, "learning_rate": 1e-6},
    )
    report, where = run(recipe)
    rows = report["rounds"]
    assert report["status"] == "budget_not_met"
    assert [(row["round"], row["attempt"], row["accepted"]) for row in rows] == [
        (1, 1, False),
        (1, 2, False),
        (1, 3, False),
    ]
    tried = [row["target_density"] for row in rows]
    assert tried[1:] == pytest.approx([np.sqrt(tried[0]), np.sqrt(np.sqrt(tried[0]))])
    assert report["selected"]["within_budget"] is False
    assert report["selected"]["attempt"] == min(rows, key=lambda row: row["drop"])["attempt"]
    assert report["cost"]["rolled_back_seconds"] == pytest.approx(sum(row["seconds"] for row in rows))
    assert keras.models.load_model(where.student).count_params() == report["selected"]["parameters"]


def test_a_spiral_that_ends_before_its_schedule_says_so(folder):
    heard: list[Event] = []
    recipe = write_recipe(folder, prune={"schedule": [0.5, 0.9995]}, guard={"patience": 1})
    report, _ = run(recipe, listen=heard.append)
    assert [row["accepted"] for row in report["rounds"]] == [True, False]
    assert report["status"] == "ok" and report["selected"]["round"] == 1
    said = [event.text for event in heard if isinstance(event, Notice)]
    assert said == [one for one in said if one.startswith("the schedule's sparsity of 0.9995 cost more than max_drop")]
    assert len(said) == 1 and "ends at 0.5" in said[0]


def test_numbers_of_layers_that_end_elsewhere_than_the_schedule_are_pointed_out(folder):
    heard: list[Event] = []
    report, _ = run(write_recipe(folder, prune={"allocation": {"dense_1": 0.5, "dense_2": 0.5}}), listen=heard.append)
    said = [event.text for event in heard if isinstance(event, Notice)]
    assert len(said) == 1
    assert f"ends at a sparsity of about {report['selected']['sparsity']:.4f} in all: the schedule's 0.8" in said[0]


def test_numbers_of_layers_that_end_early_say_what_is_reached_and_not_what_was_aimed_at(folder):
    heard: list[Event] = []
    recipe = write_recipe(
        folder,
        prune={"allocation": {"*": 0.99}, "schedule": [0.5, 0.9995]},
        guard={"patience": 1},
    )
    report, _ = run(recipe, listen=heard.append)
    assert [row["accepted"] for row in report["rounds"]] == [True, False]
    [said] = [event.text for event in heard if isinstance(event, Notice) and "cost more than max_drop" in event.text]
    assert f"ends at {report['rounds'][0]['sparsity']:.4g}." in said


def test_blocks_that_come_no_nearer_to_the_schedule_are_pointed_out(folder):
    heard: list[Event] = []
    # Of the three layers, (64, 300), (300, 100) and (100, 3), the last is one block and stays.
    recipe = write_recipe(folder, prune={"granularity": {"block": [64, 100]}, "schedule": [0.9]}, guard={"max_drop": 1})
    report, _ = run(recipe, listen=heard.append)
    said = [event.text for event in heard if isinstance(event, Notice)]
    assert len(said) == 1 and "the blocks of prune.granularity come no nearer to the schedule's 0.9" in said[0]
    foretold = re.search(r"ends at a sparsity of about ([\d.]+) in all", said[0])  # which blocks stay is not foretold
    assert foretold is not None and float(foretold[1]) == pytest.approx(report["selected"]["sparsity"], abs=0.01)
