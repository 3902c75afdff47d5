"""Whole runs whose training steps compute in 16 bits."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from small_runs import X_TEST, Y_TEST, Y, assert_sound, fitted, layers, run, small, write_recipe

from spiral_cli.compare import compare
from spiral_cli.errors import DivergedError, InterruptedRun, UsageError
from spiral_cli.events import Event
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.training.checkpoint import read_state
from spiral_cli.training.control import Control

SHORT = {"teacher": {"model": "mlp", "epochs": 3}, "train": {"epochs": 3}}


def compute_types(model: keras.Model) -> set[str]:
    return {layer.compute_dtype for layer in model._flatten_layers()}


def test_digits_in_bfloat16_end_as_well_as_in_float32(tmp_path):
    recipe = tmp_path / "digits.yaml"
    recipe.write_text(
        yaml.safe_dump(
            {
                "precision": "mixed_bfloat16",
                "data": {"format": "digits"},
                "teacher": {"model": "lenet300", "epochs": 12, "learning_rate": 0.002},
                "prune": {"schedule": {"final_sparsity": 0.9, "rounds": 2}},
                "train": {"epochs": 12, "batch_size": 64, "learning_rate": 0.002},
                "guard": {"max_drop": 0.03},
            }
        )
    )
    report, where = run(recipe)
    student = assert_sound(report, where, sparsity=0.9)
    assert compute_types(student) == {"float32"}
    assert report["recipe"]["precision"] == "mixed_bfloat16"
    assert report["teacher"]["metrics"]["test"]["accuracy"] > 0.95
    assert report["selected"]["metrics"]["test"]["accuracy"] > 0.93
    again = compare(load_recipe(recipe), where.student, where.teacher)
    assert again["student"]["metrics"]["test"] == report["selected"]["metrics"]["test"]
    assert again["teacher"]["metrics"]["test"] == report["teacher"]["metrics"]["test"]
    assert report["artifacts"][0]["agreement"] == 1.0


@pytest.mark.slow
def test_a_convolutional_file_with_features_and_evidence_in_float16(folder):
    fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(True)).save(folder / "my.keras")
    recipe = write_recipe(
        folder,
        precision="mixed_float16",
        teacher={"path": "my.keras"},
        prune={"criterion": "taylor"},
        distill={"features": [{"teacher": "hidden", "student": "hidden"}]},
    )
    report, where = run(recipe)
    student = assert_sound(report, where)
    assert compute_types(student) == {"float32"}
    assert report["selected"]["metrics"]["test"]["accuracy"] > 0.8
    decided = student.predict(X_TEST / 255.0, verbose=0).argmax(-1)
    assert np.mean(decided == Y_TEST) == pytest.approx(report["selected"]["metrics"]["test"]["accuracy"])


@pytest.mark.slow
def test_precision_decides_the_bits_of_a_round(folder):
    fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(True)).save(folder / "my.keras")
    short = {"teacher": {"path": "my.keras"}, "train": {"epochs": 1}, "prune": {"schedule": [0.3]}}
    kinds = ("mixed_bfloat16", "float32")
    mixed, plain = (run(write_recipe(folder, precision=kind, **short), kind)[0] for kind in kinds)
    assert mixed["teacher"]["metrics"] == plain["teacher"]["metrics"]  # a file is measured in float32
    assert mixed["rounds"][0]["losses"] != plain["rounds"][0]["losses"]


def stop_after(events: int, recipe: Path) -> None:
    told: list[Event] = []
    run(recipe, listen=told.append, control=Control(interrupted=lambda: len(told) > events))


@pytest.mark.slow
def test_an_interrupted_run_in_float16_ends_with_the_same_bits(folder):
    recipe = write_recipe(folder, precision="mixed_float16", **SHORT)
    _, whole = run(recipe, "whole")
    where = RunFolder(folder / "run")
    for events, checkpoint in ((4, where.teacher_checkpoint), (12, where.round(1).checkpoint(1))):
        with pytest.raises(InterruptedRun):
            stop_after(events, recipe)
        arrays, _ = read_state(checkpoint)
        assert 2.0**15 in (array for array in arrays.values() if array.shape == ()), "no loss scale in the state"
    _, taken_up = run(recipe)
    for path in (whole.teacher, whole.student):
        again = taken_up.root / path.relative_to(whole.root)
        for one, other in zip(*(keras.models.load_model(file).weights for file in (path, again)), strict=True):
            assert one.numpy().tobytes() == other.numpy().tobytes()


@pytest.mark.slow
def test_a_teacher_file_of_mixed_precision_is_taken(folder):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(True))
    finally:
        keras.config.set_dtype_policy("float32")
    assert compute_types(model) == {"bfloat16"}
    model.save(folder / "my.keras")
    report, where = run(write_recipe(folder, teacher={"path": "my.keras"}))
    assert compute_types(assert_sound(report, where)) == {"float32"}


def test_values_beyond_float16_are_named_as_a_cause(folder):
    model = fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(True))
    hidden, last = model.get_layer("hidden"), model.get_layer("last")
    hidden.set_weights([weight * 1e6 for weight in hidden.get_weights()])  # float32 takes it
    last.kernel.assign(last.kernel / 1e6)
    model.save(folder / "my.keras")
    with pytest.raises(DivergedError, match=r"in round 1, try 1.*more than float16's 65,504 \(mixed_bfloat16"):
        run(write_recipe(folder, precision="mixed_float16", teacher={"path": "my.keras"}))


@keras.saving.register_keras_serializable("precision_runs")
class Shifted(layers.Layer):
    """Adds a float32 constant by TensorFlow itself, which mixes no types."""

    def call(self, x):
        import tensorflow as tf

        return tf.add(x, tf.ones(x.shape[-1]))


def test_a_layer_that_knows_float32_alone_is_refused_before_anything_trains(folder):
    keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), Shifted(), layers.Dense(3)]).save(folder / "my.keras")
    heard: list[Event] = []
    recipe = write_recipe(folder, precision="mixed_bfloat16", teacher={"path": "my.keras"})
    with pytest.raises(UsageError, match=r"does not run in mixed_bfloat16 \(.*Shifted.*self.compute_dtype"):
        run(recipe, listen=heard.append)
    assert heard == []
