"""Whole runs on small pictures, and what holds of every finished one."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from spiral_cli.compress import compress
from spiral_cli.events import silent
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.recipe import load_recipe
from spiral_cli.run import Ledger, RunFolder
from spiral_cli.training.control import Control

layers = keras.layers


RNG = np.random.default_rng(0)


PATTERNS = RNG.integers(60, 200, (3, 8, 8, 1))


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy copies of three patterns, uint8 (count, 8, 8, 1), and which they are."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    return np.clip(PATTERNS[y] + rng.normal(0, 40, (count, 8, 8, 1)), 0, 255).astype(np.uint8), y


X, Y = pictures(300, 1)


X_TEST, Y_TEST = pictures(200, 2)


def write_data(folder: Path, y=Y, y_test=Y_TEST, **more: np.ndarray) -> None:
    np.savez(folder / "data.npz", x_train=X, y_train=y, x_test=X_TEST, y_test=y_test, **more)


def write_recipe(folder: Path, **sections) -> Path:
    base = {
        "data": {"format": "npz", "path": "data.npz", "validation": 0.2},
        "teacher": {"model": "mlp", "epochs": 6, "learning_rate": 0.005, "batch_size": 32},
        "prune": {"schedule": {"kind": "geometric", "final_sparsity": 0.8, "rounds": 2}},
        "train": {"epochs": 8, "batch_size": 16},
        "guard": {"max_drop": 0.2},
    }
    for name, section in sections.items():
        base[name] = (
            section if name == "teacher" or not isinstance(section, dict) else {**base.get(name, {}), **section}
        )
    path = folder / "spiral.yaml"
    path.write_text(yaml.safe_dump(base))
    return path


def run(recipe: Path, name: str = "run", listen=silent, control=None, **options) -> tuple[dict, RunFolder]:
    folder = RunFolder(recipe.parent / name)
    report = compress(load_recipe(recipe), folder, listen=listen, control=control or Control(), **options)
    return report, folder


def small(output: str | None = None, width: int = 3, **options) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv", **options),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(width, activation=output, name="last"),
        ]
    )


def fitted(model: keras.Model, y, loss, scale=1 / 255.0) -> keras.Model:
    model.compile(keras.optimizers.Adam(0.005), loss)
    model.fit(X * scale, y, epochs=8, batch_size=32, verbose=0)
    return model


def assert_sound(report: dict, run: RunFolder, sparsity: float = 0.8) -> keras.Model:
    """Check what holds of every finished run and return its student, loaded by Keras alone."""
    assert report == json.loads(run.report.read_text())
    assert report["status"] == "ok"
    selected = report["selected"]
    student = keras.models.load_model(run.student)
    prunable, _ = find_prunable(student)
    total = sum(one.variable.numpy().size for one in prunable)
    kept = sum(np.count_nonzero(one.variable.numpy()) for one in prunable)
    assert selected["density"] == pytest.approx(kept / total)
    assert selected["sparsity"] == pytest.approx(sparsity, abs=0.01)
    assert selected["parameters"] == sum(w.numpy().size for w in student.weights)
    assert selected["nonzero"] == sum(int(np.count_nonzero(w.numpy())) for w in student.weights)
    assert report["monitor"] == "accuracy"
    assert_told(report, run)
    for row in report["rounds"]:
        assert row["drop"] == pytest.approx(
            report["teacher"]["metrics"]["validation"]["accuracy"] - row["metrics"]["validation"]["accuracy"]
        )
        assert row["accepted"] == (row["drop"] <= report["max_drop"] + 1e-9)
    return student


def assert_told(report: dict, run: RunFolder) -> None:
    """Check what is said beside the figures: losses by epoch, layers, classes and pairs agree with them."""
    for record in Ledger(run).read():
        if record["event"] == "round":
            row, curve = record["row"], record["curve"]
            assert len(curve) == row["epochs"]
            assert curve[-1]["losses"] == row["losses"]
    told, selected = json.loads(run.details.read_text()), report["selected"]
    kept = sum(layer["nonzero"] for layer in told["layers"])
    assert selected["density"] == pytest.approx(kept / sum(layer["of"] for layer in told["layers"]))
    if report["recipe"]["data"]["format"] == "npz":
        assert report["data"]["test"] == len(Y_TEST)
    for part, pairs in selected["paired"].items():
        if pairs is not None:
            lost = report["teacher"]["metrics"][part]["accuracy"] - selected["metrics"][part]["accuracy"]
            assert pairs["examples"] == report["data"][part]
            assert (pairs["only_teacher"] - pairs["only_student"]) / pairs["examples"] == pytest.approx(lost)
    if "exact_match" not in selected["metrics"]["test"]:
        recalls = [one["student"] for one in told["classes"]]
        assert np.mean(recalls) == pytest.approx(selected["metrics"]["test"]["balanced_accuracy"])
    assert all(one["teacher"]["answer"] != one["student"]["answer"] for one in told["samples"])
    assert run.page.read_text("utf-8").startswith("<!doctype html>")
